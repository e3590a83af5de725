package target

import (
	"context"
	"fmt"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest/faults"
)

// BenchmarkRead is 4 KiB reads of a device here, and of the same device through a target on the loopback.
func BenchmarkRead(b *testing.B) {
	for _, d := range []struct {
		name string
		open func(*testing.B) *unio.Device
	}{
		{"memory", func(b *testing.B) *unio.Device { return memoryDevice(b, regionSize) }},
		{"device", func(b *testing.B) *unio.Device { // memory that clients do not reach themselves
			dev, err := faults.Wrap(memoryDevice(b, regionSize), "", 1)
			if err != nil {
				b.Fatal(err)
			}
			return closing(b, dev)
		}},
		{"shm", func(b *testing.B) *unio.Device { return fileDevice(b, shmDir(b), file.Config{}) }},
		{"file", func(b *testing.B) *unio.Device { return fileDevice(b, b.TempDir(), file.Config{}) }},
	} {
		for _, depth := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/depth=%d/local", d.name, depth), func(b *testing.B) { readAll(b, d.open(b), depth) })
			b.Run(fmt.Sprintf("%s/depth=%d/remote", d.name, depth), func(b *testing.B) {
				tg, err := New(Config{Exports: []Export{{Name: "disk", Device: d.open(b)}}})
				if err != nil {
					b.Fatal(err)
				}
				defer tg.Close()
				addr, err := tg.Listen(context.Background(), "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				dev, err := rdma.OpenRegion(context.Background(), addr.String(), "disk", true, rdma.Config{})
				if err != nil {
					b.Fatal(err)
				}
				defer dev.Close()
				readAll(b, dev, depth)
			})
		}
	}
}

func readAll(b *testing.B, dev *unio.Device, depth int) {
	reg, err := dev.Attach(context.Background(), "", unio.ReadOnly)
	if err != nil {
		b.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: depth})
	if err != nil {
		b.Fatal(err)
	}
	defer ch.Close()
	buf, err := unio.NewBuffer(depth * 4096)
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Free()
	post := func(i uint64, at int) {
		q := unio.Request{ID: i, Op: unio.OpRead, Region: reg, Offset: int64(at*7919%(regionSize>>12)) << 12, Data: buf.Bytes()[i<<12 : i<<12+4096]}
		if _, err := ch.Post(q); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	posted, ended := 0, 0
	done := make([]unio.Completion, depth)
	for ; posted < min(depth, b.N); posted++ {
		post(uint64(posted), posted)
	}
	for ended < b.N {
		n, err := ch.Wait(context.Background(), done)
		if err != nil {
			b.Fatal(err)
		}
		ended += n
		for _, c := range done[:n] {
			if c.Err != nil {
				b.Fatal(c.Err)
			}
			if posted < b.N {
				post(c.ID, posted)
				posted++
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1000, "kIOPS")
}
