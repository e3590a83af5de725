package mem

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// TestTruncated takes the end of the file away and tries everything there:
// each request fails alone, with its own first bad byte, and works again once
// the file has its length back.
func TestTruncated(t *testing.T) {
	size := 64 * pageSize
	end := 20 * pageSize // of what is left
	long := int64(len(zeroes))
	for name, tc := range map[string]struct {
		req unio.Request
		bad int64
	}{
		"read":          {unio.Request{Op: unio.OpRead, Offset: end + 100, Data: make([]byte, 300)}, end + 100},
		"read across":   {unio.Request{Op: unio.OpRead, Offset: end - 100, Data: make([]byte, 300)}, end},
		"read ragged":   {unio.Request{Op: unio.OpRead, Offset: end - 3, Data: make([]byte, 5)}, end},
		"write":         {unio.Request{Op: unio.OpWrite, Offset: end + 8192, Data: make([]byte, 64)}, end + 8192},
		"write across":  {unio.Request{Op: unio.OpWrite, Offset: end - 77, Data: make([]byte, 2*pageSize)}, end},
		"write durable": {unio.Request{Op: unio.OpWrite, Flags: unio.Durable, Offset: end, Data: make([]byte, 64)}, end},
		"write a part":  {unio.Request{Op: unio.OpWrite, Offset: end + 1, Data: make([]byte, 3)}, end + 1},
		"vector":        {unio.Request{Op: unio.OpRead, Offset: end - 10, Vec: [][]byte{make([]byte, 5), make([]byte, 5), make([]byte, 5)}}, end},
		"zero":          {unio.Request{Op: unio.OpWriteZeroes, Offset: end - 8, Length: 100}, end},
		"zero long":     {unio.Request{Op: unio.OpWriteZeroes, Offset: end - long - 8, Length: long + 100}, end},
		"discard":       {unio.Request{Op: unio.OpDiscard, Offset: end + 8, Length: 100}, end + 8},
		"compare-swap":  {unio.Request{Op: unio.OpCompareSwap, Offset: end + 16}, end + 16},
		"fetch-add":     {unio.Request{Op: unio.OpFetchAdd, Offset: size - 8, Swap: 1}, size - 8},
	} {
		// Cold, the missing page is found when it is fetched; warm, when the
		// processor meets it.
		for _, warm := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " warm", false: " cold"}[warm], func(t *testing.T) {
				r := fileRig(t, size)
				r.write(0, pattern(int(end), 1), 0)
				if warm {
					r.write(0, r.read(0, int(size)), 0)
				}
				r.truncate(end)
				e := r.wantOpError(r.do(tc.req), unio.ErrMedia, tc.bad)
				if !strings.Contains(e.Detail, "truncated") {
					t.Errorf("detail %q", e.Detail)
				}
				r.read(0, int(end))
				r.truncate(size)
				r.must(tc.req)
				if len(r.dev.Errors()) != 1 {
					t.Errorf("%d errors logged", len(r.dev.Errors()))
				}
			})
		}
	}
}

// TestFaultInABatch posts good and bad requests at once: the bad ones fail,
// the others are done, before and after.
func TestFaultInABatch(t *testing.T) {
	size := 32 * pageSize
	r := fileRig(t, size)
	content := pattern(int(size), 9)
	r.write(0, content, 0)
	r.read(0, int(size))
	r.truncate(size / 2)
	var reqs []unio.Request
	for i := range 32 {
		off := int64(i) * pageSize
		if i%3 == 0 {
			off = size - pageSize - off
		}
		reqs = append(reqs, unio.Request{ID: uint64(i), Op: unio.OpRead, Region: r.reg, Offset: off, Data: make([]byte, 512)})
	}
	if n, err := r.ch.Post(reqs...); n != len(reqs) || err != nil {
		t.Fatal(n, err)
	}
	done := make([]unio.Completion, 64)
	if n := r.ch.Poll(done); n != len(reqs) {
		t.Fatalf("%d completions of %d", n, len(reqs))
	}
	for _, c := range done[:len(reqs)] {
		req := reqs[c.ID]
		if req.Offset >= size/2 {
			r.wantOpError(c.Err, unio.ErrMedia, req.Offset)
		} else if c.Err != nil || !bytes.Equal(req.Data, content[req.Offset:][:512]) {
			t.Errorf("read at %d: %v", req.Offset, c.Err)
		}
	}
}

// TestOwnMemoryFaults gives a request memory that is itself a lost page: that
// is the caller's fault and not the medium's.
func TestOwnMemoryFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(path, make([]byte, pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := memory.Map(f, pageSize, memory.MapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	forEach(t, 1<<16, func(t *testing.T, r *rig) {
		for _, op := range []unio.Opcode{unio.OpRead, unio.OpWrite} {
			e := r.wantOpError(r.do(unio.Request{Op: op, Data: m.Bytes()[:100]}), unio.ErrInvalid, -1)
			if errors.Is(e, unio.ErrMedia) {
				t.Error("blames the medium:", e)
			}
		}
		r.read(0, 100)
	})
}

// TestFaultsConcurrently reads on several channels while the file shrinks and
// grows: every request ends, with the right bytes or with ErrMedia.
func TestFaultsConcurrently(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	size := 64 * pageSize
	r := fileRig(t, size)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range uint64(3) {
		ch := channel(t, r)
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, g))
			buf := make([]byte, 4*pageSize)
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := 1 + rnd.IntN(len(buf))
				off := rnd.Int64N(size - int64(n))
				op := unio.OpRead
				if rnd.IntN(2) == 0 {
					op = unio.OpWrite
					clear(buf)
				}
				err := ch.Do(context.Background(), unio.Request{Op: op, Region: r.reg, Offset: off, Data: buf[:n]})
				if err != nil && !errors.Is(err, unio.ErrMedia) {
					t.Error(err)
				}
				if err == nil && len(bytes.Trim(buf[:n], "\x00")) != 0 {
					t.Error("read what nobody wrote")
				}
			}
		})
	}
	for range 200 {
		r.truncate(size / 4)
		r.truncate(size)
	}
	close(stop)
	wg.Wait()
}

// TestFailedWriteCounts says how far a long request certainly came.
func TestFailedWriteCounts(t *testing.T) {
	size := int64(4 * piece)
	r := fileRig(t, size)
	r.truncate(2*piece + pageSize)
	if _, err := r.ch.Post(unio.Request{Op: unio.OpWrite, Region: r.reg, Data: make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
	var done [1]unio.Completion
	r.ch.Poll(done[:])
	if done[0].N != 2*piece {
		t.Errorf("%d bytes certain, want %d", done[0].N, 2*piece)
	}
	r.wantOpError(done[0].Err, unio.ErrMedia, 2*piece+pageSize)
}
