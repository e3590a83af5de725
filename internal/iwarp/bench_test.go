package iwarp

import (
	"fmt"
	"testing"
)

// A loop sends messages from one stream to another through memory, as a provider would through a socket.
type loop struct {
	a, b  *Stream
	batch *Batch
	wire  []byte
	place []byte
	done  int
}

func newLoop(tb testing.TB, crc bool, fpdu, copies int) *loop {
	tb.Helper()
	l := &loop{batch: batchOf(tb, 32<<10, 128, copies), wire: make([]byte, 0, 4<<20), place: make([]byte, 1<<20)}
	s := Settings{Initiator: true, CRC: crc, IRD: 16, ORD: 16}
	var err error
	l.a, err = NewStream(s, StreamConfig{MaxFPDU: fpdu, Extensions: true})
	must(tb, err)
	s.Initiator = false
	l.b, err = NewStream(s, StreamConfig{MaxFPDU: fpdu, Extensions: true})
	must(tb, err)
	return l
}

// send puts the message that s has begun on the wire.
func (l *loop) send(s *Sender) {
	for done := false; !done; {
		done = s.Fill(l.batch)
		for _, b := range l.batch.Buffers() {
			l.wire = append(l.wire, b...)
		}
		l.batch.Reset()
	}
}

// receive takes everything from the wire, and answers Reads and Atomics.
func (l *loop) receive(to *Stream) {
	in := l.wire
	for {
		n, e := to.Receiver().Step(in)
		in = in[n:]
		switch e.Kind {
		case EventNone:
			l.wire = l.wire[:0]
			return
		case EventPlace:
			n = copy(l.place[:e.Length], in)
			if to.Receiver().Placed(in[:n]) != nil {
				return
			}
			in = in[n:]
		case EventMessage:
			l.done++
			switch e.Segment.Opcode {
			case OpReadRequest:
				q := e.Read
				l.answer(to, in, to.Sender().Respond(&q, Payload{Data: l.place[:q.Size]}))
				return
			case OpAtomicRequest:
				q := e.Atomic
				l.answer(to, in, to.Sender().RespondAtomic(&q, 1))
				return
			}
		case EventFault:
			panic(e.Err)
		}
	}
}

func (l *loop) answer(from *Stream, in []byte, err error) {
	if err != nil || len(in) > 0 {
		panic(fmt.Sprint(err, len(in)))
	}
	l.wire = l.wire[:0]
	l.send(from.Sender())
	l.receive(l.a)
}

// messages are what goes over in one round.
var messages = map[string]func(*Sender, []byte) error{
	"Write":     func(s *Sender, b []byte) error { return s.Write(1, 0, Payload{Data: b}) },
	"Send":      func(s *Sender, b []byte) error { return s.Send(SendOptions{}, Payload{Data: b}) },
	"Read":      func(s *Sender, b []byte) error { return s.Read(ReadRequest{Size: uint32(len(b))}, 1) },
	"Atomic":    func(s *Sender, _ []byte) error { return s.Atomic(AtomicRequest{}, 1) },
	"Immediate": func(s *Sender, _ []byte) error { return s.Immediate([8]byte{}, false) },
}

// TestNoAllocations: none per message in steady state, in either direction.
func TestNoAllocations(t *testing.T) {
	for name, begin := range messages {
		for _, size := range []int{0, 64, 4096, 100000} {
			l := newLoop(t, true, 1448, 256)
			data := make([]byte, size)
			allocs := testing.AllocsPerRun(20, func() {
				if err := begin(l.a.Sender(), data); err != nil {
					t.Fatal(err)
				}
				l.send(l.a.Sender())
				l.receive(l.b)
			})
			if allocs != 0 {
				t.Errorf("%s of %d octets: %v allocations", name, size, allocs)
			}
			if l.done == 0 {
				t.Errorf("%s of %d octets: nothing arrived", name, size)
			}
		}
	}
}

func BenchmarkLoop(b *testing.B) {
	for _, c := range []struct {
		name, message  string
		size, fpdu, cp int
		crc            bool
	}{
		{"write/64/crc", "Write", 64, 1448, 256, true},
		{"write/64/plain", "Write", 64, 1448, 256, false},
		{"write/4096/crc/mss", "Write", 4096, 1448, 0, true},
		{"write/4096/crc/large", "Write", 4096, MaxFPDU, 0, true},
		{"read/4096/crc/large", "Read", 4096, MaxFPDU, 0, true},
		{"write/1048576/crc/large", "Write", 1 << 20, MaxFPDU, 0, true},
		{"send/128/crc", "Send", 128, MaxFPDU, 256, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newLoop(b, c.crc, c.fpdu, c.cp)
			data := make([]byte, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				if err := messages[c.message](l.a.Sender(), data); err != nil {
					b.Fatal(err)
				}
				l.send(l.a.Sender())
				l.receive(l.b)
			}
		})
	}
}
