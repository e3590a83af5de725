package unio_test

import (
	"context"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/mem"
)

var poolsKeep = true

func TestFileAllocatesNothing(t *testing.T) {
	if !poolsKeep {
		t.Skip("the race detector makes sync.Pool forget")
	}
	for _, async := range []bool{false, true} {
		d := newFileDisk(16 << 20)
		d.async = async
		f := d.file(t, unio.FileConfig{})
		for name, length := range map[string]int{"short": 4096, "long": 8 << 20} {
			buf := make([]byte, length)
			n := testing.AllocsPerRun(200, func() {
				if _, err := f.WriteAt(buf, 100); err != nil {
					t.Error(err)
				}
				if _, err := f.ReadAt(buf, 100); err != nil {
					t.Error(err)
				}
			})
			if n != 0 {
				t.Errorf("async %v, %s calls: %v allocations per write and read", async, name, n)
			}
		}
	}
}

func TestFileCrowdAllocatesNothing(t *testing.T) {
	if !poolsKeep {
		t.Skip("the race detector makes sync.Pool forget")
	}
	d := newFileDisk(1 << 20)
	d.async = true
	f := d.file(t, unio.FileConfig{Channels: 1, Depth: 8})
	bufs := make([][64]byte, 32)
	round := func() {
		var wg sync.WaitGroup
		for i := range bufs {
			wg.Go(func() {
				for range 100 {
					_, _ = f.ReadAt(bufs[i][:], int64(i)*64)
				}
			})
		}
		wg.Wait()
	}
	round()
	// What starting goroutines allocates is far less than one per call.
	if n := testing.AllocsPerRun(5, round); n > 32*5 {
		t.Errorf("%v allocations in %d calls", n, 32*100)
	}
}

func BenchmarkFileReadAt(b *testing.B) {
	ctx := context.Background()
	dev, err := mem.Open(ctx, mem.Config{Size: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	f := unio.NewFile(reg)
	defer f.Close()
	b.Run("one", func(b *testing.B) {
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for i := range b.N {
			_, _ = f.ReadAt(buf, int64(i%256*4096))
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			buf := make([]byte, 4096)
			for i := 0; pb.Next(); i++ {
				_, _ = f.ReadAt(buf, int64(i%256*4096))
			}
		})
	})
	b.Run("channel", func(b *testing.B) { // what it is compared with
		ch, err := dev.NewChannel(unio.ChannelConfig{})
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for i := range b.N {
			_ = ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Offset: int64(i % 256 * 4096), Data: buf})
		}
	})
}
