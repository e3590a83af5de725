package rdma

import (
	"testing"

	"github.com/unio-stack/unio"
)

// TestExposeWhileFreeing: a buffer that is being freed may be exposed meanwhile, and is revoked.
func TestExposeWhileFreeing(t *testing.T) {
	for range 200 {
		d := NewDomain()
		buf, err := unio.NewBuffer(4096)
		if err != nil {
			t.Fatal(err)
		}
		freed := make(chan error)
		go func() { freed <- buf.Free() }()
		if len(buf.Bytes()) == 0 {
			<-freed
			continue
		}
		e, err := d.Expose(buf, unio.ReadOnly)
		if err := <-freed; err != nil {
			t.Fatal(err)
		}
		if err == nil && !e.revoked.Load() {
			t.Fatal("the buffer is freed and still exposed")
		}
	}
}
