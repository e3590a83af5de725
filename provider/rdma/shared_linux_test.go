package rdma

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestSharedMemoryWithCRC: memory that several peers read and write at a time is no reason for CRC errors.
func TestSharedMemoryWithCRC(t *testing.T) {
	addr, _ := serve(t, 1<<20, Config{})
	d := NewDomain()
	var wg sync.WaitGroup
	end := time.Now().Add(500 * time.Millisecond)
	for i := range 3 {
		c, err := Dial(context.Background(), addr, Config{Domain: d})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		reg, err := c.Device().Attach(context.Background(), "", unio.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			data := make([]byte, 200<<10)
			for k := range data {
				data[k] = byte(k * (i + 1))
			}
			for n := 0; time.Now().Before(end); n++ {
				q := unio.Request{Op: unio.OpWrite, Region: reg, Offset: int64(n % 7), Data: data}
				if n%2 == i%2 {
					q.Op, q.Data = unio.OpRead, make([]byte, len(data))
				}
				if err := c.Channel().Do(context.Background(), q); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
