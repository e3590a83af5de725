package file

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
	"github.com/unio-stack/unio/internal/uring"
)

// TestManyBuffers: more Buffers than there are slots, all in one batch. A slot
// that an operation of the batch names must not change hands before the kernel
// has looked into it.
func TestManyBuffers(t *testing.T) {
	const buffers, piece = 3 * bufferSlots, 4096
	for _, cfg := range []Config{{Engine: EngineRing, Direct: Required}, {SQPoll: true, Direct: Required}} {
		t.Run(cfg.String(), func(t *testing.T) {
			r := newRig(t, newFile(t, buffers*piece), cfg)
			ch := r.channel(unio.ChannelConfig{Depth: buffers})
			var mem [buffers][]byte
			for i := range mem {
				mem[i] = r.buffer(piece)
			}
			want := make([][]byte, buffers)
			for round := range 6 {
				var reqs []unio.Request
				for i := range mem {
					want[i] = noise(piece)
					copy(mem[i], want[i])
					q := r.write(int64(i)*piece, mem[i])
					q.ID = uint64(i)
					reqs = append(reqs, q)
				}
				r.all(ch, reqs)
				for i := range reqs {
					j := (i + round*7) % buffers // into another Buffer
					clear(mem[j])
					reqs[i] = r.read(int64(i)*piece, mem[j])
				}
				r.all(ch, reqs)
				for i := range reqs {
					if j := (i + round*7) % buffers; !bytes.Equal(mem[j], want[i]) {
						t.Fatalf("round %d: Buffer %d does not have what was read into it", round, j)
					}
				}
			}
		})
	}
}

// all posts the requests, which must succeed.
func (r *rig) all(ch *unio.Channel, reqs []unio.Request) {
	r.Helper()
	if n, err := ch.Post(reqs...); err != nil {
		r.Fatalf("posted %d of %d: %v", n, len(reqs), err)
	}
	for _, c := range r.drain(ch) {
		if c.Err != nil {
			r.Fatal(c.Err)
		}
	}
}

// TestBufferAtTheSameAddress: a Buffer that is freed takes its slot with it, so
// that the next one at its address is not taken for it.
func TestBufferAtTheSameAddress(t *testing.T) {
	r := newRig(t, newFile(t, 1<<20), Config{Engine: EngineRing, Direct: Required})
	ch := r.channel(unio.ChannelConfig{})
	again := 0
	var last *byte
	for range 300 {
		b, err := unio.NewBuffer(64 << 10)
		if err != nil {
			t.Fatal(err)
		}
		if p := unsafe.SliceData(b.Bytes()); p == last {
			again++
		} else {
			last = p
		}
		want := noise(64 << 10)
		copy(b.Bytes(), want)
		r.must(ch, r.write(4096, b.Bytes()))
		clear(b.Bytes())
		r.must(ch, r.read(4096, b.Bytes()))
		if !bytes.Equal(b.Bytes(), want) {
			t.Fatal("the Buffer does not have what was written")
		}
		if err := b.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if again == 0 {
		t.Error("no Buffer came at the address of another: the test shows nothing")
	}
}

// TestUnpinned: the memory of a Buffer stays pinned until it is freed, or its
// channel closed.
func TestUnpinned(t *testing.T) {
	const size = 1 << 20 // so that it may be locked without privileges, too
	r := newRig(t, newFile(t, size), Config{Engine: EngineRing, Direct: Required})
	before := pinned(t)
	use := func(ch *unio.Channel) *unio.Buffer {
		b, err := unio.NewBuffer(size)
		if err != nil {
			t.Fatal(err)
		}
		r.must(ch, r.read(0, b.Bytes()))
		if n := pinned(t); n < before+size {
			t.Errorf("%d bytes are pinned, %d before: the Buffer is not registered", n, before)
		}
		return b
	}
	ch := r.channel(unio.ChannelConfig{})
	b := use(ch)
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
	if n := pinned(t); n != before {
		t.Errorf("%d bytes are pinned after Free, %d before", n, before)
	}
	b = use(ch)
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	if n := pinned(t); n != before {
		t.Errorf("%d bytes are pinned after Close, %d before", n, before)
	}
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
}

// pinned returns how many bytes of the process are pinned.
func pinned(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmPin:"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmPin in /proc/self/status")
	return 0
}

// TestSlots: who goes round more Buffers than there are slots keeps most of
// them where they are; what is in use is never taken; what was freed is given
// away first.
func TestSlots(t *testing.T) {
	ring, err := uring.New(uring.Config{Entries: 4})
	if err != nil {
		t.Skip(err)
	}
	defer ring.Close()
	var table bufferTable
	table.init(ring, 256)
	defer table.close()
	blocks := make([]*memory.Block, 2*bufferSlots)
	for i := range blocks {
		if blocks[i], err = memory.Alloc(4096); err != nil {
			t.Fatal(err)
		}
		defer blocks[i].Free()
	}
	use := func(tag int, b *memory.Block) bool {
		slot, ok := table.use(tag, unsafe.Pointer(unsafe.SliceData(b.Bytes())), 4096)
		if ok && table.slots[slot].block.Load() != b {
			t.Fatalf("slot %d is another Buffer's", slot)
		}
		return ok
	}
	hits := 0
	for range 16 {
		for _, b := range blocks {
			if use(0, b) {
				hits++
			}
			table.done(0)
		}
	}
	if all := 16 * len(blocks); hits < all*2/5 || hits == all {
		t.Errorf("%d of %d uses found a slot", hits, all)
	}
	for tag, b := range blocks { // in use, all of them
		use(tag, b)
	}
	for tag := range blocks {
		table.done(tag)
	}
	for i := range table.slots {
		if n := table.slots[i].uses; n != 0 {
			t.Errorf("slot %d has %d uses left", i, n)
		}
	}
	if err := blocks[0].Free(); err != nil {
		t.Fatal(err)
	}
	if err := blocks[1].Free(); err != nil {
		t.Fatal(err)
	}
	fresh, err := memory.Alloc(4096)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Free()
	use(0, fresh)
	table.done(0)
	if outside := make([]byte, 64); table.usesHeap(outside) {
		t.Error("a heap slice has a slot")
	}
	part := blocks[5].Bytes()
	if _, ok := table.use(0, unsafe.Pointer(&part[1]), len(part)); ok {
		t.Error("what lies over the end of a Buffer has a slot")
	}
}

func (t *bufferTable) usesHeap(p []byte) bool {
	_, ok := t.use(0, unsafe.Pointer(unsafe.SliceData(p)), len(p))
	return ok
}
