package volume

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/uniotest"
)

const rigDisk = 4 << 20

func TestNames(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	for _, name := range []string{"", ".", "..", "a/b", "a\nb", "a\x00", "\u0085", "\xff", strings.Repeat("x", MaxName+1)} {
		if err := r.pool.CreateVolume(t.Context(), name, VolumeConfig{Size: 4096}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("name %q: %v, want ErrInvalid", name, err)
		}
		if _, err := r.pool.Attach(t.Context(), name, unio.ReadOnly); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("attach %q: %v, want ErrInvalid", name, err)
		}
	}
	for _, name := range []string{"a", "ä b", strings.Repeat("x", MaxName)} {
		must(t, r.pool.CreateVolume(t.Context(), name, VolumeConfig{Size: 4096}))
		if err := r.pool.CreateVolume(t.Context(), name, VolumeConfig{Size: 4096}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%q twice: %v", name, err)
		}
	}
	for _, size := range []int64{0, -1, 5, 4095, math.MaxInt64, math.MaxInt64 &^ 4095} {
		if err := r.pool.CreateVolume(t.Context(), "big", VolumeConfig{Size: size}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("size %d: %v, want ErrInvalid", size, err)
		}
	}
	must(t, r.pool.CreateVolume(t.Context(), "big", VolumeConfig{Size: math.MaxInt64&^4095 - rigExtent}))
	all, err := r.pool.Volumes(t.Context())
	if err != nil || len(all) != 4 || all[0].Name != "a" || all[1].Name != "big" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestHuge writes to the end of a volume of nearly 8 EiB and discards all of it.
func TestHuge(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	reg := r.create("huge", VolumeConfig{Size: math.MaxInt64&^4095 - rigExtent})
	p := random(5000, 1)
	r.write(reg, reg.Size()-5000, p)
	r.write(reg, 1<<40, p)
	if got := r.read(reg, reg.Size()-5000, 5000); !bytes.Equal(got, p) {
		t.Error("the end is not what was written")
	}
	ranges, err := reg.Allocated(t.Context(), 0, reg.Size())
	want := []unio.Range{{Offset: 1 << 40, Length: rigExtent}, {Offset: reg.Size()&^(rigExtent-1) - 0, Length: reg.Size() & (rigExtent - 1)}}
	if want[1].Length == 0 {
		want[1] = unio.Range{Offset: reg.Size() - rigExtent, Length: rigExtent}
	}
	if want[1].Length < 5000 {
		want[1] = unio.Range{Offset: want[1].Offset - rigExtent, Length: want[1].Length + rigExtent}
	}
	if err != nil || len(ranges) != 2 || ranges[0] != want[0] || ranges[1] != want[1] {
		t.Errorf("allocated %v, %v, want %v", ranges, err, want)
	}
	must(t, reg.Resize(t.Context(), 4096))
	if n := r.allocated("huge"); n != 0 {
		t.Errorf("%d extents are left", n)
	}
	r.check()
}

func TestSpace(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	a, b := r.create("a", VolumeConfig{Size: 1 << 30}), r.create("b", VolumeConfig{Size: 1 << 30})
	_, free, err := r.pool.Space(t.Context())
	must(t, err)
	n := free / rigExtent
	secret := random(rigExtent, 2)
	for i := range n - 1 {
		r.write(a, i*rigExtent, secret)
	}
	// Two extents where there is one: none is taken.
	err = r.fails(unio.Request{Op: unio.OpWrite, Region: b, Offset: rigExtent - 4096, Data: make([]byte, 8192)}, unio.ErrNoSpace)
	if r.allocated("b") != 0 || !strings.Contains(err.Error(), "delete or discard") {
		t.Errorf("%d extents taken by what failed: %v", r.allocated("b"), err)
	}
	r.write(b, 0, []byte("x"))
	r.fails(unio.Request{Op: unio.OpWrite, Region: b, Offset: 1 << 20, Data: make([]byte, 4096)}, unio.ErrNoSpace)
	r.fails(unio.Request{Op: unio.OpWriteAtomic, Region: b, Ranges: []unio.Range{{Offset: 0, Length: 1}, {Offset: 1 << 20, Length: 1}}, Data: []byte("yz")}, unio.ErrNoSpace)
	if got := r.read(b, 0, 2); string(got) != "x\x00" {
		t.Errorf("half of an atomic write that failed: %q", got)
	}
	// Zeroes take no space, and give none away; Discard does.
	r.must(unio.Request{Op: unio.OpWriteZeroes, Region: b, Offset: 1 << 20, Length: 1 << 20})
	r.must(unio.Request{Op: unio.OpWriteZeroes, Region: a, Offset: 0, Length: 1 << 20})
	if r.allocated("a") != n-1 || r.allocated("b") != 1 {
		t.Errorf("a has %d extents, b %d", r.allocated("a"), r.allocated("b"))
	}
	r.must(unio.Request{Op: unio.OpDiscard, Region: a, Offset: 100, Length: 4 * rigExtent})
	if got := n - 1 - r.allocated("a"); got != 3 {
		t.Errorf("a discard of 4 extents, misaligned, frees %d, want 3", got)
	}
	// What is free comes without what was in it.
	r.write(b, 2<<20, []byte("y"))
	p := r.read(b, 2<<20, rigExtent)
	if p[0] != 'y' || len(bytes.Trim(p[1:], "\x00")) > 0 {
		t.Error("a volume shows bytes of another")
	}
	r.check()
	r.reopen()
	r.check()
	must(t, r.pool.DeleteVolume(t.Context(), "a", false))
	must(t, r.pool.DeleteVolume(t.Context(), "b", false))
	if _, now, _ := r.pool.Space(t.Context()); now != free {
		t.Errorf("%d bytes are free after all volumes are deleted, %d before there were any", now, free)
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	reg := r.create("v", VolumeConfig{Size: 1 << 20})
	r.write(reg, 0, random(100000, 3))
	if err := r.pool.DeleteVolume(t.Context(), "v", false); !errors.Is(err, unio.ErrBusy) {
		t.Errorf("deleted while attached: %v, want ErrBusy", err)
	}
	if err := r.pool.RenameVolume(t.Context(), "v", "w"); !errors.Is(err, unio.ErrBusy) {
		t.Errorf("renamed while attached: %v, want ErrBusy", err)
	}
	var posts []unio.Request
	for i := range int64(32) {
		posts = append(posts, unio.Request{Op: unio.OpWrite, Region: reg, Offset: i * 4096, Data: random(4096, uint64(i))})
	}
	n, err := r.ch.Post(posts...)
	must(t, err)
	must(t, r.pool.DeleteVolume(t.Context(), "v", true))
	done := make([]unio.Completion, n)
	for got := 0; got < n; {
		k, err := r.ch.Wait(t.Context(), done[got:])
		must(t, err)
		got += k
	}
	for _, c := range done {
		if c.Err != nil && !errors.Is(c.Err, unio.ErrRevoked) {
			t.Errorf("in flight while it was deleted: %v", c.Err)
		}
	}
	r.fails(unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)}, unio.ErrRevoked)
	r.fails(unio.Request{Op: unio.OpDiscard, Region: reg, Length: 4096}, unio.ErrRevoked)
	r.fails(unio.Request{Op: unio.OpAppend, Region: reg, Data: make([]byte, 100)}, unio.ErrRevoked)
	if _, err := r.pool.Attach(t.Context(), "w", unio.ReadOnly); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("attached what does not exist: %v", err)
	}
	must(t, reg.Close())
	again := r.create("v", VolumeConfig{Size: 1 << 20})
	if p := r.read(again, 0, 1<<20); len(bytes.Trim(p, "\x00")) > 0 {
		t.Error("a new volume is not zeroes")
	}
	r.check()
}

func TestRename(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	reg := r.create("a", VolumeConfig{Size: 1 << 20})
	r.write(reg, 0, []byte("content"))
	must(t, reg.Close())
	must(t, r.pool.CreateVolume(t.Context(), "b", VolumeConfig{Size: 4096}))
	if err := r.pool.RenameVolume(t.Context(), "a", "b"); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("renamed over another: %v", err)
	}
	must(t, r.pool.RenameVolume(t.Context(), "a", "c"))
	r.reopen()
	if got := r.read(r.attach("c"), 0, 7); string(got) != "content" {
		t.Errorf("%q", got)
	}
	r.check()
}

func TestResizeVolume(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	must(t, r.pool.CreateVolume(t.Context(), "v", VolumeConfig{Size: 1 << 20}))
	must(t, r.pool.ResizeVolume(t.Context(), "v", 2<<20))
	reg := r.attach("v")
	if reg.Size() != 2<<20 {
		t.Errorf("size %d", reg.Size())
	}
	if err := r.pool.ResizeVolume(t.Context(), "v", 1<<20); !errors.Is(err, unio.ErrBusy) {
		t.Errorf("resized while attached: %v", err)
	}
	r.must(unio.Request{Op: unio.OpAppend, Region: reg, Data: random(100000, 1)})
	must(t, reg.Resize(t.Context(), 4096))
	must(t, reg.Resize(t.Context(), 1<<20))
	if c := r.must(unio.Request{Op: unio.OpAppend, Region: reg, Data: []byte("x")}); c.Value != 4096 {
		t.Errorf("appended at %d after the volume shrank to 4096", c.Value)
	}
	if p := r.read(reg, 4097, 200000); len(bytes.Trim(p, "\x00")) > 0 {
		t.Error("what was cut off is back")
	}
	r.check()
}

func TestScratch(t *testing.T) {
	r := newRig(t, Config{}, rigDisk)
	reg := r.create("s", VolumeConfig{Size: 1 << 20, Scratch: true})
	r.write(reg, 5000, random(300000, 1))
	if c := r.must(unio.Request{Op: unio.OpAppend, Region: reg, Data: random(100, 2)}); c.Value != 0 {
		t.Errorf("first append at %d", c.Value)
	}
	r.must(unio.Request{Op: unio.OpFlush, Region: reg})
	if got := r.read(reg, 5000, 300000); !bytes.Equal(got, random(300000, 1)) {
		t.Error("not what was written")
	}
	must(t, reg.Close())
	reg = r.attach("s")
	if got := r.read(reg, 5000, 300000); !bytes.Equal(got, random(300000, 1)) {
		t.Error("not there after it was attached again")
	}
	r.reopen()
	if p := r.read(r.attach("s"), 0, 1<<20); len(bytes.Trim(p, "\x00")) > 0 {
		t.Error("a scratch volume is not empty when the pool is opened again")
	}
	r.check()
}

// TestAppend: concurrent appenders neither overlap nor leave holes.
func TestAppend(t *testing.T) {
	r := newRig(t, Config{}, 8<<20)
	reg := r.create("log", VolumeConfig{Size: 4 << 20})
	const workers, each = 4, 50
	var mu sync.Mutex
	where := map[int64][]byte{}
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			ch, err := r.pool.NewChannel(unio.ChannelConfig{})
			must(t, err)
			defer ch.Close()
			for i := range uint64(each) {
				p := random(1+int(w*i*37%5000), w<<32|i)
				q := unio.Request{Op: unio.OpAppend, Region: reg, Data: p}
				if len(p) > 10 && i%2 == 0 {
					q.Data, q.Vec = nil, [][]byte{p[:3], p[3:]}
				}
				if _, err := ch.Post(q); err != nil {
					t.Error(err)
					return
				}
				var done [1]unio.Completion
				if _, err := ch.Wait(context.Background(), done[:]); err != nil || done[0].Err != nil {
					t.Error(err, done[0].Err)
					return
				}
				mu.Lock()
				where[int64(done[0].Value)] = p
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.reopen()
	reg = r.attach("log")
	at := int64(0)
	for len(where) > 0 {
		p, ok := where[at]
		if !ok {
			t.Fatalf("nothing was appended at %d", at)
		}
		if !bytes.Equal(r.read(reg, at, len(p)), p) {
			t.Fatalf("not what was appended at %d", at)
		}
		delete(where, at)
		at += int64(len(p))
	}
	if c := r.must(unio.Request{Op: unio.OpAppend, Region: reg, Data: []byte("x")}); int64(c.Value) != at {
		t.Errorf("appended at %d, want %d", c.Value, at)
	}
	must(t, reg.Resize(t.Context(), (at+4096)&^4095))
	r.fails(unio.Request{Op: unio.OpAppend, Region: reg, Data: make([]byte, 8192)}, unio.ErrNoSpace)
	r.check()
}

func TestWriteAtomic(t *testing.T) {
	r := newRig(t, Config{}, 8<<20, 8<<20)
	reg := r.create("v", VolumeConfig{Size: 4 << 20})
	limit := r.pool.Info().MaxAtomic
	data := random(200, 1)
	q := unio.Request{Op: unio.OpWriteAtomic, Region: reg, Ranges: []unio.Range{{Offset: 100, Length: 50}, {Offset: 10, Length: 50}, {Offset: 2 << 20, Length: 100}}, Data: data}
	r.must(q)
	if !bytes.Equal(r.read(reg, 100, 50), data[:50]) || !bytes.Equal(r.read(reg, 10, 50), data[50:100]) || !bytes.Equal(r.read(reg, 2<<20, 100), data[100:]) {
		t.Error("not what was written")
	}
	r.write(reg, 120, []byte("plain")) // over what is in the log
	if got := r.read(reg, 119, 7); got[0] != data[19] || string(got[1:6]) != "plain" || got[6] != data[25] {
		t.Errorf("%q", got)
	}
	for name, c := range map[string]struct {
		change func(*unio.Request)
		want   error
	}{
		"overlapping":    {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: 0, Length: 100}, {Offset: 99, Length: 100}} }, unio.ErrInvalid},
		"empty range":    {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: 0, Length: 200}, {Offset: 999, Length: 0}} }, unio.ErrInvalid},
		"no ranges":      {func(q *unio.Request) { q.Ranges = nil }, unio.ErrInvalid},
		"too short":      {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: 0, Length: 199}} }, unio.ErrInvalid},
		"too long":       {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: 0, Length: 201}} }, unio.ErrInvalid},
		"past the end":   {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: 4<<20 - 100, Length: 200}} }, unio.ErrOutOfRange},
		"negative":       {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: -200, Length: 200}} }, unio.ErrOutOfRange},
		"overflowing":    {func(q *unio.Request) { q.Ranges = []unio.Range{{Offset: math.MaxInt64, Length: 200}} }, unio.ErrOutOfRange},
		"with an offset": {func(q *unio.Request) { q.Offset = 8 }, unio.ErrInvalid},
		"too many":       {func(q *unio.Request) { q.Ranges = make([]unio.Range, maxRanges+1) }, unio.ErrInvalid},
		"too large":      {func(q *unio.Request) { q.Data = make([]byte, limit+1) }, unio.ErrOutOfRange},
		"a plain write":  {func(q *unio.Request) { q.Op = unio.OpWrite }, unio.ErrInvalid},
	} {
		bad := q
		c.change(&bad)
		if _, err := r.ch.Post(bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var big []unio.Range
	for i := range int64(maxRanges) {
		big = append(big, unio.Range{Offset: i*60000 + 7, Length: limit / maxRanges})
	}
	r.must(unio.Request{Op: unio.OpWriteAtomic, Region: reg, Ranges: big, Data: random(int(limit), 5)})
	r.check()
	r.reopen()
	r.check()
	if got := r.read(r.attach("v"), 63*60000+7, int(limit/maxRanges)); !bytes.Equal(got, random(int(limit), 5)[limit/maxRanges*63:]) {
		t.Error("not there after the pool was opened again")
	}
}

// TestOneFlush: commits that wait together share one flush.
func TestOneFlush(t *testing.T) {
	r := newRig(t, Config{}, 8<<20)
	reg := r.create("v", VolumeConfig{Size: 4 << 20})
	r.write(reg, 0, random(1<<20, 1))
	flushes := func() int64 { return r.pool.p.members[0].dev.Stats().Assisted }
	before := flushes()
	var posts []unio.Request
	for i := range int64(16) {
		posts = append(posts, unio.Request{Op: unio.OpWriteAtomic, Region: reg, Ranges: []unio.Range{{Offset: i * 8192, Length: 4096}}, Data: random(4096, uint64(i))})
	}
	_, err := r.ch.Post(posts...)
	must(t, err)
	done := make([]unio.Completion, len(posts))
	for got := 0; got < len(posts); {
		n, err := r.ch.Wait(t.Context(), done[got:])
		must(t, err)
		got += n
	}
	// Durable, on this disk, is a write and a flush: one assisted request.
	if n := flushes() - before; n > 3 {
		t.Errorf("%d flushes for 16 commits that were posted together", n)
	}
}

func TestRefused(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		spoil func(*poolRig)
		want  error
		says  string
	}{
		"truncated": {func(r *poolRig) {
			r.disks[1] = diskOf(r, r.disks[1].Image()[:rigDisk/2])
		}, unio.ErrMedia, "truncated"},
		"missing": {func(r *poolRig) { r.disks = r.disks[:1] }, unio.ErrInvalid, "missing 1"},
		"swapped": {func(r *poolRig) { r.disks[0], r.disks[1] = r.disks[1], r.disks[0] }, unio.ErrInvalid, "order"},
		"blank":   {func(r *poolRig) { r.disks[1] = diskOf(r, make([]byte, rigDisk)) }, unio.ErrInvalid, "create a pool first"},
		"foreign": {func(r *poolRig) { r.disks[1] = diskOf(r, bytes.Repeat([]byte("ext4"), rigDisk/4)) }, unio.ErrInvalid, "Force"},
		"newer": {func(r *poolRig) {
			img := r.disks[0].Image()
			img[8], img[format.SuperblockB+8] = format.Version+1, format.Version+1
			r.disks[0] = diskOf(r, img)
		}, unio.ErrUnsupported, "as new as"},
		"another pool": {func(r *poolRig) {
			other := newRig(r.T, Config{}, rigDisk, rigDisk)
			other.close()
			r.disks[1] = other.disks[1]
		}, unio.ErrInvalid, "belongs to pool"},
		"an old catalogue": {func(r *poolRig) {
			old := r.cat.Clone()
			r.use(Open)
			r.close()
			r.cat = old
		}, unio.ErrInvalid, "newer catalogue"},
		"damaged": {func(r *poolRig) {
			img := r.disks[0].Image()
			img[100], img[format.SuperblockB+100] = 1, 1
			r.disks[0] = diskOf(r, img)
		}, unio.ErrMedia, "restore"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{}, rigDisk, rigDisk)
			r.create("v", VolumeConfig{Size: 1 << 20})
			r.close()
			c.spoil(r)
			if err := r.refused(); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v and %q", err, c.want, c.says)
			}
		})
	}
	t.Run("one copy damaged", func(t *testing.T) {
		r := newRig(t, Config{}, rigDisk)
		r.close()
		img := r.disks[0].Image()
		clear(img[:4096])
		r.disks[0] = diskOf(r, img)
		r.use(Open)
		r.check()
	})
	t.Run("a second opener", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "catalogue")
		disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: 20 << 20})
		cfg := Config{Members: []Member{{Device: disk.Open()}}, Path: path}
		p, err := Create(ctx, cfg)
		must(t, err)
		for name, open := range map[string]func(context.Context, Config) (*Pool, error){"Open": Open, "Create": Create} {
			second := cfg
			second.Force = true
			second.Members = []Member{{Device: disk.Open()}}
			if _, err := open(ctx, second); !errors.Is(err, unio.ErrBusy) {
				t.Errorf("%s of a pool in use: %v, want ErrBusy", name, err)
			}
			must(t, second.Members[0].Device.Close())
		}
		must(t, p.Close())
	})
	t.Run("a pool on itself", func(t *testing.T) {
		r := newRig(t, Config{}, rigDisk)
		must(t, r.pool.CreateVolume(ctx, "v", VolumeConfig{Size: 1 << 20}))
		img := r.disks[0].Image()
		ch, reg := r.ch, r.attach("v")
		must(t, ch.Do(ctx, unio.Request{Op: unio.OpWrite, Region: reg, Data: img[:4096]}))
		cat := r.cat.Clone()
		opened, err := cat.Open()
		must(t, err)
		if p, err := Open(ctx, Config{Members: []Member{{Device: r.pool.Device, Region: "v"}}, Catalogue: opened}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%v, %v, want ErrInvalid", p, err)
		}
		if _, err := Create(ctx, Config{Members: []Member{{Device: r.pool.Device, Region: "v"}, {Device: r.pool.Device, Region: "v"}}}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("a region twice: %v, want ErrInvalid", err)
		}
	})
}

func diskOf(r *poolRig, img []byte) *uniotest.RAMDisk {
	return uniotest.NewRAMDisk(r, uniotest.RAMDiskConfig{Image: img, BlockSize: 512, Inline: 2})
}

func TestCreateRefuses(t *testing.T) {
	ctx := context.Background()
	for name, at := range map[string]int{"beginning": 0, "superblock": 1024, "a while in": 700_000, "end": 20<<20 - 1} {
		img := make([]byte, 20<<20)
		img[at] = 1
		disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Image: img})
		cfg := Config{Members: []Member{{Device: disk.Open()}}}
		if _, err := Create(ctx, cfg); !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), "Force") {
			t.Errorf("something at the %s: %v", name, err)
		}
		cfg.Force = true
		p, err := Create(ctx, cfg)
		must(t, err)
		must(t, p.Close())
	}
	small := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: 1 << 20})
	cfg := Config{Members: []Member{{Device: small.Open()}}}
	if _, err := Create(ctx, cfg); !errors.Is(err, unio.ErrNoSpace) {
		t.Errorf("a disk that is too small: %v, want ErrNoSpace", err)
	}
	must(t, cfg.Members[0].Device.Close())
}
