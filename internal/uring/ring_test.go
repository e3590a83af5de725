//go:build linux

package uring

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNewSizes(t *testing.T) {
	for _, c := range []struct {
		name           string
		config         Config
		wantSQ, wantCQ uint32
	}{
		{"zero", Config{}, DefaultEntries, 2 * DefaultEntries},
		{"rounded", Config{Entries: 5}, 8, 16},
		{"cq", Config{Entries: 8, CQEntries: 100}, 8, 128},
		{"clamped", Config{Entries: 1 << 20}, 32768, 65536},
		{"one", Config{Entries: 1}, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRing(t, c.config)
			if r.SQEntries() != c.wantSQ || r.CQEntries() != c.wantCQ {
				t.Errorf("sizes %d, %d; want %d, %d", r.SQEntries(), r.CQEntries(), c.wantSQ, c.wantCQ)
			}
			if r.SQSpace() != c.wantSQ || r.SQReady() != 0 || r.CQReady() != 0 || r.Pending() {
				t.Error("a new ring is not empty")
			}
		})
	}
}

func TestCloseOnExec(t *testing.T) {
	r := newRing(t, Config{})
	flags, err := unix.FcntlInt(uintptr(r.FD()), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v; want close-on-exec", flags, err)
	}
}

func TestNextFillsQueue(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	for range 8 { // leave something in every entry
		sqe := next(t, r)
		sqe.AsyncCancel(^uint64(0), CancelAll)
		sqe.SetIOPrio(1)
		sqe.SetBufIndex(1)
	}
	submit(t, r, 8)
	if got := r.Reap(make([]CQE, 8)); got != 8 {
		t.Fatalf("Reap = %d, want 8", got)
	}
	r.stats = Stats{}
	for i := range 8 {
		sqe := next(t, r)
		if *sqe != (SQE{}) {
			t.Fatalf("entry %d is not zeroed: %+v", i, *sqe)
		}
		sqe.Nop()
		sqe.SetUserData(uint64(i))
	}
	if r.Next() != nil || r.SQReady() != 8 || r.SQSpace() != 0 {
		t.Fatal("a full queue gave another entry")
	}
	submit(t, r, 8)
	if got := r.Stats().Enters; got != 1 {
		t.Errorf("%d system calls for one batch, want 1", got)
	}
	submit(t, r, 0)
	if got := r.Stats().Enters; got != 1 {
		t.Errorf("an empty Submit entered the kernel")
	}
	var into [5]CQE
	for _, want := range []int{5, 3, 0} {
		if got := r.Reap(into[:]); got != want {
			t.Fatalf("Reap = %d, want %d", got, want)
		}
	}
	if got := r.Stats().Enters; got != 1 {
		t.Errorf("reaping entered the kernel")
	}
}

// TestHistories drives NOPs in random batches through small rings of every mode: each completes exactly once, with
// the queues wrapping around and the completion queue overflowing.
func TestHistories(t *testing.T) {
	for _, c := range []struct {
		name   string
		needs  FeatureID
		config Config
	}{
		{"default", FeatureRing, Config{Entries: 8}},
		{"tiny", FeatureRing, Config{Entries: 1, CQEntries: 1}},
		{"coop", FeatureCoopTaskrun, Config{Entries: 8, CoopTaskrun: true}},
		{"single", FeatureSingleIssuer, Config{Entries: 8, SingleIssuer: true}},
		{"defer", FeatureDeferTaskrun, Config{Entries: 8, SingleIssuer: true, DeferTaskrun: true}},
		{"sqpoll", FeatureSQPoll, Config{Entries: 8, SQPoll: true, SQIdle: time.Millisecond}},
		{"iopoll", FeatureIOPoll, Config{Entries: 8, IOPoll: true}},
		{"defer iopoll", FeatureDeferTaskrun, Config{Entries: 8, SingleIssuer: true, DeferTaskrun: true, IOPoll: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testFeature(t, c.needs)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			lockThread(t)
			history(t, newRing(t, c.config), rand.New(rand.NewPCG(seed, 1)), 20_000)
		})
	}
}

// history submits total NOPs in batches that outgrow the completion queue, and reaps in batches of other sizes.
func history(t *testing.T, r *Ring, rnd *rand.Rand, total int) {
	seen := make([]bool, total)
	posted, done := 0, 0
	into := make([]CQE, 3*r.CQEntries())
	deadline := time.Now().Add(patience)
	for done < total {
		batch := rnd.IntN(int(r.SQEntries()) + 1)
		for posted < total && batch > 0 && posted-done < int(4*r.CQEntries()) {
			sqe := r.Next()
			if sqe == nil {
				break
			}
			sqe.Nop()
			sqe.SetUserData(uint64(posted))
			posted, batch = posted+1, batch-1
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		n := r.Reap(into[:rnd.IntN(len(into)+1)])
		for _, c := range into[:n] {
			if c.UserData >= uint64(posted) || seen[c.UserData] || c.Res != 0 {
				t.Fatalf("after %d of %d: bad completion %+v", done, posted, c)
			}
			seen[c.UserData] = true
		}
		done += n
		if n == 0 && time.Now().After(deadline) {
			t.Fatalf("%d of %d after %v; fault %v", done, posted, patience, r.Err())
		}
		if n == 0 {
			runtime.Gosched()
		}
	}
	if n := r.Reap(into); n != 0 {
		t.Fatalf("%d completions too many: %+v", n, into[:n])
	}
}

// TestOverflow fills the completion queue several times over before it looks.
func TestOverflow(t *testing.T) {
	r := newRing(t, Config{Entries: 16, CQEntries: 16})
	const total = 100
	for i := range total {
		if r.SQSpace() == 0 {
			submit(t, r, 16)
		}
		sqe := next(t, r)
		sqe.Nop()
		sqe.SetUserData(uint64(i))
	}
	submit(t, r, total%16)
	if r.CQReady() != 16 || !r.Pending() {
		t.Fatalf("%d ready, want a full queue", r.CQReady())
	}
	before := r.Stats().Flushes
	reapN(t, r, total)
	if got := r.Stats().Flushes - before; got == 0 || got > total/16+1 {
		t.Errorf("%d flushes for %d overflown completions in a queue of 16", got, total-16)
	}
	if r.Pending() {
		t.Error("pending after all were reaped")
	}
}

func TestSubmitAndWait(t *testing.T) {
	testFeature(t, FeatureExtArg)
	r := newRing(t, Config{Entries: 8})
	in, out := pipe(t)
	buf := pages(t, 4096)
	sqe := next(t, r)
	sqe.Read(in, addr(buf), 10, AtPosition)
	start := time.Now()
	if n, err := r.SubmitAndWait(1, 20*time.Millisecond); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for r.CQReady() == 0 && time.Since(start) < 20*time.Millisecond { // a signal may end it early
		if _, err := r.SubmitAndWait(1, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if r.CQReady() != 0 {
		t.Fatal("an empty pipe was read")
	}
	go writePipe(out, "0123456789")
	for r.CQReady() == 0 {
		if _, err := r.SubmitAndWait(1, -1); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range reapN(t, r, 1) {
		wantRes(t, c, 10)
	}
	if string(buf[:10]) != "0123456789" {
		t.Fatalf("read %q", buf[:10])
	}
}

// TestHotPathAllocates holds that Next, Submit and Reap do not allocate.
func TestHotPathAllocates(t *testing.T) {
	r := newRing(t, Config{Entries: 64})
	into := make([]CQE, 64)
	batch := func() {
		for i := range 32 {
			sqe := r.Next()
			sqe.Nop()
			sqe.SetUserData(uint64(i))
		}
		if n, err := r.Submit(); n != 32 || err != nil {
			panic(err)
		}
		if n := r.Reap(into); n != 32 {
			panic(n)
		}
		_ = r.GetEvents()
		_, _ = r.SubmitAndWait(0, 0)
		r.SetEventfdEnabled(r.Pending())
	}
	if n := testing.AllocsPerRun(100, batch); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}
