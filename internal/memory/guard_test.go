package memory

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// newFile returns an open file of size bytes, removed when the test ends.
func newFile(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func mustMap(t testing.TB, f *os.File, size int64, opt MapOptions) *Mapping {
	t.Helper()
	m, err := Map(f, size, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func fill(b []byte, rnd *rand.Rand) {
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
}

func wantFault(t *testing.T, err error) *FaultError {
	t.Helper()
	var fault *FaultError
	if !errors.As(err, &fault) || fault.Err == nil {
		t.Fatalf("error %v, want a FaultError with a cause", err)
	}
	return fault
}

func TestCopyGuardedCopies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	src := make([]byte, 1<<17)
	fill(src, rnd)
	for _, tc := range [][2]int{{0, 0}, {0, 9}, {9, 0}, {1, 1}, {100, 60}, {60, 100}, {1 << 16, 1 << 17}} {
		dst := make([]byte, tc[0])
		n, err := CopyGuarded(dst, src[:tc[1]])
		if want := min(tc[0], tc[1]); n != want || err != nil || !bytes.Equal(dst[:n], src[:n]) {
			t.Errorf("%v: copied %d, %v", tc, n, err)
		}
	}
}

// TestCopyGuardedTruncated maps a file, truncates it and copies across its end
// in both directions, at all kinds of alignment: the process lives, and
// everything before the first lost page is there.
func TestCopyGuardedTruncated(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	size := 64 * pageSize
	f := newFile(t, size)
	m := mustMap(t, f, size, MapOptions{})
	fill(m.Bytes(), rnd)
	heap := make([]byte, size)
	for kept := int64(40); kept >= 0; kept -= 10 {
		end := kept * pageSize
		if err := f.Truncate(end); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			off := rnd.Int64N(end + 1)
			n := end - off + 1 + rnd.Int64N(size-end)
			mem := m.Bytes()[off : off+n]
			clear(heap)
			got, err := CopyGuarded(heap, mem)
			fault := wantFault(t, err)
			if int64(got) != end-off || !bytes.Equal(heap[:got], mem[:got]) {
				t.Fatalf("read at %d of %d, file ends at %d: %d bytes certain, want %d", off, n, end, got, end-off)
			}
			if at, ok := m.OffsetOf(fault.Addr); !ok || at != end || fault.Off != -1 {
				t.Fatalf("fault at offset %d, %v; want %d", at, ok, end)
			}
			fill(heap[:64], rnd)
			got, err = CopyGuarded(mem, heap[:n])
			wantFault(t, err)
			if int64(got) != end-off || !bytes.Equal(heap[:got], mem[:got]) {
				t.Fatalf("write at %d of %d: %d bytes certain, want %d", off, n, got, end-off)
			}
		}
	}
}

func TestCopyGuardedOverlap(t *testing.T) {
	size := 4 * pageSize
	f := newFile(t, size)
	m := mustMap(t, f, size, MapOptions{})
	if err := f.Truncate(2 * pageSize); err != nil {
		t.Fatal(err)
	}
	mem := m.Bytes()
	n, err := CopyGuarded(mem, mem[pageSize:])
	wantFault(t, err)
	if n != 0 {
		t.Errorf("%d bytes certain of an overlapping copy", n)
	}
}

func TestCopyGuardedReadOnly(t *testing.T) {
	f := newFile(t, pageSize)
	m := mustMap(t, f, pageSize, MapOptions{ReadOnly: true})
	n, err := CopyGuarded(m.Bytes()[100:], make([]byte, 200))
	fault := wantFault(t, err)
	if at, _ := m.OffsetOf(fault.Addr); n != 0 || at != 100 {
		t.Errorf("%d bytes certain, fault at %d", n, at)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("%#x", fault.Addr)) {
		t.Errorf("message %q", err)
	}
}

func TestGuard(t *testing.T) {
	f := newFile(t, 2*pageSize)
	m := mustMap(t, f, 2*pageSize, MapOptions{})
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := Guard(func() {}); err != nil {
		t.Error(err)
	}
	deferred := false
	fault := wantFault(t, Guard(func() {
		defer func() { deferred = true }()
		m.Bytes()[pageSize+5]++
	}))
	if at, _ := m.OffsetOf(fault.Addr); at != pageSize+5 || !deferred {
		t.Errorf("fault at %d, deferred call ran: %v", at, deferred)
	}
	// Nested guards catch in the inner one and leave the outer one armed.
	wantFault(t, Guard(func() {
		wantFault(t, Guard(func() { m.Bytes()[0] = 1 }))
		m.Bytes()[1] = 1
		t.Error("passed a fault")
	}))
}

func TestGuardPassesOtherPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"value": func() { panic("mine") },
		"nil":   func() { var p *int; *p = 1 },
		"index": func() { var s []int; s[len(os.Args)] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			t.Errorf("Guard returned %v", Guard(f))
		})
	}
}

func TestGuardedConcurrently(t *testing.T) {
	f := newFile(t, 4*pageSize)
	m := mustMap(t, f, 4*pageSize, MapOptions{})
	if err := f.Truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dst := make([]byte, 2*pageSize)
			for range 200 {
				if n, err := CopyGuarded(dst, m.Bytes()); n != int(pageSize) || err == nil {
					t.Errorf("%d, %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestGuardedAllocatesNothing(t *testing.T) {
	dst, src := make([]byte, 4096), make([]byte, 4096)
	total := 0
	if n := testing.AllocsPerRun(100, func() {
		n, _ := CopyGuarded(dst, src)
		_ = Guard(func() { total += copy(dst, src) + n })
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCopy(b *testing.B) {
	for _, size := range []int{64, 512, 4096, 65536} {
		dst, src := mustAlloc(b, size).Bytes(), mustAlloc(b, size).Bytes()
		src[0] = 1
		b.Run(fmt.Sprintf("plain/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(dst, src)
			}
		})
		b.Run(fmt.Sprintf("guarded/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CopyGuarded(dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("batch16/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = Guard(func() {
					for range 16 {
						copy(dst, src)
					}
				})
			}
		})
	}
}
