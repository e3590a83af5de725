package uniotest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A model is what the region must hold: the slow, obvious twin of the device.
type model []byte

// apply carries out a mutation that covers [off, off+n) with payload p, and
// returns the old value of the word for atomics.
func (m model) apply(q *unio.Request, p []byte) (old uint64) {
	switch q.Op {
	case unio.OpWrite:
		copy(m[q.Offset:], p)
	case unio.OpDiscard, unio.OpWriteZeroes:
		clear(m[q.Offset : q.Offset+q.Length])
	case unio.OpCompareSwap, unio.OpFetchAdd:
		word := m[q.Offset : q.Offset+8]
		old = binary.LittleEndian.Uint64(word)
		if q.Op == unio.OpFetchAdd {
			binary.LittleEndian.PutUint64(word, old+q.Swap)
		} else if old == q.Compare {
			binary.LittleEndian.PutUint64(word, q.Swap)
		}
	}
	return old
}

// A call is a request with its memory and what must come of it.
type call struct {
	req  unio.Request
	area *area  // nil without memory
	want []byte // of a read, what it must return; of a write, its payload
	old  uint64 // of an atomic
}

// newCall makes a request of the given kind at [off, off+n), with random
// memory, and applies it to the model: calls take effect in the order in which
// they are made.
func (r *rig) newCall(m model, reg *unio.Region, op unio.Opcode, off, n int64) *call {
	c := &call{req: unio.Request{Op: op, Region: reg, Offset: off}}
	switch op {
	case unio.OpRead:
		c.area = r.areas.get(int(n))
		c.area.poison()
		c.want = bytes.Clone(m[off : off+n])
	case unio.OpWrite:
		c.area = r.areas.get(int(n))
		c.want = payload(r.rng, int(n))
		c.area.store(c.want)
	case unio.OpDiscard, unio.OpWriteZeroes:
		c.req.Length = n
	case unio.OpCompareSwap, unio.OpFetchAdd:
		c.newWord(r, m)
	}
	if c.area != nil {
		c.area.attach(&c.req)
	}
	c.old = m.apply(&c.req, c.want)
	return c
}

// newWord fills in the operands of an atomic, and sometimes room for its result.
func (c *call) newWord(r *rig, m model) {
	c.req.Swap = r.rng.Uint64()
	c.req.Compare = binary.LittleEndian.Uint64(m[c.req.Offset:])
	if r.rng.IntN(3) == 0 {
		c.req.Compare++
	}
	if r.rng.IntN(2) == 0 {
		c.area = &area{n: 8}
		r.areas.add(c.area, 8)
	}
}

// verify compares how the call ended with what must come of it.
func (c *call) verify(done unio.Completion) error {
	fail := func(why string, args ...any) error {
		return fmt.Errorf("%s: %w", describe(&c.req), fmt.Errorf(why, args...))
	}
	if done.Err != nil {
		return fail("%w", done.Err)
	}
	if want := length(&c.req); done.N != want {
		return fail("N is %d without an error, want %d", done.N, want)
	}
	if c.area == nil {
		if c.isAtomic() && done.Value != c.old {
			return fail("old value %#x, want %#x", done.Value, c.old)
		}
		return nil
	}
	if err := c.area.changed(false); err != nil {
		return fail("%w", err)
	}
	got := c.area.load()
	if c.isAtomic() {
		if v := binary.LittleEndian.Uint64(got); v != c.old || done.Value != c.old {
			return fail("old value %#x in the completion and %#x in memory, want %#x", done.Value, v, c.old)
		}
		return nil
	}
	if at := differ(got, c.want); at >= 0 {
		return fail("byte %d of the memory is %#x, want %#x (%d bytes differ)", at, got[at], c.want[at], differing(got, c.want))
	}
	return nil
}

func (c *call) isAtomic() bool {
	return c.req.Op == unio.OpCompareSwap || c.req.Op == unio.OpFetchAdd
}

// payload returns n random bytes, none of them the poison byte.
func payload(rng *rand.Rand, n int) []byte {
	p := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	p = p[:n]
	for i, left := 0, p; i >= 0; left = left[i+1:] {
		if i = bytes.IndexByte(left, poisonByte); i >= 0 {
			left[i] = 1
		}
	}
	return p
}

// differ returns the index of the first byte in which a and b, of one length,
// differ, or -1.
func differ(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

func differing(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// compare reads the part of the region at off that the model describes and
// says where it differs.
func (r *rig) compare(ch *unio.Channel, m model, off int64) {
	r.Helper()
	const step = 1 << 20
	for at := 0; at < len(m); at += step {
		want := m[at:min(at+step, len(m))]
		got := r.read(ch, off+int64(at), len(want))
		if i := differ(got, want); i >= 0 {
			r.Fatalf("byte %d of the region is %#x, want %#x (%d of %d bytes differ)",
				off+int64(at+i), got[i], want[i], differing(got, want), len(want))
		}
	}
}
