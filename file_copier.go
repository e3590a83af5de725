package unio

import (
	"context"
	"slices"
)

const (
	// copySize bytes are moved per request of a copy, at multiples of it.
	copySize = 256 << 10
	// copyDepth requests of a copy are in flight at most: 2 MiB of Buffers.
	copyDepth = 8
	// copyAlign keeps file offset and memory address congruent, so that no
	// device needs to copy more than the ragged ends.
	copyAlign = 4096
)

// A copier is what ReadFrom and WriteTo move bytes with: a channel of its own
// and Buffers, used in order. It has one user at a time. A File keeps one.
type copier struct {
	file *File
	ch   *Channel // nil until more than one piece is to be moved
	bufs [copyDepth]*Buffer
	ring [copyDepth]piece // those from head to tail are in use
	head int
	tail int
	done [copyDepth]Completion
}

// A piece is one request of a copy.
type piece struct {
	off   int64
	mem   []byte // part of the Buffer of the same index
	n     int64
	err   error
	ended bool
}

// getCopier returns the spare copier, or a new one.
func (f *File) getCopier() *copier {
	f.grow.Lock()
	defer f.grow.Unlock()
	c := f.spare
	f.spare = nil
	if c == nil {
		c = &copier{file: f}
	}
	f.busy = append(f.busy, c)
	return c
}

// putCopier takes a copier back, when nothing of it is in flight any more.
func (f *File) putCopier(c *copier) {
	c.drain()
	f.grow.Lock()
	defer f.grow.Unlock()
	i := slices.Index(f.busy, c)
	f.busy = slices.Delete(f.busy, i, i+1)
	if f.spare == nil && !f.closed.Load() {
		f.spare = c
		return
	}
	c.release()
}

// connect opens the channel.
func (c *copier) connect() error {
	f := c.file
	f.grow.Lock()
	defer f.grow.Unlock()
	if f.closed.Load() {
		return f.errClosed("copy")
	}
	if c.ch != nil {
		return nil
	}
	ch, err := f.reg.dev.NewChannel(ChannelConfig{Depth: min(copyDepth, f.reg.dev.info.MaxDepth)})
	if err == nil {
		c.ch = ch
	}
	return err
}

// release frees what the copier holds. Nothing is in flight.
func (c *copier) release() {
	if c.ch != nil {
		_ = c.ch.Close()
	}
	for _, b := range c.bufs {
		if b != nil {
			_ = b.Free()
		}
	}
}

func (c *copier) inUse() int    { return c.tail - c.head }
func (c *copier) first() *piece { return &c.ring[c.head%copyDepth] }

// next returns the memory for the piece at off: as much of a free Buffer as
// reaches to the next multiple of copySize.
func (c *copier) next(off int64) ([]byte, error) {
	if c.inUse() == 0 {
		c.head, c.tail = 0, 0 // the Buffer that the cache knows best
	}
	i := c.tail % copyDepth
	if c.bufs[i] == nil {
		b, err := NewBuffer(copySize)
		if err != nil {
			return nil, err
		}
		c.bufs[i] = b
	}
	start := off % copyAlign
	return c.bufs[i].Bytes()[start : start+copySize-off%copySize], nil
}

// post starts the next piece, in the memory that next returned.
func (c *copier) post(op Opcode, off int64, mem []byte) error {
	i := c.tail % copyDepth
	_, err := c.ch.Post(Request{ID: uint64(i), Op: op, Region: c.file.reg, Offset: off, Data: mem})
	if err != nil {
		return err
	}
	c.ring[i] = piece{off: off, mem: mem}
	c.tail++
	c.note(c.ch.Poll(c.done[:]))
	return nil
}

// note takes note of completions.
func (c *copier) note(n int) {
	for i := range c.done[:n] {
		d := &c.done[i]
		p := &c.ring[d.ID]
		p.n, p.err, p.ended = d.N, d.Err, true
		*d = Completion{}
	}
}

// await waits for the first piece in use, frees its place and returns it.
// waited says that it was not there yet.
func (c *copier) await() (p piece, waited bool) {
	for first := c.first(); !first.ended; waited = true {
		n, err := c.ch.Wait(context.Background(), c.done[:])
		c.note(n)
		if n == 0 && err != nil {
			first.err, first.ended = err, true
		}
	}
	p = *c.first()
	c.head++
	return p, waited
}

// drain ends what is in flight.
func (c *copier) drain() {
	if c.inUse() == 0 {
		return
	}
	c.ch.CancelAll()
	for c.inUse() > 0 {
		_, _ = c.await()
	}
}
