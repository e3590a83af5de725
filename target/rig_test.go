package target

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/provider/rdma"
)

// patience is how long anything may take before it counts as lost.
const patience = 20 * time.Second

// A rig is a target without a network: its connections are simulated.
type rig struct {
	*testing.T
	*Target
	owners sync.Map // *request by its *rdma.IO
}

// serve makes a target, which the test's end closes, before the devices.
func serve(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{T: t}
	var err error
	if r.Target, err = newTarget(cfg, r.finish); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// close closes the target; connections are to have been closed.
func (r *rig) close() {
	within(r, "Close", func() {
		if err := r.Target.Close(); err != nil {
			r.Error(err)
		}
	})
}

// within fails the test if f does not return.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not return", what)
	}
}

// finish is what rdma.Finish is to a target that is served.
func (r *rig) finish(batch []*rdma.IO) {
	for _, io := range batch {
		q, ok := r.owners.Load(io)
		if !ok {
			r.Error("an operation is finished that nobody knows of")
			return
		}
		q.(*request).finished()
	}
}

// A client is a simulated connection. Like one of package rdma it borrows with its lock held, starts and finishes without,
// and has one Waiter, itself, which borrows inside Resume.
type client struct {
	rig *rig
	s   *session

	mu      sync.Mutex
	backlog []*request // that have no memory yet; guarded by mu
	held    int        // guarded by mu
	most    int        // bytes held at a time; guarded by mu
	slow    bool       // keeps what it has read into; guarded by mu
	kept    [][]byte   // guarded by mu
}

// attach simulates a client that asks for an export.
func (r *rig) attach(name string) *client {
	r.Helper()
	c, err := r.tryAttach(name, false)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *rig) tryAttach(name string, readOnly bool) (*client, error) {
	s, err := r.Target.serve(&rdma.Incoming{Region: name, ReadOnly: readOnly, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}})
	if err != nil {
		return nil, err
	}
	return &client{rig: r, s: s.Store.(*session)}, nil
}

// close simulates the connection's end. Nothing of it is in flight.
func (c *client) close() {
	c.mu.Lock()
	c.release()
	c.mu.Unlock()
	if c.s.held != 0 {
		c.rig.Errorf("a client that has given everything back still holds %d bytes", c.s.held)
	}
	c.s.service.Closed()
}

// release gives back what a slow client has kept.
func (c *client) release() {
	for _, p := range c.kept {
		c.giveBack(p)
	}
	c.kept = nil
}

func (c *client) giveBack(p []byte) {
	c.held -= len(p)
	c.s.Return(p)
}

// A request is an operation of a client.
type request struct {
	io   rdma.IO
	c    *client
	data []byte     // what to write, or where to copy what was read; nil: nowhere
	done chan error // gets io.Err
}

// request returns a request of which done has room for one error.
func (c *client) request(op unio.Opcode, off, n int64, data []byte) *request {
	q := &request{io: rdma.IO{Op: op, Offset: off, Length: n}, c: c, data: data, done: make(chan error, 1)}
	c.rig.owners.Store(&q.io, q)
	return q
}

// forget is called for a request that is not posted again.
func (q *request) forget() { q.c.rig.owners.Delete(&q.io) }

// post starts requests, in one batch, as far as there is memory, and the others later.
func (c *client) post(qs ...*request) {
	c.mu.Lock()
	c.backlog = append(c.backlog, qs...)
	starts := c.fill(nil)
	c.mu.Unlock()
	if len(starts) > 0 {
		c.s.Start(starts)
	}
}

// fill gives requests memory. mu is held.
func (c *client) fill(starts []*rdma.IO) []*rdma.IO {
	n := 0
	for ; n < len(c.backlog) && c.provide(c.backlog[n]); n++ {
		starts = append(starts, &c.backlog[n].io)
	}
	c.backlog = append(c.backlog[:0], c.backlog[n:]...)
	return starts
}

// provide borrows what a request needs, all or nothing.
func (c *client) provide(q *request) bool {
	if q.io.Op != unio.OpRead && q.io.Op != unio.OpWrite {
		return true
	}
	for left := int(q.io.Length); left > 0; {
		p := c.s.Borrow(min(left, rdma.MaxBorrow), c)
		if p == nil {
			for _, p := range q.io.Data {
				c.giveBack(p)
			}
			q.io.Data = q.io.Data[:0]
			return false
		}
		c.held += len(p)
		q.io.Data = append(q.io.Data, p)
		left -= len(p)
	}
	c.most = max(c.most, c.held)
	if q.io.Op == unio.OpWrite {
		at := 0
		for _, p := range q.io.Data {
			at += copy(p, q.data[at:])
		}
	}
	return true
}

// Resume implements rdma.Waiter.
func (c *client) Resume() { c.post() }

// finished takes the operation back.
func (q *request) finished() {
	c := q.c
	c.mu.Lock()
	at := 0
	for i, p := range q.io.Data {
		if q.io.Op == unio.OpRead && q.data != nil && q.io.Err == nil {
			at += copy(q.data[at:], p)
		}
		if c.slow && q.io.Op == unio.OpRead {
			c.kept = append(c.kept, p)
		} else {
			c.giveBack(p)
		}
		q.io.Data[i] = nil
	}
	q.io.Data = q.io.Data[:0]
	var starts []*rdma.IO
	if len(c.backlog) > 0 {
		starts = c.fill(nil)
	}
	c.mu.Unlock()
	q.done <- q.io.Err
	if len(starts) > 0 {
		c.s.Start(starts)
	}
}

var errLost = errors.New("it never ends")

// wait returns how a request that was posted has ended.
func (q *request) wait() error {
	defer q.forget()
	select {
	case err := <-q.done:
		return err
	case <-time.After(patience):
		return errLost
	}
}

func (c *client) do(op unio.Opcode, off, n int64, data []byte) error {
	q := c.request(op, off, n, data)
	c.post(q)
	return q.wait()
}

func (c *client) read(off int64, p []byte) error { return c.do(unio.OpRead, off, int64(len(p)), p) }
func (c *client) write(off int64, p []byte) error {
	return c.do(unio.OpWrite, off, int64(len(p)), p)
}
func (c *client) flush() error { return c.do(unio.OpFlush, 0, 0, nil) }

// memoryDevice opens a device of DRAM.
func memoryDevice(t testing.TB, size int64) *unio.Device {
	t.Helper()
	dev, err := mem.Open(context.Background(), mem.Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, dev)
}

// closing closes a device at the end of the test.
func closing(t testing.TB, dev *unio.Device) *unio.Device {
	t.Helper()
	t.Cleanup(func() {
		within(t, "the device's Close", func() {
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	return dev
}

// attachBare attaches without simulating a connection.
func attachBare(t testing.TB, of *Target) *session {
	t.Helper()
	s, err := of.serve(&rdma.Incoming{Region: "disk"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Store.(*session)
}

// shmDir returns a directory in memory.
func shmDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "target")
	if err != nil {
		t.Skip("no /dev/shm: ", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
