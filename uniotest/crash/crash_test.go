package crash_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/crash"
	"github.com/unio-stack/unio/uniotest/faults"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil {
		println("leak: " + err.Error())
		code = 1
	}
	os.Exit(code)
}

const (
	size = 16 << 10
	unit = 512
)

// A rig is a crash device over a RAM disk.
type rig struct {
	*testing.T
	rng *rand.Rand
	dev *crash.Device
	reg *unio.Region
	ch  *unio.Channel
}

func open(t *testing.T, inner *unio.Device, cfg crash.Config) *rig {
	t.Helper()
	dev, err := crash.Wrap(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, rand.New(rand.NewPCG(1, 2)), dev, reg, ch}
}

func disk(t *testing.T) *unio.Device {
	return uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: size, NativeDurable: unio.Ops(unio.OpWrite)}).Open()
}

func (r *rig) do(q unio.Request) error {
	q.Region = r.reg
	return r.ch.Do(context.Background(), q)
}

func (r *rig) must(q unio.Request) {
	r.Helper()
	if err := r.do(q); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) image() []byte {
	r.Helper()
	m, err := r.dev.Image("", r.rng)
	if err != nil {
		r.Fatal(err)
	}
	return m
}

func fill(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

// units returns the value of each unit of [0, n), which must be of one piece,
// or -1 for one that is torn.
func units(image []byte, n int) (values []int) {
	for off := 0; off < n; off += unit {
		v := int(image[off])
		if slices.Max(image[off:off+unit]) != slices.Min(image[off:off+unit]) {
			v = -1
		}
		values = append(values, v)
	}
	return values
}

// TestEveryPoint looks at what may be left after each step of a history.
func TestEveryPoint(t *testing.T) {
	const n = 4 * unit
	history := []struct {
		req     unio.Request
		durable byte // afterwards, every unit holds this or more
		latest  byte // and this or less
	}{
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 1)}, 0, 1},
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 2)}, 0, 2},
		{unio.Request{Op: unio.OpFlush}, 2, 2},
		{unio.Request{Op: unio.OpWrite, Vec: [][]byte{fill(5, 3), fill(n-5, 3)}}, 2, 3},
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 4), Flags: unio.Durable}, 4, 4},
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 5)}, 4, 5},
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 6)}, 4, 6},
		{unio.Request{Op: unio.OpWrite, Data: fill(n, 7)}, 4, 7},
		{unio.Request{Op: unio.OpFlush}, 7, 7},
	}
	var r *rig
	var points []crash.Point
	var images [][][]byte
	ready := make(chan struct{})
	r = open(t, disk(t), crash.Config{OnPoint: func(p crash.Point) {
		<-ready
		points = append(points, p)
		var here [][]byte
		for range 40 {
			here = append(here, r.image())
		}
		images = append(images, here)
	}})
	close(ready)
	for _, h := range history {
		r.must(h.req)
	}
	if len(points) != len(history) {
		t.Fatalf("%d points, want %d", len(points), len(history))
	}
	for i, h := range history {
		if p := points[i]; p.Number != i || p.Op != h.req.Op || p.Err != nil {
			t.Errorf("point %d is %+v, want %v", i, p, h.req.Op)
		}
		seen := map[int]bool{}
		for _, m := range images[i] {
			for _, v := range units(m, n) {
				seen[v] = true
				if v < int(h.durable) || v > int(h.latest) {
					t.Fatalf("after step %d a unit holds %d, want %d to %d in one piece", i, v, h.durable, h.latest)
				}
			}
		}
		if want := int(h.latest-h.durable) + 1; len(seen) != want {
			t.Errorf("after step %d the images show %d versions, want all %d", i, len(seen), want)
		}
	}
}

// TestUnitsAreIndependent: a long write can be left in any mixture.
func TestUnitsAreIndependent(t *testing.T) {
	r := open(t, disk(t), crash.Config{})
	r.must(unio.Request{Op: unio.OpWrite, Data: fill(2*unit, 1)})
	seen := map[[2]int]bool{}
	for range 100 {
		u := units(r.image(), 2*unit)
		seen[[2]int(u)] = true
	}
	if len(seen) != 4 {
		t.Errorf("of two units %d mixtures were seen, want 4", len(seen))
	}
}

// TestRules: what rules do at a power cut.
func TestRules(t *testing.T) {
	write := unio.Request{Op: unio.OpWrite, Data: fill(unit, 9)}
	flush := unio.Request{Op: unio.OpFlush}
	for _, c := range []struct {
		rules string
		reqs  []unio.Request
		want  []int // the values that the first unit is seen with; -1 is torn
	}{
		{"", []unio.Request{write}, []int{0, 9}},
		{"", []unio.Request{write, flush}, []int{9}},
		{"flush lost", []unio.Request{write, flush}, []int{0, 9}},
		{"flush nth 1 lost", []unio.Request{write, flush, flush}, []int{9}},
		{"write unflushed lost", []unio.Request{write}, []int{0}},
		{"write unflushed lost", []unio.Request{write, flush}, []int{9}},
		{"write torn 128", []unio.Request{write}, []int{-1, 0, 9}},
		{"write unflushed torn 128", []unio.Request{write, flush}, []int{9}},
		{"write at 512..1024 torn 128", []unio.Request{write}, []int{0, 9}},
	} {
		r := open(t, disk(t), crash.Config{Rules: c.rules})
		for _, q := range c.reqs {
			r.must(q)
		}
		var seen []int
		for range 300 {
			if v := units(r.image(), unit)[0]; !slices.Contains(seen, v) {
				seen = append(seen, v)
			}
		}
		slices.Sort(seen)
		if !slices.Equal(seen, c.want) {
			t.Errorf("%q, %d requests: values %v, want %v", c.rules, len(c.reqs), seen, c.want)
		}
	}
}

// TestOverlap: writes of the same bytes from two channels are in the image in
// the order in which the inner device has them.
func TestOverlap(t *testing.T) {
	inner := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: size})
	r := open(t, inner.Open(), crash.Config{})
	var wg sync.WaitGroup
	for k := range 3 {
		ch, err := r.dev.NewChannel(unio.ChannelConfig{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range 60 {
				q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: int64(i%7) * 300, Data: fill(1500, byte(1+3*i+k))}
				if i%5 == 4 {
					q = unio.Request{Op: unio.OpFetchAdd, Region: r.reg, Offset: int64(i%9) * 8, Swap: 7}
				}
				if err := ch.Do(t.Context(), q); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.must(unio.Request{Op: unio.OpFlush})
	if !bytes.Equal(r.image(), inner.Image()) {
		t.Error("after a flush the image is not what the inner device holds")
	}
}

// TestFailedWrite: what a write that failed has done is looked up.
func TestFailedWrite(t *testing.T) {
	inner := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: size})
	// the second half of a write that is done in two pieces fails
	faulty, err := faults.Wrap(inner.Open(), "write at 0..1 short 512\nwrite at 512..513 error media", 1)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, faulty, crash.Config{})
	if err := r.do(unio.Request{Op: unio.OpWrite, Data: fill(1024, 5)}); !errors.Is(err, unio.ErrMedia) {
		t.Fatalf("%v, want ErrMedia", err)
	}
	r.must(unio.Request{Op: unio.OpFlush})
	if got := units(r.image(), 1024); !slices.Equal(got, []int{5, 0}) || !bytes.Equal(r.image(), inner.Image()) {
		t.Errorf("the units hold %v, want 5 and 0", got)
	}
}

// TestCancel: what waits for another mutation of its unit can be cancelled.
func TestCancel(t *testing.T) {
	faulty, err := faults.Wrap(disk(t), "write nth 1 delay 20ms", 1)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, faulty, crash.Config{})
	reqs := []unio.Request{
		{ID: 1, Op: unio.OpWrite, Region: r.reg, Data: fill(100, 1)},
		{ID: 2, Op: unio.OpWrite, Region: r.reg, Data: fill(100, 2)},
	}
	if n, err := r.ch.Post(reqs...); n != 2 {
		t.Fatal(err)
	}
	r.ch.Cancel(2)
	for _, want := range []uint64{2, 1} {
		var done [1]unio.Completion
		if n, err := r.ch.Wait(t.Context(), done[:]); n != 1 || done[0].ID != want || (want == 2) != errors.Is(done[0].Err, unio.ErrCanceled) {
			t.Fatalf("Wait: %d %+v, %v; want request %d", n, done, err, want)
		}
	}
	r.must(unio.Request{Op: unio.OpFlush})
	if r.image()[0] != 1 {
		t.Error("the write that was cancelled has written")
	}
}

func TestWrapRefuses(t *testing.T) {
	inner := disk(t)
	defer inner.Close()
	for _, c := range []crash.Config{
		{AtomicUnit: 100}, {AtomicUnit: -1}, {Rules: "write"}, {Rules: "write lost"}, {Rules: "read error media"},
	} {
		if _, err := crash.Wrap(inner, c); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", c, err)
		}
	}
	r := open(t, disk(t), crash.Config{})
	if _, err := r.dev.Image("other", r.rng); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("image of a region that is not attached: %v, want ErrInvalid", err)
	}
}
