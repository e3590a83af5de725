package mem

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/unio-stack/unio"
)

// aligned returns n bytes at a multiple of vector.
func aligned(n int) []byte {
	b := make([]byte, n+vector)
	skip := -uintptr(unsafe.Pointer(&b[0])) % vector
	return b[skip:][:n:n]
}

// checkWords compares load and store with copy at every alignment of both
// sides, at small lengths all of them, and looks at the bytes around.
func checkWords(t *testing.T) {
	const margin = 64
	lengths := []int{511, 512, 513, 1000, 4096, 4099}
	for n := range 200 {
		lengths = append(lengths, n)
	}
	allMem, allUser := aligned(margin+4200+margin), aligned(margin+4200+margin)
	for _, n := range lengths {
		mem, user := allMem[:margin+vector+n+margin], allUser[:margin+vector+n+margin]
		for at := range vector + 1 {
			for shift := range wordSize + 1 {
				paint(mem, 1)
				paint(user, 2)
				want := bytes.Clone(mem)
				part := user[margin+shift:][:n]
				copy(want[margin+at:], part)
				if n > 0 {
					store(mem[margin+at:][:n], part)
				}
				if !bytes.Equal(mem, want) {
					t.Fatalf("store of %d bytes at %d from %d", n, at, shift)
				}
				want = bytes.Clone(user)
				paint(mem, 3)
				copy(want[margin+shift:], mem[margin+at:][:n])
				if n > 0 {
					load(part, mem[margin+at:][:n])
				}
				if !bytes.Equal(user, want) {
					t.Fatalf("load of %d bytes at %d to %d", n, at, shift)
				}
			}
		}
	}
}

func paint(p []byte, seed int) {
	for i := range p {
		p[i] = byte(i*5 + i>>8*3 + seed*31)
	}
}

func TestWords(t *testing.T) { checkWords(t) }

// TestWordsDoNotTear lets a word change, both halves by the same amount, and
// reads it in ranges of all shapes: the halves must agree.
func TestWordsDoNotTear(t *testing.T) {
	r := dramRig(t, 1<<20)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	var stop atomic.Bool
	const word = 4096 - 64 + 56 // the last of a cache line
	add := func(ch *unio.Channel) {
		for !stop.Load() {
			if err := ch.Do(context.Background(), unio.Request{Op: unio.OpFetchAdd, Region: r.reg, Offset: word, Swap: 1<<32 + 1}); err != nil {
				t.Error(err)
				return
			}
		}
	}
	ch := channel(t, r)
	wg.Go(func() { add(ch) })
	rnd := rand.New(rand.NewPCG(seed, 0))
	buf := make([]byte, 1024)
	for range 200_000 {
		before := rnd.IntN(200)
		n := before + wordSize + rnd.IntN(200)
		data := buf[rnd.IntN(9):][:n]
		if err := r.do(unio.Request{Op: unio.OpRead, Offset: int64(word - before), Data: data}); err != nil {
			t.Fatal(err)
		}
		w := binary.LittleEndian.Uint64(data[before:])
		if uint32(w) != uint32(w>>32) {
			t.Fatalf("torn: %#x, read %d bytes before it, %d in all", w, before, n)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func channel(t testing.TB, r *rig) *unio.Channel {
	t.Helper()
	ch, err := r.dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// TestPartsKeepTheRest adds to the low half of a word while another channel
// writes its upper bytes: no addition may get lost.
func TestPartsKeepTheRest(t *testing.T) {
	forEach(t, 1<<16, func(t *testing.T, r *rig) {
		const word, rounds = 512, 20_000
		ch := channel(t, r)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range rounds {
				data := pattern(3+i%20, byte(i))
				if err := ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: word + 5, Data: data}); err != nil {
					t.Error(err)
				}
				data = pattern(20, byte(i))
				if err := ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: word - 20, Data: data}); err != nil {
					t.Error(err)
				}
			}
		})
		for range rounds {
			r.must(unio.Request{Op: unio.OpFetchAdd, Offset: word, Swap: 1})
		}
		wg.Wait()
		if got := binary.LittleEndian.Uint32(r.read(word, 4)); got != rounds {
			t.Errorf("%d additions are left of %d", got, rounds)
		}
	})
}

// TestWordsAreStoredOnce adds to a word that long writes cover. A write that
// stored the word twice would undo an addition in between, and the adder would
// see the sum unchanged; every write stores another value.
func TestWordsAreStoredOnce(t *testing.T) {
	for _, n := range []int{16, 24, 40, 72, 136, 264, 520, 4104} {
		for at := range 4 {
			t.Run(fmt.Sprintf("%d/%d", n, at), func(t *testing.T) {
				r := dramRig(t, 1<<16)
				storedOnce(t, r, n, int64(8*at), 2000+4*n)
			})
		}
	}
}

func storedOnce(t *testing.T, r *rig, n int, off int64, rounds int) {
	ch := channel(t, r)
	var wg sync.WaitGroup
	var stop atomic.Bool
	wg.Go(func() {
		data := make([]byte, n)
		for k := uint64(1); !stop.Load(); k++ {
			for i := 0; i < n; i += wordSize {
				binary.LittleEndian.PutUint64(data[i:], k<<32)
			}
			if err := ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: off, Data: data}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	word := make([]byte, wordSize)
	for i := range rounds {
		at := off + int64(i*wordSize%n)
		old := make([]byte, wordSize)
		r.must(unio.Request{Op: unio.OpFetchAdd, Offset: at, Swap: 1, Data: old})
		r.must(unio.Request{Op: unio.OpRead, Offset: at, Data: word})
		if bytes.Equal(old, word) {
			t.Errorf("an addition to the word at %d was undone by a write of %d bytes at %d", at, n, off)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestAtomicsReturnTheOldWord(t *testing.T) {
	forEach(t, 1<<16, func(t *testing.T, r *rig) {
		old := make([]byte, wordSize)
		steps := []struct {
			op            unio.Opcode
			compare, swap uint64
			old, then     uint64
		}{
			{unio.OpFetchAdd, 0, 5, 0, 5},
			{unio.OpFetchAdd, 0, ^uint64(0), 5, 4},
			{unio.OpCompareSwap, 4, 9, 4, 9},
			{unio.OpCompareSwap, 4, 1, 9, 9},
			{unio.OpFetchAdd, 0, 0, 9, 9},
		}
		for i, s := range steps {
			r.must(unio.Request{Op: s.op, Offset: 4096, Compare: s.compare, Swap: s.swap, Data: old})
			if got := binary.LittleEndian.Uint64(old); got != s.old {
				t.Errorf("step %d returned %d, want %d", i, got, s.old)
			}
			if got := binary.LittleEndian.Uint64(r.read(4096, 8)); got != s.then {
				t.Errorf("step %d left %d, want %d", i, got, s.then)
			}
		}
	})
}
