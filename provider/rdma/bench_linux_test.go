package rdma

import (
	"context"
	"os"
	"testing"

	"github.com/unio-stack/unio"
)

func benchmark(b *testing.B, cfg Config, op unio.Opcode, size, depth int) {
	cfg.Congestion = os.Getenv("UNIO_CONGESTION")
	addr, _ := serve(b, 1<<28, Config{CRC: cfg.CRC, Congestion: cfg.Congestion})
	cfg.Channel.Depth = depth
	c, err := Dial(context.Background(), addr, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	reg, err := c.Device().Attach(context.Background(), "", unio.ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	ch := c.Channel()
	buf := make([]byte, size*depth)
	done := make([]unio.Completion, depth)
	reqs := make([]unio.Request, depth)
	free := depth
	ids := make([]uint64, depth)
	for i := range ids {
		ids[i] = uint64(i)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	posted, completed := 0, 0
	x := uint64(88172645463325252)
	for completed < b.N {
		n := 0
		for free > 0 && posted < b.N {
			free--
			id := ids[free]
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			reqs[n] = unio.Request{ID: id, Op: op, Region: reg, Offset: int64(x%uint64(1<<28/size)) * int64(size), Data: buf[id*uint64(size):][:size]}
			n++
			posted++
		}
		if n > 0 {
			if k, err := ch.Post(reqs[:n]...); k != n {
				b.Fatal(err)
			}
		}
		k := ch.Poll(done)
		for i := range k {
			if done[i].Err != nil {
				b.Fatal(done[i].Err)
			}
			ids[free] = done[i].ID
			free++
		}
		completed += k
	}
}

func BenchmarkRead4K64(b *testing.B)  { benchmark(b, Config{CRC: CRCOff}, unio.OpRead, 4096, 64) }
func BenchmarkWrite4K64(b *testing.B) { benchmark(b, Config{CRC: CRCOff}, unio.OpWrite, 4096, 64) }
func BenchmarkRead4K1(b *testing.B)   { benchmark(b, Config{CRC: CRCOff}, unio.OpRead, 4096, 1) }

func BenchmarkWrite4K1(b *testing.B)     { benchmark(b, Config{CRC: CRCOff}, unio.OpWrite, 4096, 1) }
func BenchmarkRead4K64CRC(b *testing.B)  { benchmark(b, Config{}, unio.OpRead, 4096, 64) }
func BenchmarkWrite4K64CRC(b *testing.B) { benchmark(b, Config{}, unio.OpWrite, 4096, 64) }
func BenchmarkRead256K16(b *testing.B)   { benchmark(b, Config{CRC: CRCOff}, unio.OpRead, 256<<10, 16) }

func BenchmarkWrite256K16(b *testing.B) { benchmark(b, Config{CRC: CRCOff}, unio.OpWrite, 256<<10, 16) }

func BenchmarkFetchAdd64(b *testing.B) { benchmark(b, Config{CRC: CRCOff}, unio.OpFetchAdd, 8, 64) }
