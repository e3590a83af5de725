package crc32c

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// contenders are the copies, and copy for comparison.
var contenders = append(copies[:len(copies):len(copies)], contender{
	"copy", func(_ uint32, dst, src []byte) uint32 { return uint32(copy(dst, src)) },
})

// span is more memory than the caches hold, in pieces of 64 KiB that are used
// in random order.
type span struct {
	mem   []byte
	order []int
	turn  int
}

const pieceSize = 64 << 10

func newSpan() *span {
	s := &span{mem: make([]byte, 1<<30)}
	for i := 0; i < len(s.mem); i += 4096 {
		s.mem[i] = 1 // a page of its own
	}
	s.order = rand.Perm(len(s.mem) / pieceSize)
	return s
}

// next returns n octets, a part of pieceSize, that were not used for a lap.
func (s *span) next(n int) []byte {
	s.turn++
	piece, lap := s.order[s.turn%len(s.order)], s.turn/len(s.order)
	return s.mem[piece*pieceSize+lap*n%pieceSize:][:n]
}

func BenchmarkHot(b *testing.B) {
	src, dst := make([]byte, pieceSize), make([]byte, pieceSize+64)
	for _, size := range []int{16, 64, 255, 512, 4 << 10, 64 << 10} {
		for _, to := range []int{0, 20} {
			for _, c := range contenders {
				b.Run(fmt.Sprintf("%d/to=%d/%s", size, to, c.name), func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for b.Loop() {
						c.copy(0, dst[to:], src[:size])
					}
				})
			}
		}
		b.Run(fmt.Sprintf("%d/Update", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				Update(0, src[:size])
			}
		})
	}
}

// BenchmarkCold copies from memory that is not in the cache, and to it.
func BenchmarkCold(b *testing.B) {
	s, hot := newSpan(), make([]byte, pieceSize)
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, c := range contenders {
			b.Run(fmt.Sprintf("from/%d/%s", size, c.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					c.copy(0, hot, s.next(size))
				}
			})
			b.Run(fmt.Sprintf("to/%d/%s", size, c.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					c.copy(0, s.next(size), hot[:size])
				}
			})
		}
	}
}
