//go:build linux

package uring

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClosed asks everything of a closed ring.
func TestClosed(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	next(t, r).Nop()
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	var into [4]CQE
	if r.Next() != nil || r.Reap(into[:]) != 0 || r.CQReady() != 0 || r.SQReady() != 0 || r.SQSpace() != 0 || r.Pending() || r.FD() != -1 {
		t.Error("a closed ring still has something")
	}
	r.SetEventfdEnabled(false)
	_, submitErr := r.Submit()
	_, waitErr := r.SubmitAndWait(1, time.Second)
	_, cancelErr := r.SyncCancel(1, 0, 0)
	_, _, workersErr := r.RegisterIOWQMaxWorkers(1, 1)
	for name, err := range map[string]error{
		"Submit": submitErr, "SubmitAndWait": waitErr, "SyncCancel": cancelErr, "RegisterIOWQMaxWorkers": workersErr,
		"Err": r.Err(), "GetEvents": r.GetEvents(), "WaitSQ": r.WaitSQ(), "RegisterFiles": r.RegisterFiles(1),
		"UpdateFile": r.UpdateFile(0, 0), "RegisterBuffersSparse": r.RegisterBuffersSparse(1),
		"UpdateBuffer": r.UpdateBuffer(0, make([]byte, 1)), "ClearBuffer": r.ClearBuffer(0),
		"RegisterEventfd": r.RegisterEventfd(0), "RegisterRingFD": r.RegisterRingFD(), "UnregisterRingFD": r.UnregisterRingFD(),
	} {
		if !errors.Is(err, ErrClosed) || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// TestCloseInFlight closes rings with requests pending; the kernel lets go of the files they used.
func TestCloseInFlight(t *testing.T) {
	for _, c := range []struct {
		name   string
		needs  FeatureID
		config Config
	}{
		{"default", FeatureRing, Config{Entries: 64}},
		{"defer", FeatureDeferTaskrun, Config{Entries: 64, SingleIssuer: true, DeferTaskrun: true}},
		{"sqpoll", FeatureSQPoll, Config{Entries: 64, SQPoll: true, SQIdle: time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testFeature(t, c.needs)
			lockThread(t)
			r := newRing(t, c.config)
			p, err := pipeFiles()
			if err != nil {
				t.Fatal(err)
			}
			defer p[1].Close()
			fd := tempFile(t, 64*4096, unix.O_DIRECT)
			buf := pages(t, 64*4096)
			e := next(t, r)
			e.Read(int(p[0].Fd()), addr(buf), 1, AtPosition)
			for i := 1; i < 64; i++ {
				next(t, r).Read(fd, addr(buf[i*4096:]), 4096, int64(i*4096))
			}
			submit(t, r, 64)
			spinUntil(t, "submission", func() bool { return r.SQReady() == 0 })
			if err := errors.Join(r.Close(), p[0].Close()); err != nil {
				t.Fatal(err)
			}
			pollFD(t, int(p[1].Fd()), 0) // POLLERR: the last reader is gone
		})
	}
}

func pipeFiles() (p [2]*os.File, err error) {
	p[0], p[1], err = os.Pipe()
	return p, err
}

// TestCloseRaces closes from several goroutines, against register calls from others.
func TestCloseRaces(t *testing.T) {
	for range 50 {
		r := newRing(t, Config{Entries: 4})
		if err := r.RegisterFiles(1); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := r.UpdateFile(0, -1); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// TestChurn makes and closes rings as a user whose RLIMIT_MEMLOCK holds few of them at a time.
func TestChurn(t *testing.T) {
	testFeature(t)
	limit := lowerMemlock(t, 1<<20)
	done := make(chan error)
	go onMortalThread(func() {
		done <- func() error {
			if err := dropIPCLock(); err != nil {
				return err
			}
			for range 500 {
				r, err := New(Config{})
				if err != nil {
					return err
				}
				if err := r.Close(); err != nil {
					return err
				}
			}
			return nil
		}()
	})
	if err := <-done; err != nil {
		t.Fatalf("with RLIMIT_MEMLOCK %d: %v", limit, err)
	}
}

// lowerMemlock sets the soft limit for the length of the test, and returns it.
func lowerMemlock(t *testing.T, to uint64) uint64 {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: min(to, old.Max), Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil {
			t.Error(err)
		}
	})
	return limit.Cur
}

// dropIPCLock takes CAP_IPC_LOCK, which lifts the limit, from the calling thread alone.
func dropIPCLock() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	return unix.Capset(&header, &sets[0])
}

// TestNoLeaks makes and closes rings of every kind, and fails to make some.
func TestNoLeaks(t *testing.T) {
	testFeature(t, FeatureDeferTaskrun)
	lockThread(t)
	before, mappings := openFiles(), ringMappings()
	for range 20 {
		for _, c := range []Config{
			{},
			{SingleIssuer: true, DeferTaskrun: true},
			{SQPoll: true},
			{IOPoll: true},
			{DeferTaskrun: true},
			{SQPoll: true, SQPin: true, SQCPU: 1 << 20},
		} {
			if r, err := New(c); err == nil {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := Probe(); err != nil {
			t.Fatal(err)
		}
	}
	if left := leftOver(before, openFiles()); len(left) > 0 {
		t.Errorf("leaked descriptors: %v", left)
	}
	if n := ringMappings(); n != mappings {
		t.Errorf("%d ring mappings, want %d", n, mappings)
	}
}
