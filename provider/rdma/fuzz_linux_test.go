package rdma

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// What FuzzPeer exposes has names that an input can know.
const (
	fuzzSTag     = 0x00001000 // readable and writable; the next ones: readable, writable
	fuzzBase     = 0x00010000
	fuzzSize     = 8192
	fuzzGuard    = 4096
	fuzzControl  = 0x00002000
	fuzzUnio     = 1 << 0 // modes of an input: the peer is one of ours,
	fuzzCRC      = 1 << 1 // has CRCs, which the test puts right,
	fuzzResponds = 1 << 2 // and has been dialed
	fuzzModes    = 1 << 3
)

// FuzzPeer feeds what it likes to one end in full operation, which has memory exposed, Recvs posted and requests in flight.
// Nothing beside what the peer may write changes, nothing panics, every request ends once, and so does the connection.
func FuzzPeer(f *testing.F) {
	for mode := range byte(fuzzModes) {
		for _, octets := range fuzzSeeds(f) {
			f.Add(mode, octets)
		}
	}
	f.Fuzz(func(t *testing.T, mode byte, octets []byte) {
		if len(octets) > 1<<20 {
			t.Skip("longer than it pays")
		}
		(&fuzzed{t: t, mode: mode % fuzzModes}).run(octets)
	})
}

// fuzzSeeds are streams of a peer that does right, and some that do not.
func fuzzSeeds(f testing.TB) (seeds [][]byte) {
	p := &raw{t: f}
	p.begin(iwarp.Settings{Initiator: true, IRD: 16, ORD: 16, Revision: 2, Enhanced: true})
	payload := bytes.Repeat([]byte{0xaa}, 300)
	all := p.cut(
		func(s *iwarp.Sender) error { return s.Write(fuzzSTag, fuzzBase+5, iwarp.Payload{Data: payload}) },
		func(s *iwarp.Sender) error {
			return s.Read(iwarp.ReadRequest{SinkSTag: 7, Size: 100, SourceSTag: fuzzSTag + 1, SourceTO: fuzzBase}, 0)
		},
		func(s *iwarp.Sender) error {
			return s.Send(iwarp.SendOptions{Solicited: true}, iwarp.Payload{Data: payload[:100]})
		},
		func(s *iwarp.Sender) error {
			return s.Atomic(iwarp.AtomicRequest{Op: iwarp.AtomicFetchAdd, STag: fuzzSTag, TO: fuzzBase + 64, Value: 1}, 0)
		},
		func(s *iwarp.Sender) error {
			return s.Atomic(iwarp.AtomicRequest{Op: iwarp.AtomicCmpSwap, STag: fuzzSTag, TO: fuzzBase + 64, Value: 1, Mask: 1}, 0)
		},
		func(s *iwarp.Sender) error { return s.Immediate([8]byte{1, 2, 3}, false) },
		func(s *iwarp.Sender) error { return s.Write(fuzzControl, 0, iwarp.Payload{Data: []byte{0, 0, 0, 9}}) },
		func(s *iwarp.Sender) error {
			return s.Write(fuzzSTag+2, fuzzBase, iwarp.Payload{Data: make([]byte, 8000)})
		},
		func(s *iwarp.Sender) error {
			return s.Send(iwarp.SendOptions{Invalidates: true, Invalidate: fuzzSTag + 2}, iwarp.Payload{})
		},
	)
	seeds = append(seeds, all, all[:len(all)-3], []byte("no FPDU at all"), nil)
	for _, ulpdu := range [][][]byte{
		{tagged(ddpLast, iwarp.OpReadResponse, 7, 0), payload[:64]},
		{message(iwarp.OpAtomicResponse, 3), make([]byte, 12)},
		{message(iwarp.OpTerminate, 2), []byte{0x11, 0, 0xc0, 0, 0, 22}, tagged(ddpLast, iwarp.OpWrite, 1, 2)},
		{message(iwarp.OpTerminate, 2), []byte{0x01, 0, 0xe0, 0, 0, 46}, message(iwarp.OpReadRequest, 1), readRequest(64, 0x77, 0)},
		{tagged(ddpMore, iwarp.OpWrite, fuzzSTag, fuzzBase), payload},
		{tagged(ddpLast, iwarp.OpWrite, fuzzSTag, fuzzBase+fuzzSize-8), payload[:9]},
		{untagged(ddpMore, iwarp.OpSend, 0, 0, 1, 0), payload[:10]},
		{message(iwarp.OpReadRequest, 1), readRequest(fuzzSize, fuzzSTag, fuzzBase)},
	} {
		seeds = append(seeds, p.fpdu(ulpdu...))
	}
	return seeds
}

// A fuzzed is one input and what it is fed to.
type fuzzed struct {
	t      testing.TB
	mode   byte
	memory []*unio.Buffer
	heap   []byte // what requests use, between guards
	conn   *Conn
	peer   *raw
}

func (z *fuzzed) run(octets []byte) {
	d := NewDomain()
	for i, rights := range []unio.Rights{unio.ReadWrite, unio.ReadOnly, unio.WriteOnly} {
		z.expose(d, fuzzSTag+uint32(i), rights)
	}
	z.heap = bytes.Repeat([]byte{secret}, 4096)
	z.connect(Config{Domain: d, KeepAlive: -1, HandshakeTimeout: time.Minute})
	defer z.conn.Close()
	z.post()
	if z.mode&fuzzCRC != 0 {
		octets = rightCRCs(octets)
	}
	go func() { // what comes back is dropped
		_, _ = io.Copy(io.Discard, z.peer.tcp)
	}()
	_ = z.peer.tcp.SetWriteDeadline(time.Now().Add(patience))
	_, _ = z.peer.conn.Write(octets) // the other end may have had enough of it
	_ = z.peer.tcp.CloseWrite()
	select {
	case <-z.conn.Done():
	case <-time.After(patience):
		z.t.Fatalf("the connection has not ended: %v", z.conn.Err())
	}
	z.check()
}

// expose exposes the middle of a Buffer, as a name that the input knows.
func (z *fuzzed) expose(d *Domain, stag uint32, rights unio.Rights) {
	b := buffer(z.t, fuzzSize+2*fuzzGuard)
	fill(b.Bytes(), secret)
	z.memory = append(z.memory, b)
	e, err := d.ExposeRange(b, fuzzGuard, fuzzSize, rights)
	if err != nil {
		z.t.Fatal(err)
	}
	d.mu.Lock()
	delete(d.exposed, e.stag)
	e.stag, e.base = stag, fuzzBase
	d.exposed[stag] = e
	d.mu.Unlock()
}

// connect joins both ends.
func (z *fuzzed) connect(cfg Config) {
	depths := iwarp.SetupConfig{IRD: 16, ORD: 16}
	rc := rawConfig{unio: z.mode&fuzzUnio != 0, control: 9, crc: z.mode&fuzzCRC != 0, SetupConfig: depths}
	if !rc.crc {
		cfg.CRC = CRCOff
	}
	if z.mode&fuzzResponds != 0 {
		z.conn, z.peer = rawListen(z.t).meet(rc, func(addr string) (*Conn, error) { return Dial(context.Background(), addr, cfg) })
	} else {
		l, err := Listen(context.Background(), "127.0.0.1:0", cfg)
		if err != nil {
			z.t.Fatal(err)
		}
		defer l.Close()
		z.peer = rawDial(z.t, l.Addr().String(), rc)
		if z.conn, err = l.Accept(context.Background()); err != nil {
			z.t.Fatal(err)
		}
	}
	z.conn.q.mu.Lock()
	if z.conn.q.page.ours != 0 {
		z.conn.q.page.ours = fuzzControl
	}
	z.conn.q.sink = 7
	z.conn.q.mu.Unlock()
}

// post puts requests of all kinds in flight. Those that are sent know no memory of the peer's, which has none.
func (z *fuzzed) post() {
	reg, err := z.conn.Attach(context.Background(), Key{STag: 0x77, Size: 1 << 20}, unio.ReadWrite)
	if err != nil {
		z.t.Fatal(err)
	}
	reqs := []unio.Request{
		{ID: 0, Op: unio.OpRecv, Data: z.heap[512:1024]},
		{ID: 1, Op: unio.OpRecv, Vec: [][]byte{z.heap[1100:1101], z.heap[1200:1300]}},
		{ID: 2, Op: unio.OpRead, Region: reg, Data: z.heap[2000:2064]},
		{ID: 3, Op: unio.OpRead, Region: reg, Vec: [][]byte{z.heap[2100:2130], z.heap[2200:2230]}},
		{ID: 4, Op: unio.OpWrite, Region: reg, Data: z.heap[3000:3100]},
		{ID: 5, Op: unio.OpSend, Data: z.heap[3100:3200]},
	}
	if z.mode&fuzzUnio != 0 {
		reqs = append(reqs, unio.Request{ID: 6, Op: unio.OpFetchAdd, Region: reg, Swap: 1})
	}
	if n, err := z.conn.Channel().Post(reqs...); n != len(reqs) && !errors.Is(err, unio.ErrDisconnected) {
		z.t.Fatal(err)
	}
}

// check looks at what must not have changed, and at the completions.
func (z *fuzzed) check() {
	for i, b := range z.memory {
		p := b.Bytes()
		if !all(p[:fuzzGuard], secret) || !all(p[fuzzGuard+fuzzSize:], secret) {
			z.t.Errorf("memory beside exposure %d was changed", i)
		}
	}
	if !all(z.memory[1].Bytes(), secret) {
		z.t.Error("read-only memory was changed")
	}
	for _, r := range [][2]int{{0, 512}, {1024, 1100}, {1101, 1200}, {1300, 2000}, {2064, 2100}, {2130, 2200}, {2230, 4096}} {
		if !all(z.heap[r[0]:r[1]], secret) {
			z.t.Errorf("memory beside that of requests was changed, in %v", r)
		}
	}
	done := make([]unio.Completion, 16)
	seen := map[uint64]bool{}
	for _, d := range done[:z.conn.Channel().Poll(done)] {
		if seen[d.ID] {
			z.t.Errorf("request %d has ended twice", d.ID)
		}
		seen[d.ID] = true
	}
	if want := 6 + int(z.mode&fuzzUnio); len(seen) != want {
		z.t.Errorf("%d of %d requests have ended", len(seen), want)
	}
}

// rightCRCs puts right the CRC of each FPDU that is there.
func rightCRCs(b []byte) []byte {
	out := bytes.Clone(b)
	for at := 0; at+2 <= len(out); {
		n := int(out[at])<<8 | int(out[at+1])
		end := at + (2+n+3)&^3
		if end+4 > len(out) {
			break
		}
		copy(out[at:], frame(out[at+2:at+2+n], n, true))
		at = end + 4
	}
	return out
}
