package uniotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

// checkPeersCancel: a Recv that is cancelled takes no message: the next Recv
// gets it.
func checkPeersCancel(d *duo) {
	for range d.rounds(6) {
		d.correspond(d.rounds(200), false)
	}
	d.alive(d.a, d.b)
}

// checkPeersOwnership: after its completion, whatever its status, nothing
// touches the memory of a message or a Recv. A cancelled message arrives as it
// was, or not at all.
func checkPeersOwnership(d *duo) {
	for range d.rounds(6) {
		d.correspond(d.rounds(200), true)
	}
	d.alive(d.a, d.b)
}

// A correspondence is a series of numbered messages from one side to the other.
// The receiver's requests are cancelled at random, and perhaps the sender's too.
type correspondence struct {
	*duo
	count   int
	longest int
	meddle  bool // with the sender's requests
	sent    []bool
	arrived []int // numbers, by receive; -1 for one that was cancelled
}

// correspond has one side send count messages, and a last one.
func (d *duo) correspond(count int, meddle bool) {
	d.Helper()
	k := &correspondence{duo: d, count: count, meddle: meddle, longest: max(letterSize, min(d.longest(), 8000)), sent: make([]bool, count+1)}
	halves := []*rig{d.half(first, d.a, nil), d.half(second, d.b, nil)}
	var buried [2][]*area
	d.together(2, func(i int, rng *rand.Rand) (err error) {
		if i == 0 {
			buried[0], err = k.send(halves[0], rng)
		} else {
			buried[1], err = k.receive(halves[1], rng)
		}
		return err
	})
	d.check(k.audit())
	for _, areas := range buried {
		for _, ar := range areas {
			d.check(ar.changed(true))
		}
	}
}

// letterSize is the length of the shortest letter.
const letterSize = 4

// letter is the content of message i, which follows from i and has no byte that
// poison has.
func letter(i, n int) []byte {
	p := fillOf(n, byte(1+i%100))
	for k := range letterSize {
		p[k] = byte(i >> (7 * k) & 0x7f)
	}
	return p
}

// open returns the number of a letter, or what is wrong with it.
func open(p []byte) (i int, err error) {
	if len(p) < letterSize {
		return 0, fmt.Errorf("%d bytes were received, fewer than any message has", len(p))
	}
	for k := range letterSize {
		i |= int(p[k]&0x7f) << (7 * k)
	}
	if at := differ(p, letter(i, len(p))); at >= 0 {
		return 0, fmt.Errorf("byte %d of message %d, of %d bytes, is %#x: not what was sent", at, i, len(p), p[at])
	}
	return i, nil
}

// send posts the messages, and in the end one that nobody cancels.
func (k *correspondence) send(r *rig, rng *rand.Rand) ([]*area, error) {
	w := k.newInFlight(r, k.a)
	defer w.stop()
	if err := k.sendAll(w, rng); err != nil {
		return nil, err
	}
	k.sent[k.count] = true
	last := unio.Request{Op: unio.OpSend, Data: letter(k.count, letterSize)}
	_, err := succeed(w.ch, k.cfg.Patience, []unio.Request{last})
	return w.buried, err
}

func (k *correspondence) sendAll(w *inFlight, rng *rand.Rand) error {
	if k.meddle {
		defer w.disturb()()
	}
	for i := 0; i < k.count || len(w.areas) > 0; {
		for ; i < k.count && len(w.areas) < w.ch.Depth() && rng.IntN(6) > 0; i++ {
			n := letterSize + messageLength(rng, k.longest-letterSize)
			ar := w.rig.areas.get(n)
			ar.store(letter(i, n))
			if err := w.post(unio.Request{ID: uint64(i), Op: unio.OpSend}, ar); err != nil {
				return err
			}
			if k.meddle && rng.IntN(4) == 0 {
				w.ch.Cancel(uint64(i))
			}
		}
		done, err := w.fetch()
		if err != nil {
			return err
		}
		for _, c := range done {
			k.sent[c.ID] = c.Err == nil
		}
	}
	return nil
}

// receive takes messages until the last one.
func (k *correspondence) receive(r *rig, rng *rand.Rand) ([]*area, error) {
	w := k.newInFlight(r, k.b)
	defer w.stop()
	defer w.disturb()()
	ahead := 1 + rng.IntN(w.ch.Depth())
	for over := false; !over || len(w.areas) > 0; {
		for !over && len(w.areas) < ahead {
			ar := r.areas.get(k.longest + rng.IntN(100))
			ar.poison()
			if err := w.post(unio.Request{ID: uint64(len(k.arrived)), Op: unio.OpRecv}, ar); err != nil {
				return nil, err
			}
			k.arrived = append(k.arrived, -1)
		}
		done, err := w.fetch()
		if err != nil {
			return nil, err
		}
		for _, c := range done {
			if c.Err != nil {
				continue
			}
			i, err := open(w.contents[c.ID][:c.N])
			if err != nil {
				return nil, fmt.Errorf("receive %d: %w", c.ID, err)
			}
			k.arrived[c.ID] = i
			over = over || i == k.count
		}
		if over {
			w.ch.CancelAll()
		}
	}
	return w.buried, nil
}

// audit compares what was sent with what has arrived.
func (k *correspondence) audit() error {
	last := -1
	seen := make([]bool, k.count+1)
	for id, i := range k.arrived {
		switch {
		case i < 0:
			continue
		case i > k.count:
			return fmt.Errorf("receive %d took message %d of %d", id, i, k.count)
		case i <= last:
			return fmt.Errorf("receive %d took message %d, an earlier one message %d: doubled, or not in order", id, i, last)
		}
		last, seen[i] = i, true
	}
	for i, sent := range k.sent {
		if sent && !seen[i] {
			return fmt.Errorf("message %d of %d was sent and never received", i, k.count)
		}
	}
	return nil
}

// inFlight is one side's requests, all of one kind, that others cancel.
type inFlight struct {
	*rig
	ctx      context.Context // ends with the patience
	stop     func()
	ch       *unio.Channel
	areas    map[uint64]*area  // in flight
	contents map[uint64][]byte // of those that have just completed
	buried   []*area
	latest   atomic.Uint64 // ID posted last
}

func (d *duo) newInFlight(r *rig, p *Peer) *inFlight {
	w := &inFlight{rig: r, ch: p.Channel, areas: map[uint64]*area{}}
	w.ctx, w.stop = context.WithTimeout(context.Background(), d.cfg.Patience)
	return w
}

func (w *inFlight) post(q unio.Request, ar *area) error {
	ar.attach(&q)
	if n, err := w.ch.Post(q); n != 1 {
		return err
	}
	w.areas[q.ID] = ar
	w.latest.Store(q.ID)
	return nil
}

// fetch waits for completions, and takes the memory back: its contents and
// then, poisoned, the memory itself.
func (w *inFlight) fetch() ([]unio.Completion, error) {
	done := make([]unio.Completion, 8)
	n, err := w.ch.Wait(w.ctx, done)
	if err == nil {
		err = w.ctx.Err() // cancelled requests always complete
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %d requests in flight: %w", errLost, len(w.areas), err)
	}
	w.contents = map[uint64][]byte{}
	for _, c := range done[:n] {
		ar := w.areas[c.ID]
		switch {
		case ar == nil:
			return nil, fmt.Errorf("%w: completion of request %d, which is not in flight", errLost, c.ID)
		case c.Err != nil && !errors.Is(c.Err, unio.ErrCanceled):
			return nil, c.Err
		case c.Err == nil && c.N > int64(ar.n):
			return nil, fmt.Errorf("%d bytes in a memory of %d", c.N, ar.n)
		}
		if err := ar.changed(false); err != nil {
			return nil, err
		}
		w.contents[c.ID] = ar.load()
		ar.poison()
		w.buried = append(w.buried, ar)
		delete(w.areas, c.ID)
	}
	return done[:n], nil
}

// disturb cancels requests at random, until the function that it returns is called.
func (w *inFlight) disturb() (calm func()) {
	rng, stop := rand.New(rand.NewPCG(w.rng.Uint64(), 1)), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rng.IntN(50)) * time.Microsecond):
			}
			if latest := w.latest.Load(); rng.IntN(30) == 0 {
				w.ch.CancelAll()
			} else {
				w.ch.Cancel(latest - min(latest, rng.Uint64N(uint64(w.ch.Depth()))))
			}
		}
	})
	return func() {
		close(stop)
		wg.Wait()
	}
}
