package mem

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// benchRegion is how many bytes the benchmarks spread over: enough for the
// largest request, within the caches as the copy it is compared with.
const benchRegion = 1 << 20

// BenchmarkRequest measures Post and Poll of one request beside the copy that
// it consists of, on the same memory: the difference is to be at most 50 ns.
func BenchmarkRequest(b *testing.B) {
	buf, err := unio.NewBuffer(64 << 10)
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Free()
	for _, open := range []func(testing.TB) *device{benchDRAM, benchDAX} {
		d := open(b)
		dev := unio.NewDevice(d)
		copy(d.mem, pattern(benchRegion, 1)) // or reads would be of one page of zeroes
		for _, size := range []int{64, 512, 4096, 65536} {
			for _, op := range []unio.Opcode{unio.OpRead, unio.OpWrite} {
				data := buf.Bytes()[:size]
				name := fmt.Sprintf("%s/%v/%d/", d.info.Provider, op, size)
				b.Run(name+"copy", func(b *testing.B) { benchCopy(b, op, d.mem[:size], data) })
				b.Run(name+"queue", func(b *testing.B) { benchQueue(b, d, op, data) })
				b.Run(name+"request", func(b *testing.B) { benchRequest(b, dev, op, data) })
			}
		}
		_ = dev.Close()
	}
}

func benchDRAM(b testing.TB) *device {
	d, err := openDRAM(b.Context(), Config{Size: benchRegion})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func benchDAX(b testing.TB) *device {
	d, err := openDAX(b.Context(), filepath.Join(b.TempDir(), "disk"), DAXConfig{Size: benchRegion, Create: true})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func benchCopy(b *testing.B, op unio.Opcode, mem, data []byte) {
	if op == unio.OpRead {
		mem, data = data, mem
	}
	b.ReportAllocs()
	for b.Loop() {
		copy(mem, data)
	}
}

// benchQueue measures this package without the core.
func benchQueue(b *testing.B, d *device, op unio.Opcode, data []byte) {
	q := newQueue(d)
	write := op == unio.OpWrite
	b.ReportAllocs()
	for b.Loop() {
		_ = memory.Guard(func() { _ = q.move(data, 0, write) })
	}
}

func benchRequest(b *testing.B, dev *unio.Device, op unio.Opcode, buf []byte) {
	reg, err := dev.Attach(b.Context(), "", unio.ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer ch.Close()
	reqs := []unio.Request{{Op: op, Region: reg, Data: buf}}
	done := make([]unio.Completion, 1)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := ch.Post(reqs...); n != 1 {
			b.Fatal(err)
		}
		if ch.Poll(done) != 1 || done[0].Err != nil {
			b.Fatal(done[0].Err)
		}
	}
}
