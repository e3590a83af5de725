package faults_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
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

// A rig is a faulty device over a RAM disk.
type rig struct {
	*testing.T
	disk *uniotest.RAMDisk
	dev  *unio.Device
	reg  *unio.Region
	ch   *unio.Channel
}

func open(t *testing.T, rules string, cfg uniotest.RAMDiskConfig) *rig {
	t.Helper()
	disk := uniotest.NewRAMDisk(t, cfg)
	dev, err := faults.Wrap(disk.Open(), rules, 42)
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
	return &rig{t, disk, dev, reg, ch}
}

func (r *rig) do(op unio.Opcode, off int64, p []byte) error {
	q := unio.Request{Op: op, Region: r.reg, Offset: off}
	switch op {
	case unio.OpRead, unio.OpWrite:
		q.Data = p
	case unio.OpWriteZeroes, unio.OpDiscard:
		q.Length = int64(len(p))
	}
	return r.ch.Do(context.Background(), q)
}

// TestError: the failure says what rule it comes from and where, and touches
// nothing.
func TestError(t *testing.T) {
	r := open(t, "write at 4096..4100 error media", uniotest.RAMDiskConfig{})
	p := bytes.Repeat([]byte{7}, 3000)
	err := r.do(unio.OpWrite, 2000, p)
	var oe *unio.OpError
	if !errors.As(err, &oe) || !errors.Is(err, unio.ErrMedia) {
		t.Fatalf("%v, want ErrMedia", err)
	}
	if oe.Layer != faults.Layer || oe.BadByte != 4096 || oe.Offset != 2000 || oe.Length != 3000 || oe.Detail != "rule: write at 4KiB..4100 error media" {
		t.Errorf("%+v", *oe)
	}
	if slices.Max(r.disk.Image()) != 0 {
		t.Error("a write that failed has written")
	}
	for _, off := range []int64{1096, 4100} {
		if err := r.do(unio.OpWrite, off, p); err != nil {
			t.Errorf("write beside the range: %v", err)
		}
	}
	if err := r.do(unio.OpRead, 4000, p); err != nil {
		t.Errorf("read of the range: %v", err)
	}
	if n := len(r.dev.Errors()); n != 1 {
		t.Errorf("the device remembers %d failures, want 1", n)
	}
}

// TestCounting: which of many requests a rule hits.
func TestCounting(t *testing.T) {
	for _, c := range []struct {
		rules string
		want  []int
	}{
		{"read nth 3 error media", []int{3}},
		{"read after 7 error media", []int{8, 9, 10}},
		{"any nth 2 error media\nany nth 2 error nospace", []int{2, 3}},
		{"write error media", nil},
		{"read region \"\" nth 1 error media", []int{1}},
		{"read region other error media", nil},
		{"read nth 4 delay 1us\nread nth 4 error media", []int{4}},
	} {
		r := open(t, c.rules, uniotest.RAMDiskConfig{})
		var got []int
		for i := range 10 {
			if r.do(unio.OpRead, 0, make([]byte, 8)) != nil {
				got = append(got, i+1)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q hits %v, want %v", c.rules, got, c.want)
		}
	}
}

// TestProbability: about as often as asked, and the same for the same seed.
func TestProbability(t *testing.T) {
	hits := func(seed uint64) (hit []int) {
		rules, err := faults.Parse("read 1/4 error media")
		if err != nil {
			t.Fatal(err)
		}
		j := faults.NewInjector(rules, seed)
		for i := range 4000 {
			if j.Decide(faults.Subject{Op: unio.OpRead, Length: 1}).Rule != nil {
				hit = append(hit, i)
			}
		}
		return hit
	}
	a, b, c := hits(1), hits(1), hits(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("the seed does not decide")
	}
	if len(a) < 850 || len(a) > 1150 {
		t.Errorf("%d of 4000 hits with a probability of 1/4", len(a))
	}
}

// TestDelay: a delayed request holds up no other, and can be cancelled.
func TestDelay(t *testing.T) {
	r := open(t, "read at 0..1 delay 30ms", uniotest.RAMDiskConfig{})
	began := time.Now()
	slow := unio.Request{ID: 1, Op: unio.OpRead, Region: r.reg, Data: make([]byte, 8)}
	quick := unio.Request{ID: 2, Op: unio.OpRead, Region: r.reg, Offset: 512, Data: make([]byte, 8)}
	if _, err := r.ch.Post(slow, quick); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint64{2, 1} {
		var done [1]unio.Completion
		if n, err := r.ch.Wait(t.Context(), done[:]); n != 1 || done[0].ID != want || done[0].Err != nil {
			t.Fatalf("Wait: %d %+v, %v; want request %d", n, done, err, want)
		}
	}
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("a delay of 30ms took %v", took)
	}
}

func TestDelayEndsEarly(t *testing.T) {
	for name, end := range map[string]func(*unio.Channel){
		"cancel": func(c *unio.Channel) { c.Cancel(1) },
		"close":  func(c *unio.Channel) { _ = c.Close() },
	} {
		r := open(t, "any delay 1h", uniotest.RAMDiskConfig{})
		reqs := []unio.Request{
			{ID: 1, Op: unio.OpRead, Region: r.reg, Data: make([]byte, 8)},
			{ID: 1, Op: unio.OpFlush, Region: r.reg},
		}
		if n, err := r.ch.Post(reqs...); n != 2 {
			t.Fatal(err)
		}
		end(r.ch)
		for range reqs {
			var done [1]unio.Completion
			if n, err := r.ch.Wait(t.Context(), done[:]); n != 1 || !errors.Is(done[0].Err, unio.ErrCanceled) {
				t.Errorf("%s: Wait: %d, %+v, %v; want ErrCanceled", name, n, done, err)
			}
		}
	}
}

// TestLost: it succeeds and does nothing.
func TestLost(t *testing.T) {
	r := open(t, "write nth 2 lost\ndiscard lost\nwrite-zeroes lost\nflush lost", uniotest.RAMDiskConfig{})
	for i := range byte(3) {
		if err := r.do(unio.OpWrite, int64(i), []byte{i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range []unio.Opcode{unio.OpDiscard, unio.OpWriteZeroes, unio.OpFlush} {
		if err := r.do(op, 0, make([]byte, 3)); err != nil {
			t.Errorf("%v: %v", op, err)
		}
	}
	if got := r.disk.Image()[:3]; !bytes.Equal(got, []byte{1, 0, 3}) {
		t.Errorf("the disk holds %v, want 1 0 3", got)
	}
}

// TestShort: what is cut short is continued until it is whole, whatever it is.
func TestShort(t *testing.T) {
	for name, cfg := range map[string]uniotest.RAMDiskConfig{
		"bytes":  {},
		"blocks": {BlockSize: 4096, MemoryAlign: 512, Native: unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush)},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, "any short 4KiB", cfg)
			want := make([]byte, 50_000)
			for i := range want {
				want[i] = byte(i*7 + i>>8)
			}
			if err := r.do(unio.OpWrite, 1234, want); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			vec := unio.Request{Op: unio.OpRead, Region: r.reg, Offset: 1234, Vec: [][]byte{got[:5001], got[5001:30000], got[30000:]}}
			if err := r.ch.Do(t.Context(), vec); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("what was written in pieces is not what is read")
			}
			if err := r.do(unio.OpWriteZeroes, 2000, got[:20000]); err != nil {
				t.Fatal(err)
			}
			clear(want[766:20766])
			if !bytes.Equal(r.disk.Image()[1234:1234+50000], want) {
				t.Error("the disk does not hold what was written and zeroed")
			}
		})
	}
}

// TestWrapRefuses: rules that have their effect at a power cut.
func TestWrapRefuses(t *testing.T) {
	dev := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{}).Open()
	defer dev.Close()
	for _, rules := range []string{"write torn 512", "write unflushed lost", "flush"} {
		if _, err := faults.Wrap(dev, rules, 1); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", rules, err)
		}
	}
}
