package workload

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// TestFetchAdd holds that every operation that is counted has added 1 to a
// word, and nothing else has.
func TestFetchAdd(t *testing.T) {
	disk, reg := attach(t, uniotest.RAMDiskConfig{})
	cfg := brief(t, "fetch-add")
	cfg.BlockSize, cfg.Channels = 8, 2
	res, err := Run(t.Context(), reg, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for b := disk.Image(); len(b) > 0; b = b[8:] {
		sum += int64(binary.LittleEndian.Uint64(b))
	}
	if res.Operations == 0 || sum != res.Operations || res.Errors != 0 || res.Read != nil || res.Write != nil {
		t.Errorf("%d operations, %d in the words, %d errors", res.Operations, sum, res.Errors)
	}
}

// TestCompareSwap holds that words stay as they are, and that a region that is
// filled before is filled with what is expected.
func TestCompareSwap(t *testing.T) {
	image := []byte(strings.Repeat("12345678", testSize/8))
	disk, reg := attach(t, uniotest.RAMDiskConfig{Image: image})
	cfg := brief(t, "compare-swap")
	cfg.BlockSize = 8
	if res, err := Run(t.Context(), reg, cfg, nil); err != nil || res.Operations == 0 || string(disk.Image()) != string(image) {
		t.Errorf("%+v, %v", res, err)
	}
	cfg.Prefill = true
	if res, err := Run(t.Context(), reg, cfg, nil); err != nil || res.Operations == 0 || !zero(disk.Image()) {
		t.Errorf("%+v, %v", res, err)
	}
}

func exchange(t *testing.T, p peerProvider, name string, change func(*Config)) (*Result, unio.Stats, error) {
	t.Helper()
	dev := unio.NewDevice(p)
	defer dev.Close()
	cfg := brief(t, name)
	cfg.BlockSize = 64
	change(&cfg)
	res, err := Exchange(t.Context(), dev, cfg, nil)
	return res, dev.Stats(), err
}

func TestExchange(t *testing.T) {
	for _, name := range []string{"send", "pingpong"} {
		for _, depth := range []int{1, 5, 64} {
			res, s, err := exchange(t, peerProvider{answers: name == "pingpong"}, name, func(c *Config) {
				c.Depth, c.Channels, c.Ramp = depth, 2, 10*time.Millisecond
			})
			if err != nil || res.Operations == 0 || res.Errors != 0 || res.BytesPerSecond < res.IOPS*63 {
				t.Errorf("%s, depth %d: %+v, %v", name, depth, res, err)
			}
			if s.Posted != s.Completed {
				t.Errorf("%d posted, %d completed", s.Posted, s.Completed)
			}
		}
	}
	if res, _, err := exchange(t, peerProvider{answers: true}, "pingpong", func(c *Config) { c.BlockSize = 0 }); err != nil || res.Operations == 0 {
		t.Errorf("empty messages: %+v, %v", res, err)
	}
	res, _, err := exchange(t, peerProvider{answers: true, cuts: true}, "pingpong", func(*Config) {})
	if err != nil || res.Operations != 0 || res.Errors < maxErrors || !strings.Contains(res.Failure[0], "63 bytes came back") {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestSilentPeer: messages that are never answered end the run, with an error,
// some time after it should have ended.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		res, s, err := exchange(t, peerProvider{}, "pingpong", func(c *Config) { c.Time, c.Spin = time.Second, -1 })
		if res != nil || !errors.Is(err, unio.ErrTimeout) || !strings.Contains(err.Error(), "unanswered") {
			t.Errorf("%+v, %v", res, err)
		}
		if took := time.Since(began); took != time.Second+patience {
			t.Errorf("it took %v", took)
		}
		if s.Posted != s.Completed {
			t.Errorf("%d posted, %d completed", s.Posted, s.Completed)
		}
	})
}

func TestNotOffered(t *testing.T) {
	_, reg := attach(t, uniotest.RAMDiskConfig{})
	for _, name := range []string{"send", "pingpong"} {
		if _, err := Exchange(t.Context(), reg.Device(), brief(t, name), nil); !errors.Is(err, unio.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Run(t.Context(), reg, brief(t, name), nil); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Exchange(t.Context(), reg.Device(), brief(t, "read"), nil); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
	dev := unio.NewDevice(peerProvider{})
	defer dev.Close()
	other, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), other, brief(t, "read"), nil); !errors.Is(err, unio.ErrUnsupported) {
		t.Error(err)
	}
}

func TestRepeat(t *testing.T) {
	var calls, running, most atomic.Int64
	call := func(context.Context) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if calls.Add(1)%10 == 0 {
			return errors.New("one in ten")
		}
		return nil
	}
	mon := new(Monitor)
	res, err := Repeat(t.Context(), 1000, call, Config{Time: time.Minute, Channels: 3}, mon)
	if err != nil || calls.Load() != 1000 || res.Operations != 900 || res.Errors != 100 || res.Failure[0] != "one in ten" || most.Load() > 3 {
		t.Errorf("%d calls, %d at a time, %+v, %v", calls.Load(), most.Load(), res, err)
	}
	if p := mon.Progress(); p.Fraction != 1 {
		t.Errorf("%+v", p)
	}
	if _, err := Repeat(t.Context(), 0, call, Config{Time: time.Minute}, nil); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
	if _, err := Repeat(t.Context(), 1, call, Config{}, nil); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
}

func TestRepeatEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	res, err := Repeat(ctx, 1e9, func(context.Context) error {
		if n++; n == 5 {
			cancel()
			return ctx.Err()
		}
		return nil
	}, Config{Time: time.Hour}, nil)
	if err != nil || !res.Interrupted || res.Operations != 4 || res.Errors != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = Repeat(t.Context(), 1e9, func(context.Context) error { return nil }, Config{Time: 20 * time.Millisecond, Ramp: 10 * time.Millisecond}, nil)
	if err != nil || res.Interrupted || res.Operations == 0 || res.Seconds > 1 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = Repeat(t.Context(), 1e9, func(context.Context) error { return unio.ErrBusy }, Config{Time: time.Hour}, nil)
	if err != nil || !res.GaveUp || res.Errors != maxErrors {
		t.Errorf("%+v, %v", res, err)
	}
}
