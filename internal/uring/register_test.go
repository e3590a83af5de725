//go:build linux

package uring

import (
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFileSlots fills, replaces and empties slots; the ring keeps what the descriptor's owner has closed.
func TestFileSlots(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	if err := r.UpdateFile(0, 0); !errors.Is(err, unix.ENXIO) {
		t.Fatalf("update without a table: %v", err)
	}
	if err := r.RegisterFiles(4); err != nil {
		t.Fatal(err)
	}
	if err := r.RegisterFiles(4); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("second table: %v", err)
	}
	if err := r.UpdateFile(4, 0); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("slot out of range: %v", err)
	}
	if err := r.UpdateFile(0, 1<<20); !errors.Is(err, unix.EBADF) {
		t.Fatalf("bad descriptor: %v", err)
	}
	buf := pages(t, 4096)
	read := func() int32 {
		e := next(t, r)
		e.Read(1, addr(buf), 4096, 0)
		e.SetFlags(SQEFixedFile)
		return one(t, r).Res
	}
	if got := read(); got != -int32(unix.EBADF) {
		t.Fatalf("empty slot: %d", got)
	}
	for _, size := range []int64{100, 200} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(size), r.UpdateFile(1, int(f.Fd())), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != int32(size) {
			t.Fatalf("read %d of a registered file of %d", got, size)
		}
	}
	if err := r.UpdateFile(1, -1); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != -int32(unix.EBADF) {
		t.Fatalf("emptied slot: %d", got)
	}
	if err := r.UnregisterFiles(); err != nil {
		t.Fatal(err)
	}
}

func TestBufferSlots(t *testing.T) {
	testFeature(t, FeatureBufferUpdate)
	r := newRing(t, Config{Entries: 8})
	fd := tempFile(t, 8192, unix.O_DIRECT)
	a, b := pages(t, 4096), pages(t, 8192)
	if err := r.UpdateBuffer(0, a); !errors.Is(err, unix.ENXIO) {
		t.Fatalf("update without a table: %v", err)
	}
	if err := r.RegisterBuffersSparse(2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		slot uint32
		mem  []byte
		want error
	}{
		{"empty", 0, nil, unix.EINVAL},
		{"slot out of range", 2, a, unix.EINVAL},
		{"read-only memory", 0, readOnly(t), unix.EFAULT},
	} {
		if err := r.UpdateBuffer(c.slot, c.mem); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	readFixed := func(mem []byte) int32 {
		e := next(t, r)
		e.ReadFixed(fd, addr(mem), uint32(len(mem)), 0, 1)
		return one(t, r).Res
	}
	const outside = -int32(unix.EFAULT)
	for _, step := range []struct {
		name         string
		update       func() error
		wantA, wantB int32
	}{
		{"before", func() error { return nil }, outside, outside},
		{"a", func() error { return r.UpdateBuffer(1, a) }, 4096, outside},
		{"b instead", func() error { return r.UpdateBuffer(1, b) }, outside, 8192},
		{"cleared", func() error { return r.ClearBuffer(1) }, outside, outside},
		{"cleared again", func() error { return r.ClearBuffer(1) }, outside, outside},
		{"a again", func() error { return r.UpdateBuffer(1, a) }, 4096, outside},
		{"dropped", r.UnregisterBuffers, outside, outside},
	} {
		if err := step.update(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if gotA, gotB := readFixed(a), readFixed(b); gotA != step.wantA || gotB != step.wantB {
			t.Errorf("%s: results %d, %d; want %d, %d", step.name, gotA, gotB, step.wantA, step.wantB)
		}
	}
}

func readOnly(t *testing.T) []byte {
	t.Helper()
	b := pages(t, 4096)
	if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRegisterFromAnywhere updates slots from other goroutines while the owner does I/O.
func TestRegisterFromAnywhere(t *testing.T) {
	testFeature(t, FeatureBufferUpdate)
	r := newRing(t, Config{Entries: 8})
	fd := tempFile(t, 4096, unix.O_DIRECT)
	if err := errors.Join(r.RegisterBuffersSparse(4), r.RegisterFiles(4)); err != nil {
		t.Fatal(err)
	}
	mine := pages(t, 4096)
	if err := errors.Join(r.UpdateBuffer(3, mine), r.UpdateFile(3, fd)); err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup
	for slot := range uint32(3) {
		mem := pages(t, 4096)
		others.Go(func() {
			for range 200 {
				if err := errors.Join(r.UpdateBuffer(slot, mem), r.UpdateFile(slot, fd), r.ClearBuffer(slot)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer others.Wait()
	for range 200 {
		e := next(t, r)
		e.ReadFixed(3, addr(mine), 4096, 0, 3)
		e.SetFlags(SQEFixedFile)
		wantRes(t, one(t, r), 4096)
	}
}

func TestIOWQMaxWorkers(t *testing.T) {
	testFeature(t, FeatureWorkers)
	r := newRing(t, Config{})
	if _, _, err := r.RegisterIOWQMaxWorkers(3, 5); err != nil {
		t.Fatal(err)
	}
	b, u, err := r.RegisterIOWQMaxWorkers(0, 0)
	if b != 3 || u != 5 || err != nil {
		t.Fatalf("limits %d, %d, %v; want 3, 5", b, u, err)
	}
}

// TestRingFD enters by registered index, and gives the place back: the table has 16 places.
func TestRingFD(t *testing.T) {
	testFeature(t, FeatureRingFD)
	lockThread(t)
	for i := range 40 {
		r, err := New(Config{Entries: 4, SingleIssuer: i%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.RegisterRingFD(), r.RegisterRingFD()); err != nil {
			t.Fatalf("ring %d: %v", i, err)
		}
		next(t, r).Nop()
		wantRes(t, one(t, r), 0)
		if i%3 == 0 {
			if err := r.UnregisterRingFD(); err != nil {
				t.Fatal(err)
			}
			next(t, r).Nop()
			wantRes(t, one(t, r), 0)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
