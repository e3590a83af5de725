package rdma

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A lane is what one direction of a link is like. The zero value is as good as there is none.
type lane struct {
	delay   time.Duration // from when octets come until they go on
	jitter  time.Duration // up to so much more, for each piece
	largest int           // octets in one write, from 1 on, at random; 0: as they came
	rate    int           // octets per second; 0: without bound
}

// room is how many octets the lane holds: what is on its way, and a little more.
func (l *lane) room() int {
	if l.rate == 0 {
		return 1 << 20
	}
	return max(16<<10, int(float64(l.rate)*(l.delay+l.jitter+10*time.Millisecond).Seconds()))
}

// The directions of a link.
const (
	up   = 0 // from who dials
	down = 1 // to who dials
)

// A link is a relay between two ends on loopback, whose faults the test controls. What it holds back is bounded, so that an
// end that sends is slowed down as by a real one.
type link struct {
	t        testing.TB
	listener net.Listener
	target   string
	lanes    [2]lane
	all      sync.WaitGroup

	mu    sync.Mutex
	gate  [2]chan struct{} // closed while octets may pass; guarded by mu
	faces []*crossing      // guarded by mu
	over  bool             // guarded by mu
	next  [2][]mishap      // for the connections to come; guarded by mu
	seed  uint64           // guarded by mu
}

// A mishap befalls an octet of one direction of a connection.
type mishap struct {
	at    int64 // octets before it
	flip  byte  // bits of it that are turned over; 0: the connection is cut instead
	reset bool  // with a reset, and not in good order
}

// A crossing is one connection over the link.
type crossing struct {
	link *link
	ends [2]*net.TCPConn // who dialed, and the target
	done chan struct{}   // closed when it is over
	stop sync.Once
}

// newLink relays from an address of its own to target until the test ends.
func newLink(t testing.TB, target string, upLane, downLane lane) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{t: t, listener: l, target: target, lanes: [2]lane{upLane, downLane}, seed: rand.Uint64()}
	for i := range k.gate {
		k.gate[i] = make(chan struct{})
		close(k.gate[i])
	}
	k.all.Go(k.run)
	t.Cleanup(k.close)
	return k
}

// addr is where to dial.
func (k *link) addr() string { return k.listener.Addr().String() }

// pause holds back all that goes in the direction, until resume.
func (k *link) pause(direction int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.gate[direction]:
		k.gate[direction] = make(chan struct{})
	default:
	}
}

func (k *link) resume(direction int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.gate[direction]:
	default:
		close(k.gate[direction])
	}
}

// expect lets a mishap befall the next connection. Give those of one direction in their order.
func (k *link) expect(direction int, m mishap) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next[direction] = append(k.next[direction], m)
}

// cut ends all connections now.
func (k *link) cut(reset bool) {
	k.mu.Lock()
	all := k.faces
	k.faces = nil
	k.mu.Unlock()
	for _, c := range all {
		c.end(reset)
	}
}

func (k *link) close() {
	k.mu.Lock()
	k.over = true
	k.mu.Unlock()
	_ = k.listener.Close()
	k.cut(true)
	k.all.Wait()
}

func (k *link) run() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		d, err := net.Dial("tcp", k.target)
		if err != nil { // the target is gone: so is who comes
			_ = c.Close()
			continue
		}
		k.join(c.(*net.TCPConn), d.(*net.TCPConn))
	}
}

// join relays between two connections.
func (k *link) join(from, to *net.TCPConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &crossing{link: k, ends: [2]*net.TCPConn{from, to}, done: make(chan struct{})}
	if k.over {
		c.end(true)
		return
	}
	k.faces = append(k.faces, c)
	var both sync.WaitGroup
	for direction := range 2 {
		k.seed++
		w := &way{
			crossing: c, direction: direction, lane: k.lanes[direction], mishaps: k.next[direction],
			from: c.ends[direction], to: c.ends[1-direction],
			held: make(chan parcel, parcels), rng: rand.New(rand.NewPCG(k.seed, 0)),
		}
		if w.lane.rate > 0 { // what waits in the system is acknowledged: hold little of it
			_ = w.from.SetReadBuffer(w.lane.room())
			_ = w.to.SetWriteBuffer(w.lane.room())
		}
		k.next[direction] = nil
		k.all.Go(w.take)
		both.Go(w.give)
	}
	k.all.Go(func() {
		both.Wait()
		c.end(false)
	})
}

// end closes both sides.
func (c *crossing) end(reset bool) {
	c.stop.Do(func() {
		close(c.done)
		for _, e := range c.ends {
			if reset {
				_ = e.SetLinger(0)
			}
			_ = e.Close()
		}
	})
}

// A way is one direction of a crossing.
type way struct {
	*crossing
	direction int
	lane      lane
	mishaps   []mishap
	from, to  *net.TCPConn
	held      chan parcel
	rng       *rand.Rand // of give
	passed    int64      // octets; of give
	free      time.Time  // when the rate permits the next octet; of give
}

// parcels is in how many parts what a lane holds is.
const parcels = 16

// A parcel is what came at one time.
type parcel struct {
	data []byte
	came time.Time
}

// take reads what comes. The end of it goes through held too, so that it overtakes nothing.
func (w *way) take() {
	defer close(w.held)
	for {
		b := make([]byte, w.lane.room()/parcels)
		n, err := w.from.Read(b)
		if n > 0 {
			select {
			case w.held <- parcel{b[:n], time.Now()}:
			case <-w.done:
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return
		default:
			w.end(true)
			return
		}
	}
}

// give writes what was taken, under the lane's conditions.
func (w *way) give() {
	for p := range w.held {
		wait := w.lane.delay
		if w.lane.jitter > 0 {
			wait += time.Duration(w.rng.Int64N(int64(w.lane.jitter)))
		}
		if wait > 0 && !w.sleep(time.Until(p.came.Add(wait))) || !w.forward(p.data) {
			for range w.held { // its end is near
			}
			return
		}
	}
	if w.pass(0) {
		_ = w.to.CloseWrite()
	}
}

// forward writes data piece by piece. It reports false when the connection is over.
func (w *way) forward(data []byte) bool {
	for len(data) > 0 {
		n := len(data)
		if w.lane.largest > 0 {
			n = min(n, 1+w.rng.IntN(w.lane.largest))
		}
		n, cut := w.befall(data[:n])
		if !w.pass(n) {
			return false
		}
		if _, err := w.to.Write(data[:n]); err != nil {
			w.end(true)
			return false
		}
		w.passed += int64(n)
		if cut != nil {
			w.end(cut.reset)
			return false
		}
		data = data[n:]
	}
	return true
}

// befall turns over the bits that are to be, and says how much goes before the connection is cut, if it is.
func (w *way) befall(data []byte) (n int, cut *mishap) {
	for len(w.mishaps) > 0 {
		m := &w.mishaps[0]
		at := m.at - w.passed
		if at >= int64(len(data)) {
			break
		}
		w.mishaps = w.mishaps[1:]
		if m.flip == 0 {
			return int(max(at, 0)), m
		}
		data[at] ^= m.flip
	}
	return len(data), nil
}

// pass waits until n octets may go.
func (w *way) pass(n int) bool {
	if w.lane.rate > 0 {
		now := time.Now()
		if w.free.Before(now.Add(-10 * time.Millisecond)) { // a little may be saved up
			w.free = now
		}
		w.free = w.free.Add(time.Duration(n) * time.Second / time.Duration(w.lane.rate))
		if d := w.free.Sub(now); d > time.Millisecond && !w.sleep(d) {
			return false
		}
	}
	w.link.mu.Lock()
	gate := w.link.gate[w.direction]
	w.link.mu.Unlock()
	select {
	case <-gate:
		return true
	case <-w.done:
		return false
	}
}

func (w *way) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.done:
		return false
	}
}
