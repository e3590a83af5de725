package memory

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestMapReadsAndWritesTheFile(t *testing.T) {
	f := newFile(t, 3*pageSize)
	if _, err := f.WriteAt([]byte("before"), pageSize-3); err != nil {
		t.Fatal(err)
	}
	size := 2*pageSize + 100
	m := mustMap(t, f, size, MapOptions{})
	if len(m.Bytes()) != int(size) || cap(m.Bytes()) != int(size) || m.Size() != size {
		t.Fatalf("len %d cap %d", len(m.Bytes()), cap(m.Bytes()))
	}
	if got := string(m.Bytes()[pageSize-3:][:6]); got != "before" {
		t.Errorf("mapped %q", got)
	}
	copy(m.Bytes()[size-5:], "after")
	if err := m.Flush(size-5, 5); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := f.ReadAt(got, size-5); err != nil || string(got) != "after" {
		t.Errorf("file has %q, %v", got, err)
	}
}

func TestMapRefuses(t *testing.T) {
	f := newFile(t, pageSize)
	readOnly, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	closed := newFile(t, pageSize)
	_ = closed.Close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, tc := range []struct {
		name string
		f    *os.File
		size int64
		opt  MapOptions
		want string
	}{
		{"zero", f, 0, MapOptions{}, "must be positive"},
		{"negative", f, -1, MapOptions{}, "must be positive"},
		{"huge", f, math.MaxInt64, MapOptions{}, "address space"},
		{"beyond the end", f, pageSize + 1, MapOptions{}, "extend it first"},
		{"no right to write", readOnly, pageSize, MapOptions{}, "permission denied"},
		{"closed", closed, pageSize, MapOptions{}, "closed"},
		{"directory", dir, pageSize, MapOptions{ReadOnly: true}, ""},
		{"refresh", f, pageSize, MapOptions{Refresh: -1}, "must not be negative"},
		{"nil file", nil, pageSize, MapOptions{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Map(tc.f, tc.size, tc.opt)
			if err == nil {
				_ = m.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
	if _, err := MapAnonymous(0); err == nil {
		t.Error("MapAnonymous(0) succeeded")
	}
}

func TestMapOutlivesTheFile(t *testing.T) {
	f := newFile(t, pageSize)
	m := mustMap(t, f, pageSize, MapOptions{})
	_ = f.Close()
	m.Bytes()[0] = 1
	if err := m.Flush(0, 1); err != nil {
		t.Error(err)
	}
	if err := m.Touch(0, 1, true); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyMapping(t *testing.T) {
	f := newFile(t, pageSize)
	if _, err := io.WriteString(f, "text"); err != nil {
		t.Fatal(err)
	}
	m := mustMap(t, f, pageSize, MapOptions{ReadOnly: true})
	if !bytes.HasPrefix(m.Bytes(), []byte("text")) {
		t.Error("content not seen")
	}
	if err := m.Flush(0, pageSize); err != nil {
		t.Error(err)
	}
	if err := m.Touch(0, 4, false); err != nil {
		t.Error(err)
	}
	if err := m.Touch(0, 4, true); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("touch for writing: %v", err)
	}
}

func TestMapAnonymous(t *testing.T) {
	const size = 1<<40 + 5 // far beyond memory: only what is used exists
	m, err := MapAnonymous(size)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Touch(size-5, 5, true); err != nil {
		t.Fatal(err)
	}
	m.Bytes()[size-1] = 9
	if err := m.Flush(0, size); err != nil || m.Synchronous() || m.Bytes()[0] != 0 {
		t.Error(err, m.Synchronous())
	}
}

func TestRanges(t *testing.T) {
	f := newFile(t, 2*pageSize)
	m := mustMap(t, f, 2*pageSize-10, MapOptions{})
	size := m.Size()
	for _, tc := range []struct {
		off, n int64
		ok     bool
	}{
		{0, 0, true},
		{0, size, true},
		{size, 0, true},
		{size - 1, 1, true},
		{pageSize - 1, 2, true},
		{-1, 1, false},
		{-1, 0, false},
		{-5, 10, false},
		{0, -1, false},
		{0, size + 1, false},
		{size, 1, false},
		{size - 1, 2, false},
		{size + 1, 0, false},
		{1, math.MaxInt64, false},
		{math.MaxInt64, 1, false},
		{math.MaxInt64, math.MaxInt64, false},
		{math.MinInt64, math.MinInt64, false},
		{math.MinInt64, 1, false},
	} {
		for _, write := range []bool{false, true} {
			for range 2 { // the second time everything is marked
				if err := m.Touch(tc.off, tc.n, write); (err == nil) != tc.ok {
					t.Errorf("Touch(%d, %d, %v): %v", tc.off, tc.n, write, err)
				}
			}
		}
		if err := m.Flush(tc.off, tc.n); (err == nil) != tc.ok {
			t.Errorf("Flush(%d, %d): %v", tc.off, tc.n, err)
		}
	}
}

func TestClosedMapping(t *testing.T) {
	m := mustMap(t, newFile(t, pageSize), pageSize, MapOptions{})
	if err := m.Touch(0, 1, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if m.Bytes() != nil {
		t.Error("bytes after Close")
	}
	for name, err := range map[string]error{
		"touch": m.Touch(0, 1, false), "flush": m.Flush(0, 1), "lock": m.LockPages(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFlushLines runs the synchronous path, which needs a DAX file system to
// be chosen, on an ordinary mapping.
func TestFlushLines(t *testing.T) {
	if WriteBackInstruction() == noInstruction {
		t.Skip("no write-back on", runtime.GOOS, runtime.GOARCH)
	}
	f := newFile(t, 4*pageSize)
	m := mustMap(t, f, 4*pageSize, MapOptions{})
	m.synchronous = true
	m.Bytes()[pageSize] = 1
	if err := m.Flush(3, 3*pageSize); err != nil {
		t.Error(err)
	}
	if err := f.Truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	if err := m.Flush(0, pageSize); err != nil {
		t.Error(err)
	}
	if fault := wantFault(t, m.Flush(0, 3*pageSize)); fault.Off != pageSize {
		t.Errorf("fault at %d, want %d", fault.Off, pageSize)
	}
}
