package workload

import "math/bits"

// A generator chooses blocks and directions. It is owned by a worker.
type generator struct {
	state  uint64
	access Access
	first  int64 // first block of its range
	count  int64 // blocks in its range
	next   int64 // sequential: where it stands in the range
}

// random is Wang Yi's wyrand: a multiplication per number.
func (g *generator) random() uint64 {
	g.state += 0xa0761d6478bd642f
	hi, lo := bits.Mul64(g.state, g.state^0xe7037ed1a0b428db)
	return hi ^ lo
}

// below returns a random number of 0 to n-1.
func (g *generator) below(n uint64) uint64 {
	hi, _ := bits.Mul64(g.random(), n)
	return hi
}

// block returns the block to use next.
func (g *generator) block() int64 {
	if g.access.Random {
		return g.first + int64(g.below(uint64(g.count)))
	}
	b := g.first + g.next
	if g.next++; g.next == g.count {
		g.next = 0
	}
	return b
}

// after returns the block after b in the range, around its end.
func (g *generator) after(b int64) int64 {
	if b++; b == g.first+g.count {
		return g.first
	}
	return b
}

// read reports whether the next request is to read.
func (g *generator) read() bool {
	switch g.access.ReadPercent {
	case 100:
		return true
	case 0:
		return false
	}
	return g.below(100) < uint64(g.access.ReadPercent)
}
