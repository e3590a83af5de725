//go:build linux

package uring

import (
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// oldRing is a ring as a kernel gives it that knows none of the helpful flags: with an index array, and stopping at
// the first bad request of a batch.
func oldRing(t *testing.T, c Config) *Ring {
	t.Helper()
	testFeature(t)
	r, err := open(c, []uint32{0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if r.setupFlags&(setupSubmitAll|setupNoSQArray) != 0 {
		t.Fatalf("flags %#x", r.setupFlags)
	}
	return r
}

func TestIndexArray(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	history(t, oldRing(t, Config{Entries: 8}), rand.New(rand.NewPCG(seed, 1)), 20_000)
}

// TestSubmitGoesOn submits batches in which every other request is bad: each Submit still hands over all of them.
func TestSubmitGoesOn(t *testing.T) {
	r := oldRing(t, Config{Entries: 8})
	for _, submit := range []func() (int, error){
		r.Submit,
		func() (int, error) { return r.SubmitAndWait(8, -1) },
	} {
		before := r.Stats().Enters
		for i := range 8 {
			e := next(t, r)
			e.Nop()
			if i%2 == 1 {
				e.opcode = 255
			}
			e.SetUserData(uint64(i))
		}
		if n, err := submit(); n != 8 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if got := r.Stats().Enters - before; got < 2 {
			t.Errorf("%d system calls: this kernel does not stop at a bad request, and nothing was tested", got)
		}
		for id, c := range reapN(t, r, 8) {
			wantRes(t, c, -int32(id%2)*int32(unix.EINVAL))
		}
	}
}

// TestWholeTables registers tables as old kernels want them.
func TestWholeTables(t *testing.T) {
	testFeature(t, FeatureBufferUpdate)
	r := oldRing(t, Config{Entries: 8})
	fd, buf := tempFile(t, 4096, unix.O_DIRECT), pages(t, 4096)
	if err := errors.Join(
		r.registerFilesWhole(3), r.UpdateFile(2, fd),
		r.registerBuffersWhole(3), r.UpdateBuffer(2, buf),
	); err != nil {
		t.Fatal(err)
	}
	e := next(t, r)
	e.ReadFixed(2, addr(buf), 4096, 0, 2)
	e.SetFlags(SQEFixedFile)
	wantRes(t, one(t, r), 4096)
	e = next(t, r)
	e.ReadFixed(1, addr(buf), 4096, 0, 2)
	e.SetFlags(SQEFixedFile)
	wantRes(t, one(t, r), -int32(unix.EBADF))
}
