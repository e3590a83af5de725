package volume

import (
	"context"
	"fmt"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/mem"
)

// BenchmarkTranslate measures what finding the place of a page and accounting
// for its user take, for a request that hits: at most 60 ns.
func BenchmarkTranslate(b *testing.B) {
	for _, sums := range []bool{false, true} {
		for _, pages := range []int64{1, 64} {
			b.Run(fmt.Sprintf("sums=%v/pages=%d", sums, pages), func(b *testing.B) {
				p, reg, ch := benchPool(b, !sums)
				st := &state{q: &queue{p: p.p}, op: &unio.Op{}}
				buf := make([]byte, 4096)
				for i := range pages {
					must(b, ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: reg, Offset: i << p.p.shift, Data: buf}))
				}
				must(b, p.p.keep.call(context.Background(), func(k *keeper) error {
					for _, v := range k.volumes {
						st.vol = v
					}
					return nil
				}))
				st.op.Op = unio.OpRead
				i := int64(0)
				b.ReportAllocs()
				for b.Loop() {
					i = (i + 1) % pages
					st.op.Offset = i << p.p.shift
					if !st.translateFor(p.p, 4096) {
						b.Fatal("a miss")
					}
					st.letGo()
				}
			})
		}
	}
}

// BenchmarkRequest measures a read of 4 KiB of memory beside one of a volume on
// it.
func BenchmarkRequest(b *testing.B) {
	for _, kind := range []string{"mem", "plain", "checksums"} {
		for _, op := range []unio.Opcode{unio.OpRead, unio.OpWrite} {
			b.Run(fmt.Sprintf("%s/%v", kind, op), func(b *testing.B) {
				var reg *unio.Region
				var ch *unio.Channel
				if kind == "mem" {
					dev, err := mem.Open(b.Context(), mem.Config{Size: 64 << 20})
					must(b, err)
					defer dev.Close()
					reg, err = dev.Attach(b.Context(), "", unio.ReadWrite)
					must(b, err)
					ch, err = dev.NewChannel(unio.ChannelConfig{})
					must(b, err)
				} else {
					_, reg, ch = benchPool(b, kind == "plain")
				}
				buf, err := unio.NewBuffer(4096)
				must(b, err)
				defer buf.Free()
				reqs := []unio.Request{{Op: unio.OpWrite, Region: reg, Data: buf.Bytes()}}
				done := make([]unio.Completion, 1)
				turn := func() {
					if _, err := ch.Post(reqs...); err != nil {
						b.Fatal(err)
					}
					if n, err := ch.Wait(context.Background(), done); n != 1 || done[0].Err != nil {
						b.Fatal(err, done[0].Err)
					}
				}
				turn()
				reqs[0].Op = op
				b.ReportAllocs()
				for b.Loop() {
					turn()
				}
			})
		}
	}
}

func benchPool(b *testing.B, plain bool) (*Pool, *unio.Region, *unio.Channel) {
	dev, err := mem.Open(b.Context(), mem.Config{Size: 128 << 20})
	must(b, err)
	p, err := Create(b.Context(), Config{Members: []Member{{Device: dev}}, NoChecksums: plain, CleanAfter: -1})
	must(b, err)
	b.Cleanup(func() { must(b, p.Close()) })
	must(b, p.CreateVolume(b.Context(), "v", VolumeConfig{Size: 1 << 30}))
	reg, err := p.Attach(context.Background(), "v", unio.ReadWrite)
	must(b, err)
	ch, err := p.NewChannel(unio.ChannelConfig{})
	must(b, err)
	return p, reg, ch
}
