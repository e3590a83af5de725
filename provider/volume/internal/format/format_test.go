package format

import (
	"errors"
	"reflect"
	"testing"
)

func superblock(t testing.TB) *Superblock {
	s := &Superblock{
		Pool: ID{1, 2}, Generation: 7, Index: 1, Members: []ID{{3}, {4}, {5}},
		ExtentSize: 1 << 20, Sums: true, Size: 100 << 20, LogSize: 4 << 20,
	}
	if err := s.Plan(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuperblock(t *testing.T) {
	s := superblock(t)
	got, err := DecodeSuperblock(s.Encode())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("%+v, %v; want %+v", got, err, s)
	}
	if end := s.DataOf(s.Extents); end > s.Size || s.Extents < 90 {
		t.Errorf("%d extents end at %d of %d", s.Extents, end, s.Size)
	}
	for i := range SuperblockSize * 8 {
		p := s.Encode()
		p[i/8] ^= 1 << (i % 8)
		if _, err := DecodeSuperblock(p); err == nil {
			t.Fatalf("bit %d can flip unnoticed", i)
		}
	}
}

func TestSuperblockRefused(t *testing.T) {
	newer := superblock(t).Encode()
	newer[8] = Version + 1
	torn := superblock(t).Encode()
	clear(torn[512:])
	for name, c := range map[string]struct {
		p    []byte
		want error
	}{
		"blank":   {make([]byte, SuperblockSize), ErrBlank},
		"foreign": {append([]byte("EFI PART"), make([]byte, SuperblockSize-8)...), ErrForeign},
		"newer":   {newer, ErrNewer},
		"torn":    {torn, ErrDamaged},
		"short":   {make([]byte, 100), ErrDamaged},
	} {
		if _, err := DecodeSuperblock(c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestPlanTooSmall(t *testing.T) {
	for size := int64(0); size < 1<<20; size += 4096 {
		s := Superblock{ExtentSize: MinExtentSize, Sums: true, Size: size, LogSize: 256 << 10}
		if err := s.Plan(); err == nil && s.DataOf(s.Extents) > size {
			t.Fatalf("%d bytes: extents end at %d", size, s.DataOf(s.Extents))
		}
	}
}

func TestDirty(t *testing.T) {
	p := make([]byte, DirtySectorSize)
	if err := CheckDirty(p, 3); err != nil {
		t.Error("never written:", err)
	}
	number, at, mask := DirtyBit(3*DirtyPerSector + 17)
	p[at] |= mask
	EncodeDirty(p, number)
	if err := CheckDirty(p, 3); err != nil || number != 3 {
		t.Error(number, err)
	}
	if CheckDirty(p, 2) == nil {
		t.Error("sector 3 passes for sector 2")
	}
	p[at] ^= mask
	if CheckDirty(p, 3) == nil {
		t.Error("a bit can flip unnoticed")
	}
}

func record() ([]byte, *Record) {
	r := &Record{
		Epoch: 3, LSN: 9, Volume: 5, Position: 777,
		Targets: []Target{{1, 4096, 512}, {0, 1 << 40, 1024}},
	}
	size, head := RecordSize(len(r.Targets), 1536, 512)
	p := make([]byte, size)
	r.Payload = p[head:]
	for i := range 1536 {
		r.Payload[i] = byte(i)
	}
	r.Encode(p, head)
	return p, r
}

func TestRecord(t *testing.T) {
	p, want := record()
	got, size, err := DecodeRecord(append(p[:len(p):len(p)], 1, 2, 3))
	if err != nil || size != int64(len(p)) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %d, %v; want %+v", got, size, err, want)
	}
	for n := range p {
		if _, _, err := DecodeRecord(p[:n]); err == nil {
			t.Fatalf("%d bytes of %d are a record", n, len(p))
		}
	}
	for i := range len(p) * 8 {
		p[i/8] ^= 1 << (i % 8)
		if _, _, err := DecodeRecord(p); err == nil {
			t.Fatalf("bit %d can flip unnoticed", i)
		}
		p[i/8] ^= 1 << (i % 8)
	}
}

func TestLogHead(t *testing.T) {
	h := LogHead{Pool: ID{9}, Epoch: 4, LSN: 11}
	p := h.Encode()
	if got, err := DecodeLogHead(p, h.Pool); err != nil || got != h {
		t.Error(got, err)
	}
	if _, err := DecodeLogHead(p, ID{8}); err == nil {
		t.Error("another pool's head passes")
	}
}

// reseal makes the checksum right, so that a fuzzer gets past it.
func reseal(p []byte, at int) []byte {
	q := append([]byte(nil), p...)
	if len(q) >= at+4 {
		s := seal(q, at)
		q[at], q[at+1], q[at+2], q[at+3] = byte(s), byte(s>>8), byte(s>>16), byte(s>>24)
	}
	return q
}

func FuzzDecodeSuperblock(f *testing.F) {
	f.Add(superblock(f).Encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, q := range [][]byte{p, reseal(p, 12)} {
			s, err := DecodeSuperblock(q)
			if err != nil {
				continue
			}
			if s.Extents < 1 || s.Data < 0 || s.DataOf(s.Extents) > s.Size || s.DataOf(s.Extents) < s.Data || s.Index >= len(s.Members) {
				t.Errorf("accepted %+v", s)
			}
			if again, err := DecodeSuperblock(s.Encode()); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%+v becomes %+v, %v", s, again, err)
			}
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	p, _ := record()
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, q := range [][]byte{p, reseal(p, 4)} {
			r, size, err := DecodeRecord(q)
			if err != nil {
				continue
			}
			var n int64
			for _, g := range r.Targets {
				n += g.Length
			}
			if size <= 0 || size > int64(len(q)) || n > int64(len(r.Payload)) {
				t.Errorf("accepted %+v of %d bytes", r, size)
			}
		}
	})
}

func FuzzDecodeLogHead(f *testing.F) {
	f.Add(LogHead{Epoch: 1}.Encode())
	f.Fuzz(func(_ *testing.T, p []byte) { _, _ = DecodeLogHead(reseal(p, 12), ID{}) })
}

func FuzzCheckDirty(f *testing.F) {
	f.Add(make([]byte, DirtySectorSize), int64(0))
	f.Fuzz(func(_ *testing.T, p []byte, n int64) { _ = CheckDirty(reseal(p, 0), n) })
}
