package unio

import "math/bits"

// A fifo is a bounded queue of op tags. Its owner never pushes more than it
// has reserved, which is at least how many places the channel has.
type fifo struct {
	tags       []uint32 // length a power of two
	head, tail uint32
}

// reserve makes room for n tags in all.
func (f *fifo) reserve(n int) {
	if n <= len(f.tags) {
		return
	}
	larger := fifo{tags: make([]uint32, ceilPow2(n))}
	for f.len() > 0 {
		larger.push(f.pop())
	}
	*f = larger
}

func (f *fifo) len() int     { return int(f.tail - f.head) }
func (f *fifo) peek() uint32 { return f.tags[f.head&uint32(len(f.tags)-1)] }

func (f *fifo) push(tag uint32) {
	f.tags[f.tail&uint32(len(f.tags)-1)] = tag
	f.tail++
}

func (f *fifo) pop() uint32 {
	tag := f.peek()
	f.head++
	return tag
}

// remove takes tag out, wherever it is.
func (f *fifo) remove(tag uint32) {
	for n := f.len(); n > 0; n-- {
		if t := f.pop(); t != tag {
			f.push(t)
		}
	}
}

func ceilPow2(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }
