package unio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
)

// crowd has goroutines write to and read from places of their own, and checks
// every byte they read.
func crowd(t *testing.T, f *unio.File, goroutines, rounds int) {
	t.Helper()
	share := f.Size() / int64(goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			base, length := int64(g)*share, int(share)
			model, buf := make([]byte, length), make([]byte, length)
			for round := range rounds {
				off := rng.IntN(length)
				n := 1 + rng.IntN(length-off)
				if rng.IntN(2) == 0 {
					for i := range n {
						model[off+i] = byte(g + round + i)
					}
					if m, err := f.WriteAt(model[off:off+n], base+int64(off)); m != n || err != nil {
						t.Errorf("write: %d, %v", m, err)
						return
					}
					continue
				}
				if m, err := f.ReadAt(buf[:n], base+int64(off)); m != n || err != nil {
					t.Errorf("read: %d, %v", m, err)
					return
				}
				if !bytes.Equal(buf[:n], model[off:off+n]) {
					t.Errorf("goroutine %d read what it had not written at %d", g, base+int64(off))
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestFileCrowd(t *testing.T) {
	eachFile(t, 64<<10, func(t *testing.T, f *unio.File) {
		fillZeroes(t, f)
		crowd(t, f, 64, 200)
	})
}

func fillZeroes(t *testing.T, f *unio.File) {
	if _, err := f.WriteAt(make([]byte, f.Size()), 0); err != nil {
		t.Fatal(err)
	}
}

func TestFileThousands(t *testing.T) {
	for name, cfg := range map[string]unio.FileConfig{
		"default":         {},
		"one of depth 1":  {Channels: 1, Depth: 1},
		"four of depth 3": {Channels: 4, Depth: 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFileDisk(4000 * 16)
			d.async2 = true
			crowd(t, d.file(t, cfg), 4000, 10)
		})
	}
}

// TestFileParts has long calls, of many parts, pass each other and short ones
// on channels that do not hold all parts of one.
func TestFileParts(t *testing.T) {
	for name, cfg := range map[string]unio.FileConfig{
		"default": {},
		"depth 1": {Channels: 1, Depth: 1},
		"depth 5": {Channels: 2, Depth: 5},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFileDisk(6 << 22)
			d.async = true
			crowd(t, d.file(t, cfg), 6, 8)
		})
	}
}

// TestFileLeaders has calls come and go one at a time, so that every one of
// them leads and hands over.
func TestFileLeaders(t *testing.T) {
	d := newFileDisk(8 * 1024)
	d.async = true
	f := d.file(t, unio.FileConfig{Channels: 1, Depth: 4})
	var total atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var word [8]byte
			for i := range 3000 {
				binary.LittleEndian.PutUint64(word[:], uint64(i))
				if _, err := f.WriteAt(word[:], int64(g)*8); err != nil {
					t.Error(err)
					return
				}
				clear(word[:])
				if _, err := f.ReadAt(word[:], int64(g)*8); err != nil {
					t.Error(err)
					return
				}
				if got := binary.LittleEndian.Uint64(word[:]); got != uint64(i) {
					t.Errorf("read %d, want %d", got, i)
					return
				}
				total.Add(1)
			}
		})
	}
	wg.Wait()
	if total.Load() != 8*3000 {
		t.Errorf("%d rounds", total.Load())
	}
}

// TestFileNobodyIsForgotten has one request, whose caller leads, wait until all
// others are through, however they and the observers of the channel meet.
func TestFileNobodyIsForgotten(t *testing.T) {
	for name, async := range map[string]bool{"inline": false, "async": true} {
		t.Run(name, func(t *testing.T) {
			d := newFileDisk(1024)
			d.async = async
			f := d.file(t, unio.FileConfig{Channels: 1, Depth: 6})
			defer observe(f.Region().Device())()
			for round := range 2000 {
				d.hold(1)
				held := make(chan error)
				go func() {
					_, err := f.ReadAt(make([]byte, 1), 0)
					held <- err
				}()
				for range round % 7 {
					runtime.Gosched()
				}
				readOthers(t, f, 1+round%3)
				d.hold(0)
				if err := <-held; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestFileLeaderIsRoused has others reap the leader's completion.
func TestFileLeaderIsRoused(t *testing.T) {
	d := newFileDisk(1024)
	f := d.file(t, unio.FileConfig{Channels: 1})
	for range 300 {
		d.hold(1)
		begun := d.inFlight()
		var ended atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.ReadAt(make([]byte, 1), 0); err != nil {
				t.Error(err)
			}
			ended.Store(true)
		})
		for d.inFlight() == begun {
			runtime.Gosched()
		}
		wg.Go(func() {
			for !ended.Load() {
				readOthers(t, f, 1)
			}
		})
		d.hold(0)
		wg.Wait()
	}
}

// observe takes statistics until the returned function is called.
func observe(dev *unio.Device) (end func()) {
	var wg sync.WaitGroup
	var stop atomic.Bool
	wg.Go(func() {
		for !stop.Load() {
			_ = dev.Stats()
			runtime.Gosched()
		}
	})
	return func() {
		stop.Store(true)
		wg.Wait()
	}
}

func readOthers(t *testing.T, f *unio.File, readers int) {
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			if _, err := f.ReadAt(make([]byte, 8), 64); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestFileFailureIsAlone(t *testing.T) {
	d := newFileDisk(64 * 1024)
	d.async2 = true
	f := d.file(t, unio.FileConfig{Channels: 1, Depth: 8})
	d.bad(32*1024, 33*1024)
	var wg sync.WaitGroup
	for g := range int64(64) {
		wg.Go(func() {
			for range 100 {
				n, err := f.ReadAt(make([]byte, 1024), g*1024)
				if g != 32 && (n != 1024 || err != nil) {
					t.Errorf("good range %d: %d, %v", g, n, err)
					return
				}
				var oe *unio.OpError
				if g == 32 && (n != 0 || !errors.Is(err, errBadRange) || !errors.As(err, &oe) || oe.Offset != g*1024) {
					t.Errorf("bad range: %d, %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestFileFailureInLongCall(t *testing.T) {
	for _, async := range []bool{false, true} {
		d := newFileDisk(40 << 20)
		d.async = async
		f := d.file(t, unio.FileConfig{Depth: 4})
		const bad = 3<<20 + 17
		d.bad(bad, bad+1)
		for name, call := range map[string]func([]byte, int64) (int, error){"read": f.ReadAt, "write": f.WriteAt} {
			n, err := call(make([]byte, 40<<20), 0)
			if n != bad || !errors.Is(err, errBadRange) {
				t.Errorf("async %v: %s of 40 MiB: %d, %v", async, name, n, err)
			}
			if n, err := call(make([]byte, bad), 0); n != bad || err != nil {
				t.Errorf("async %v: %s of what is good: %d, %v", async, name, n, err)
			}
		}
	}
}

// TestFileCloseUnderLoad closes the file, its device or its region while a
// crowd is at work and the disk is slow: every call must return.
func TestFileCloseUnderLoad(t *testing.T) {
	for name, end := range map[string]struct {
		close func(*unio.File) error
		want  []error
	}{
		"file":   {(*unio.File).Close, []error{unio.ErrClosed, fs.ErrClosed}},
		"device": {func(f *unio.File) error { return f.Region().Device().Close() }, []error{unio.ErrClosed, unio.ErrCanceled}},
		"region": {func(f *unio.File) error { return f.Region().Close() }, []error{unio.ErrRevoked}},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 6 {
				d := newFileDisk(1 << 20)
				d.async2 = true
				f := d.file(t, unio.FileConfig{Channels: 2, Depth: 4})
				var wg sync.WaitGroup
				var working sync.WaitGroup
				working.Add(60)
				for g := range 60 {
					wg.Go(func() {
						buf := make([]byte, 64+g%2*(600<<10))
						for i := 0; ; i++ {
							_, err := f.ReadAt(buf, int64(g)*64)
							if i == 3 || err != nil && i < 3 {
								working.Done()
							}
							if err == nil {
								continue
							}
							for _, want := range end.want {
								if errors.Is(err, want) {
									return
								}
							}
							t.Error(err)
							return
						}
					})
				}
				working.Wait()
				resume := func() {}
				if round%2 == 0 && name != "region" {
					resume = d.stop()
				}
				if err := end.close(f); err != nil {
					t.Error(err)
				}
				wg.Wait()
				resume()
			}
		})
	}
}
