package iwarp

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func TestAtomic(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	word := make([]byte, 16)
	binary.LittleEndian.PutUint64(word[8:], 40)
	b.buffers[6] = &buffer{base: 64, data: word, mayRead: true, mayWr: true}
	a.send(func(s *Sender) error {
		return s.Atomic(AtomicRequest{Op: AtomicFetchAdd, STag: 6, TO: 72, Value: 2}, 10)
	})
	a.send(func(s *Sender) error {
		return s.Atomic(AtomicRequest{
			Op: AtomicCmpSwap, STag: 6, TO: 72, Compare: 42, CompareMask: ^uint64(0), Value: 7, Mask: ^uint64(0),
		}, 11)
	})
	a.send(func(s *Sender) error { return s.Read(ReadRequest{}, 12) })
	a.send(func(s *Sender) error {
		return s.Atomic(AtomicRequest{
			Op: AtomicCmpSwap, STag: 6, TO: 72, Compare: 42, CompareMask: ^uint64(0), Value: 8, Mask: ^uint64(0),
		}, 13)
	})
	exchange(a, b, nil)
	if len(a.got) != 4 || a.got[0].original != 40 || a.got[1].original != 42 || a.got[3].original != 7 {
		t.Fatalf("delivered %+v", a.got)
	}
	for i, d := range a.got {
		if d.id != uint64(10+i) {
			t.Errorf("response %d has ID %d", i, d.id)
		}
	}
	if now := binary.LittleEndian.Uint64(word[8:]); now != 7 {
		t.Errorf("word is %d", now)
	}
}

// TestAtomicOctets: RFC 7306 sections 5.2.1 and 5.2.2.
func TestAtomicOctets(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	b.buffers[0x0a0b0c0d] = &buffer{data: make([]byte, 24), mayRead: true, mayWr: true}
	a.send(func(s *Sender) error {
		return s.Atomic(AtomicRequest{Op: AtomicCmpSwap, STag: 0x0a0b0c0d, TO: 0x10, Value: 1, Mask: 2, Compare: 3, CompareMask: 4}, 0)
	})
	want := "0046" + "414a" + "00000000" + "00000001" + "00000001" + "00000000" +
		"00000002" + "00000001" + "0a0b0c0d" + "0000000000000010" +
		"0000000000000001" + "0000000000000002" + "0000000000000003" + "0000000000000004" + "00000000"
	if got := hex.EncodeToString(a.wire); got != want {
		t.Errorf("request  %s\nwant %s", got, want)
	}
	a.deliverTo(b, nil)
	b.answer()
	want = "001e" + "414b" + "00000000" + "00000003" + "00000001" + "00000000" + "00000001" + "0000000000000000" + "00000000"
	if got := hex.EncodeToString(b.wire); got != want {
		t.Errorf("response %s\nwant %s", got, want)
	}
}

// TestAtomicFetchAddFields: FetchAdd has no compare fields; they are as RFC 7306 section 5.2.1 wants them.
func TestAtomicFetchAddFields(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	a.send(func(s *Sender) error { return s.Atomic(AtomicRequest{Compare: 9, CompareMask: 9}, 0) })
	var q AtomicRequest
	q.parse(a.wire[lengthSize+untaggedSize:])
	if q.Compare != 0 || q.CompareMask != ^uint64(0) {
		t.Errorf("compare %x with mask %x", q.Compare, q.CompareMask)
	}
}

// fetchAdd is the pseudocode of RFC 7306 section 5.1.1.
func fetchAdd(original, add, mask uint64) (result uint64) {
	carry := uint64(0)
	for bit := range 64 {
		location := uint64(1) << bit
		s := carry + original&location>>bit + add&location>>bit
		carry = s & 2 >> 1
		if s&1 != 0 {
			result |= location
		}
		if mask&location != 0 {
			carry = 0
		}
	}
	return result
}

// cmpSwap is the pseudocode of RFC 7306 section 5.1.2.
func cmpSwap(original, swap, swapMask, compare, compareMask uint64) uint64 {
	if (compare^original)&compareMask == 0 {
		return original&^swapMask | swap&swapMask
	}
	return original
}

func TestApply(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	masks := []uint64{0, ^uint64(0), 1 << 63, 0x8000000080000000, 1, 0x8080808080808080}
	for range 20000 {
		mask := masks[r.IntN(len(masks))]
		if r.IntN(2) == 0 {
			mask = r.Uint64() & r.Uint64()
		}
		old, value := r.Uint64(), r.Uint64()
		q := AtomicRequest{Op: AtomicFetchAdd, Value: value, Mask: mask}
		if got, want := q.Apply(old), fetchAdd(old, value, mask); got != want {
			t.Fatalf("FetchAdd of %x to %x with mask %x is %x, want %x", value, old, mask, got, want)
		}
		q = AtomicRequest{Op: AtomicCmpSwap, Value: value, Mask: mask, Compare: old ^ uint64(r.IntN(3)), CompareMask: r.Uint64()}
		if got, want := q.Apply(old), cmpSwap(old, q.Value, q.Mask, q.Compare, q.CompareMask); got != want {
			t.Fatalf("%+v of %x is %x, want %x", q, old, got, want)
		}
	}
}

// TestRespondAtomic: only to a request.
func TestRespondAtomic(t *testing.T) {
	_, b := newPair(t, pairConfig{})
	wantErr(t, b.talking().stream.Sender().RespondAtomic(&AtomicRequest{}, 0), ErrMisuse)
}

// TestAtomicResponseOfAnother: the ID must be the request's.
func TestAtomicResponseOfAnother(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	a.send(func(s *Sender) error { return s.Atomic(AtomicRequest{}, 0) })
	body := make([]byte, atomicResponseSize)
	wrong := AtomicResponse{ID: 77}
	wrong.put(body)
	a.feed(fpdu(false, head(Segment{Opcode: OpAtomicResponse, Queue: 3, MSN: 1, Last: true}), body))
	if a.over == nil || a.over.Err.Cause != CauseCatastrophicStream {
		t.Errorf("ended with %+v", a.over)
	}
}
