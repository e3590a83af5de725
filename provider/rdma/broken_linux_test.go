package rdma

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// A load keeps a channel busy with everything there is, and checks what becomes of it: each request ends once, and its memory
// is not touched afterwards.
type load struct {
	t       testing.TB
	conn    *Conn
	reg     *unio.Region
	rng     *rand.Rand
	memory  *unio.Buffer // slots of loadSlot bytes
	free    []int
	flying  map[uint64]int // slot by ID
	ops     map[uint64]unio.Opcode
	settled []int // slots that are poisoned
	posted  uint64
	ended   map[string]int // completions by what they say
}

const (
	loadSlot  = 64 << 10
	loadSlots = 32
	poison    = 0xdb
)

func newLoad(t testing.TB, memory *unio.Buffer, c *Conn, k Key, rng *rand.Rand) *load {
	l := &load{
		t: t, conn: c, reg: attach(t, c, k, unio.ReadWrite), rng: rng, memory: memory,
		flying: map[uint64]int{}, ops: map[uint64]unio.Opcode{}, ended: map[string]int{},
	}
	for i := range loadSlots {
		l.free = append(l.free, i)
	}
	return l
}

func (l *load) slot(i int) []byte { return l.memory.Bytes()[i*loadSlot : (i+1)*loadSlot] }

// post posts a request at random. It reports false when the channel takes no more.
func (l *load) post() bool {
	if len(l.free) == 0 {
		return false
	}
	slot := l.free[0]
	data := l.slot(slot)[:1+l.rng.IntN(loadSlot)]
	r := unio.Request{ID: l.posted + 1, Op: unio.OpRead, Region: l.reg, Offset: l.rng.Int64N(hostMemory - loadSlot), Data: data}
	switch l.rng.IntN(7) {
	case 0, 1:
	case 2, 3:
		r.Op = unio.OpWrite
	case 4:
		data = l.slot(slot) // any message fits
		r = unio.Request{ID: r.ID, Op: unio.OpRecv, Data: data}
	case 5:
		r = unio.Request{ID: r.ID, Op: unio.OpSend, Data: data}
	case 6:
		r.Op, r.Data, r.Offset, r.Swap = unio.OpFetchAdd, data[:0], r.Offset&^7, 1
	}
	if r.Op == unio.OpRead || r.Op == unio.OpRecv { // what does not come must not be taken for poison
		fill(data, 0)
	}
	if n, err := l.conn.Channel().Post(r); n == 0 {
		if !errors.Is(err, unio.ErrFull) {
			l.t.Fatal(err)
		}
		fill(data, poison)
		return false
	}
	l.posted++
	l.free = l.free[1:]
	l.settled = slices.DeleteFunc(l.settled, func(i int) bool { return i == slot })
	l.flying[r.ID], l.ops[r.ID] = slot, r.Op
	return true
}

// settle takes completions.
func (l *load) settle(done []unio.Completion) {
	for _, d := range done {
		slot, ok := l.flying[d.ID]
		if !ok {
			l.t.Errorf("request %d has ended twice, or was never posted: %+v", d.ID, d)
			continue
		}
		delete(l.flying, d.ID)
		switch {
		case d.Err == nil:
			l.ended["success"]++
		case errors.Is(d.Err, unio.ErrDisconnected):
			l.ended["disconnected"]++
		case errors.Is(d.Err, unio.ErrCanceled):
			l.ended["canceled"]++
		default:
			l.t.Errorf("%v: %v", l.ops[d.ID], d.Err)
		}
		fill(l.slot(slot), poison)
		l.settled = append(l.settled, slot)
		l.free = append(l.free, slot)
	}
}

// untouched checks that nothing was changed since it was poisoned.
func (l *load) untouched() {
	l.t.Helper()
	for _, i := range l.settled {
		if !all(l.slot(i), poison) {
			l.t.Fatalf("memory was changed after its request had ended")
		}
	}
}

// run keeps the channel busy until the connection has ended, or until the time is over.
func (l *load) run(end time.Time) {
	done := make([]unio.Completion, 16)
	for l.conn.Err() == nil && time.Now().Before(end) {
		for range 1 + l.rng.IntN(8) {
			if !l.post() {
				break
			}
		}
		if l.rng.IntN(16) == 0 && l.posted > 0 {
			l.conn.Channel().Cancel(l.posted - uint64(l.rng.IntN(min(int(l.posted), 8))))
		}
		l.settle(done[:l.conn.Channel().Poll(done)])
		if l.rng.IntN(8) == 0 {
			time.Sleep(time.Duration(l.rng.IntN(200)) * time.Microsecond) // sometimes nobody polls
		}
	}
}

// drain takes what is left once the connection has ended.
func (l *load) drain() {
	l.t.Helper()
	if n := len(l.flying); n > 0 {
		l.settle(waitFor(l.t, l.conn, n))
	}
	if n := l.conn.Channel().Poll(make([]unio.Completion, 1)); n != 0 {
		l.t.Error("one more completion than requests")
	}
}

// TestBrokenConnection cuts connections at random octets while everything is in flight in both directions.
func TestBrokenConnection(t *testing.T) {
	const rounds = 30
	seed := uint64(time.Now().UnixNano())
	a := newAuthority(t)
	total := map[string]int{}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		cfg := []Config{{}, {CRC: CRCOff}, a.config()}[round%3]
		cfg.Channel.Depth = 24
		t.Run(fmt.Sprintf("seed %d round %d", seed, round), func(t *testing.T) {
			mine, theirs, ours := buffer(t, loadSlot*loadSlots), buffer(t, loadSlot*loadSlots), buffer(t, hostMemory)
			h := newHost(t, cfg, cfg)
			k := newLink(t, h.addr(), lane{largest: 1 + rng.IntN(20000), rate: 200 << 20}, lane{rate: 200 << 20})
			direction := rng.IntN(2)
			k.expect(direction, mishap{at: 1500 + rng.Int64N(1<<uint(10+rng.IntN(14))), reset: rng.IntN(2) == 0})
			conn, err := Dial(t.Context(), k.addr(), cfg)
			if err != nil {
				t.Skip("cut before the connection was there") // TLS has a long beginning
			}
			closeAtEnd(t, conn)
			served := h.accept()
			own, err := conn.Expose(ours, unio.ReadWrite)
			if err != nil {
				t.Skip("cut at once")
			}
			one := newLoad(t, mine, conn, h.all.Key(), rng)
			two := newLoad(t, theirs, served, own.Key(), rand.New(rand.NewPCG(seed, uint64(round+rounds))))
			end := time.Now().Add(patience)
			ran := make(chan struct{})
			go func() {
				defer close(ran)
				two.run(end)
			}()
			one.run(end)
			<-ran
			for _, l := range []*load{one, two} {
				if l.conn.Err() == nil {
					t.Fatal("the connection was not cut")
				}
				l.drain()
				ended(t, l.conn)
				l.untouched()
				for what, n := range l.ended {
					total[what] += n
				}
			}
			h.check()
		})
	}
	t.Log(total)
}

// TestCancelAtRandom cancels at random over slow links, where everything is in flight for long: what was cancelled does not
// happen later.
func TestCancelAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for round := range 4 {
		t.Run(fmt.Sprintf("seed %d round %d", seed, round), func(t *testing.T) { cancelAtRandom(t, seed, round) })
	}
}

func cancelAtRandom(t *testing.T, seed uint64, round int) {
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	cfg := Config{CRC: CRC(round % 2 * 2)}
	const size = revokeSize // more than the system takes at a time
	memory, target := buffer(t, 2*size), buffer(t, size)
	h := newHost(t, cfg, cfg)
	key := h.expose(target, unio.ReadWrite).Key()
	slow := lane{rate: 300 << 20, delay: time.Millisecond, largest: 100_000}
	k := newLink(t, h.addr(), slow, slow)
	conn := dialTo(t, k.addr(), cfg)
	h.accept()
	reg, witness := attach(t, conn, key, unio.ReadWrite), attach(t, h.witness, key, unio.ReadOnly)
	write, read := memory.Bytes()[:size], memory.Bytes()[size:]
	now, later := make([]byte, size), make([]byte, size)
	until := time.Now().Add(300 * time.Millisecond)
	outcomes := map[string]int{}
	for version := byte(1); time.Now().Before(until); version++ {
		n := 1 + rng.IntN(size)
		fill(write[:n], version)
		fill(read[:n], 0)
		reqs := []unio.Request{{ID: 1, Op: unio.OpWrite, Region: reg, Data: write[:n]}, {ID: 2, Op: unio.OpRead, Region: reg, Data: read[:n]}}
		if rng.IntN(2) == 0 {
			reqs[0], reqs[1] = reqs[1], reqs[0]
		}
		post(t, conn, reqs...)
		if rng.IntN(4) > 0 {
			time.Sleep(time.Duration(rng.IntN(20000)) * time.Microsecond)
		}
		conn.Channel().CancelAll()
		for _, d := range waitFor(t, conn, 2) {
			if d.Err != nil && !errors.Is(d.Err, unio.ErrCanceled) {
				t.Fatal(d.Err)
			}
			outcomes[fmt.Sprint(reqs[0].Op, " first: ", d.ID, d.Err == nil)]++
		}
		// Both have ended: what the host has now stays, and so does what we have.
		fill(write[:n], poison)
		fill(read[:n], poison)
		do(t, h.witness, unio.Request{Op: unio.OpRead, Region: witness, Data: now})
		time.Sleep(time.Duration(rng.IntN(8000)) * time.Microsecond)
		do(t, h.witness, unio.Request{Op: unio.OpRead, Region: witness, Data: later})
		if !bytes.Equal(now, later) {
			t.Fatal("a Write took effect after its end")
		}
		if bytes.IndexByte(later, poison) >= 0 {
			t.Fatal("a Write was sent from memory that was ours again")
		}
		if !all(read[:n], poison) {
			t.Fatal("a Read came after its end")
		}
	}
	t.Log(outcomes)
	h.check()
}

// TestCancelWriteUnderWay cancels a Write of which half has left: it is cut short, ends when the peer has placed its beginning, and
// the rest of its memory is sent no more. What comes behind it is as it should be.
func TestCancelWriteUnderWay(t *testing.T) {
	a := newAuthority(t)
	for name, cfg := range map[string]Config{"CRC": {}, "no CRC": {CRC: CRCOff}, "TLS": a.config(), "plain peers": {Verbs: true}} {
		t.Run(name, func(t *testing.T) {
			const size = 48 << 20 // far more than the system takes
			memory, target := buffer(t, size), buffer(t, size)
			h := newHost(t, cfg, cfg)
			k := newLink(t, h.addr(), lane{}, lane{})
			conn := dialTo(t, k.addr(), cfg)
			h.accept()
			reg := attach(t, conn, h.expose(target, unio.ReadWrite).Key(), unio.ReadWrite)
			do(t, conn, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 8)})
			k.pause(up)
			fill(memory.Bytes(), 1)
			post(t, conn,
				unio.Request{ID: 1, Op: unio.OpWrite, Region: reg, Data: memory.Bytes()},
				unio.Request{ID: 2, Op: unio.OpWrite, Region: reg, Data: []byte("behind"), Offset: 7})
			time.Sleep(10 * time.Millisecond)
			conn.Channel().Cancel(1)
			if n := conn.Channel().Poll(make([]unio.Completion, 1)); n != 0 {
				t.Error("a Write that is on its way has ended")
			}
			k.resume(up)
			for _, d := range waitFor(t, conn, 2) {
				if d.ID == 1 && !errors.Is(d.Err, unio.ErrCanceled) || d.ID == 2 && d.Err != nil {
					t.Errorf("%+v", d)
				}
			}
			fill(memory.Bytes(), poison)
			do(t, conn, unio.Request{Op: unio.OpWrite, Region: reg, Data: []byte("last"), Offset: size - 4})
			b := target.Bytes()
			n := bytes.LastIndexByte(b[:size-4], 1) + 1
			if n == 0 || n > size/2 {
				t.Errorf("%d of %d bytes were written", n, size)
			}
			if bytes.IndexByte(b, poison) >= 0 || string(b[7:13]) != "behind" || string(b[size-4:]) != "last" || bytes.Count(b[n:size-4], []byte{0}) != size-4-n {
				t.Error("the peer's memory has what it should not")
			}
		})
	}
}
