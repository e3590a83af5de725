package iwarp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func batchOf(t testing.TB, arena, vec, copies int) *Batch {
	t.Helper()
	b, err := NewBatch(make([]byte, arena), make([][]byte, 0, vec))
	must(t, err)
	b.SetCopyLimit(copies)
	return b
}

func TestBatchLimits(t *testing.T) {
	for _, c := range [][2]int{{minArena - 1, 10}, {1000, minVec - 1}, {0, 0}} {
		_, err := NewBatch(make([]byte, c[0]), make([][]byte, 0, c[1]))
		wantErr(t, err, ErrConfig)
	}
}

// TestBatchPieces: two pieces per FPDU and one more; one in all if payload is copied.
func TestBatchPieces(t *testing.T) {
	for _, c := range []struct{ copies, want int }{{0, 7}, {100, 1}} {
		a, _ := newPair(t, pairConfig{})
		b := batchOf(t, 1000, 8, c.copies)
		for range 3 {
			must(t, a.stream.Sender().Write(1, 0, Payload{Data: pattern(100)}))
			if !a.stream.Sender().Fill(b) {
				t.Fatal("batch is full")
			}
		}
		if got := len(b.Buffers()); got != c.want {
			t.Errorf("%d pieces, want %d", got, c.want)
		}
	}
}

// TestBatchNames: payload is named, not copied.
func TestBatchNames(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	b := batchOf(t, 1000, 8, 10)
	data := pattern(500)
	must(t, a.stream.Sender().Write(1, 0, Payload{Data: data}))
	a.stream.Sender().Fill(b)
	if &b.Buffers()[1][0] != &data[0] {
		t.Error("payload was copied")
	}
	b.Reset()
	for _, piece := range b.vec[:cap(b.vec)] {
		if piece != nil {
			t.Error("batch still refers to payload")
		}
	}
}

// TestBatchStreams: whatever the batch's size, the octets are the same, but for where segments end in a small one; and they
// carry the message.
func TestBatchStreams(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		arena, vec, copies := minArena+random.IntN(500), minVec+random.IntN(10), random.IntN(300)
		t.Run(fmt.Sprintf("%d octets, %d pieces, copies to %d", arena, vec, copies), func(t *testing.T) {
			data := pattern(random.IntN(6000))
			var pieces [][]byte
			for rest := data; len(rest) > 0; {
				n := min(len(rest), random.IntN(700))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}, arena: arena, vec: vec, copies: copies})
			b.buffers[1] = sink(len(data))
			a.send(func(s *Sender) error { return s.Write(1, 0, Payload{Vec: pieces}) })
			exchange(a, b, nil)
			if b.over != nil || !bytes.Equal(b.buffers[1].data, data) {
				t.Errorf("not the octets that were sent; ended with %+v", b.over)
			}
		})
	}
}

// TestBatchAdvance: after partial writes of any size, what is left follows.
func TestBatchAdvance(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	a, _ := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b := batchOf(t, 4096, 64, 0)
	for n := range 10 {
		must(t, a.stream.Sender().Send(SendOptions{}, Payload{Data: pattern(n * 70)}))
		a.stream.Sender().Fill(b)
	}
	want := slices.Concat(b.Buffers()...)
	var got []byte
	for !b.Empty() {
		left := slices.Concat(b.Buffers()...)
		n := random.IntN(len(left) + 1)
		got = append(got, left[:n]...)
		b.Advance(n)
	}
	if !bytes.Equal(got, want) {
		t.Error("octets differ")
	}
	if b.Advance(5); !b.Empty() || b.used != 0 {
		t.Error("batch is not as new")
	}
}

// TestSetMaxFPDU: no FPDU is larger, and all but the last are as large as they can be; out of range is taken as the nearest.
func TestSetMaxFPDU(t *testing.T) {
	for _, c := range [][2]int{{0, MinFPDU}, {1460, 1460}, {1447, 1444}, {1 << 20, MaxFPDU}} {
		a, _ := newPair(t, pairConfig{})
		a.stream.Sender().SetMaxFPDU(c[0])
		a.send(func(s *Sender) error { return s.Write(1, 0, Payload{Data: make([]byte, 200000)}) })
		sizes := fpduSizes(a.wire)
		for _, n := range sizes[:len(sizes)-1] {
			if n != c[1] {
				t.Fatalf("at most %d: FPDU of %d", c[0], n)
			}
		}
	}
}

// TestFillWithoutMessage does nothing.
func TestFillWithoutMessage(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	b := batchOf(t, minArena, minVec, 0)
	if !a.stream.Sender().Fill(b) || !b.Empty() || len(b.Buffers()) != 0 {
		t.Error("something is in the batch")
	}
}
