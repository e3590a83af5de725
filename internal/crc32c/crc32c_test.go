package crc32c

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

type contender struct {
	name string
	copy func(crc uint32, dst, src []byte) uint32
}

// copies are the functions under test; the Go one runs on every machine.
var copies = []contender{
	{"Copy", Copy},
	{"CopyOut", CopyOut},
	{"copyBlocks", copyBlocks},
	{"sumBlocks", sumBlocks},
}

// guard is what surrounds a destination; it must stay.
const guard = 0xa5

// arena is memory for one copy: a source and a destination with guards.
type arena struct{ src, dst, guards []byte }

// newArena holds copies of up to size octets at offsets below 128.
func newArena(r *rand.Rand, size int) *arena {
	guards := bytes.Repeat([]byte{guard}, size+256)
	a := &arena{src: make([]byte, size+256), dst: bytes.Clone(guards), guards: guards}
	for i := range a.src {
		a.src[i] = byte(r.Uint32())
	}
	return a
}

// check copies n octets from offset from to offset 64+to and says what is wrong.
func (a *arena) check(f func(crc uint32, dst, src []byte) uint32, n, from, to int, crc uint32) error {
	to += 64
	src, dst := a.src[from:from+n], a.dst[to:to+n]
	got, want := f(crc, dst, src), crc32.Update(crc, castagnoli, src)
	if got != want {
		return fmt.Errorf("CRC of %d octets from offset %d to %d, continuing %#x: %#x, want %#x", n, from, to, crc, got, want)
	}
	if !bytes.Equal(dst, src) {
		return fmt.Errorf("%d octets from offset %d to %d differ", n, from, to)
	}
	if !bytes.Equal(a.dst[to-64:to], a.guards[:64]) || !bytes.Equal(a.dst[to+n:to+n+64], a.guards[:64]) {
		return fmt.Errorf("%d octets from offset %d to %d: written beside", n, from, to)
	}
	copy(dst, a.guards)
	return nil
}

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestEveryLength copies each length up to a page and some, from and to each
// offset in 16; with the race detector, which is slow, some of the lengths.
func TestEveryLength(t *testing.T) {
	stride := 1
	if raceEnabled {
		stride = 11
	}
	for _, c := range copies {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRand(t)
			a := newArena(r, 4200)
			for n := 0; n <= 4200; n += stride {
				for from := range 16 {
					for to := range 16 {
						if err := a.check(c.copy, n, from, to, r.Uint32()); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

func TestRandom(t *testing.T) {
	const most = 300 << 10
	for _, c := range copies {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRand(t)
			a := newArena(r, most)
			for range 300 {
				if err := a.check(c.copy, r.IntN(most), r.IntN(128), r.IntN(128), r.Uint32()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestContinued copies a whole in random pieces.
func TestContinued(t *testing.T) {
	for _, c := range copies {
		t.Run(c.name, func(t *testing.T) {
			r := newRand(t)
			src := newArena(r, 1<<20).src
			dst := make([]byte, len(src))
			crc := uint32(0)
			for at := 0; at < len(src); {
				n := min(r.IntN(1<<r.IntN(18)), len(src)-at)
				crc = c.copy(crc, dst[at:], src[at:at+n])
				at += n
			}
			if want := crc32.Checksum(src, castagnoli); crc != want || !bytes.Equal(dst, src) {
				t.Errorf("CRC %#x, want %#x; equal %v", crc, want, bytes.Equal(dst, src))
			}
		})
	}
}

// TestUpdate sums each length up to a page and some, from each offset in 16, and some longer.
func TestUpdate(t *testing.T) {
	r := newRand(t)
	src := newArena(r, 1<<20).src
	check := func(from, n int) {
		crc := r.Uint32()
		if got, want := Update(crc, src[from:from+n]), crc32.Update(crc, castagnoli, src[from:from+n]); got != want {
			t.Fatalf("CRC of %d octets from offset %d, continuing %#x: %#x, want %#x", n, from, crc, got, want)
		}
	}
	for n := range 4200 {
		for from := range 16 {
			check(from, n)
		}
	}
	for range 100 {
		check(r.IntN(128), r.IntN(1<<20))
	}
}

// TestKnown has the vectors of RFC 3720 section B.4.
func TestKnown(t *testing.T) {
	ascending := make([]byte, 32)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	for _, v := range []struct {
		name string
		src  []byte
		want uint32
	}{
		{"nothing", nil, 0},
		{"zeroes", make([]byte, 32), 0x8a9136aa},
		{"ones", bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43},
		{"ascending", ascending, 0x46dd794e},
	} {
		if got := Update(0, v.src); got != v.want {
			t.Errorf("%s: Update says %#x, want %#x", v.name, got, v.want)
		}
		for _, c := range copies {
			if got := c.copy(0, make([]byte, len(v.src)), v.src); got != v.want {
				t.Errorf("%s: %s says %#x, want %#x", v.name, c.name, got, v.want)
			}
		}
	}
}

func TestShortDestination(t *testing.T) {
	for _, c := range copies[:2] {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took a destination that is too short", c.name)
				}
			}()
			c.copy(0, make([]byte, 9, 20), make([]byte, 10))
		}()
	}
}

// TestOthersWrite has memory change while it is copied: src, of which the CRC of what has arrived is expected, or dst, in
// spite of which that of src is expected. That nothing is read twice shows only here.
func TestOthersWrite(t *testing.T) {
	if raceEnabled {
		t.Skip("the race is what is tested")
	}
	const size = 64<<10 + 13
	for _, c := range []struct {
		contender
		dst bool // is what changes
	}{
		{copies[0], false}, {copies[1], true}, {copies[2], false}, {copies[3], true},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := make([]byte, size), make([]byte, size)
			changing, summed := src, dst
			if c.dst {
				changing, summed = dst, src
			}
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				for v := byte(1); !stop.Load(); v++ {
					for i := range changing {
						changing[i] = v
					}
				}
			}()
			defer func() { stop.Store(true); <-done }()
			for range 3000 {
				got := c.copy(0, dst, src)
				if want := crc32.Checksum(summed, castagnoli); got != want {
					t.Fatalf("CRC %#x, want %#x", got, want)
				}
			}
		})
	}
}

func FuzzCopy(f *testing.F) {
	f.Add([]byte("octets"), uint32(0), uint8(3))
	f.Add(make([]byte, 1000), uint32(7), uint8(63))
	f.Fuzz(func(t *testing.T, src []byte, crc uint32, to uint8) {
		for _, c := range copies {
			dst := bytes.Repeat([]byte{guard}, len(src)+512)
			part := dst[to : int(to)+len(src)]
			if got, want := c.copy(crc, part, src), crc32.Update(crc, castagnoli, src); got != want {
				t.Errorf("%s: CRC %#x, want %#x", c.name, got, want)
			}
			if !bytes.Equal(part, src) || bytes.Count(dst[:to], []byte{guard}) != int(to) ||
				bytes.Count(dst[int(to)+len(src):], []byte{guard}) != 512-int(to) {
				t.Errorf("%s: wrong octets in dst or beside it", c.name)
			}
		}
	})
}
