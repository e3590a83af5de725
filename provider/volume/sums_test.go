package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/faults"
)

// TestFlippedBits flips bits anywhere on the disk: what is read is what was
// written, or ErrChecksum with the block, and the scrub finds the same blocks.
func TestFlippedBits(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, Config{}, rigDisk)
	want := random(1<<20, 1)
	r.write(r.create("v", VolumeConfig{Size: 1 << 20}), 0, want)
	data := r.pool.p.members[0].sb.Data
	r.close()
	img, cat := r.disks[0].Image(), r.cat
	for range 300 {
		at := rng.Int64N(int64(len(img)))
		if rng.IntN(2) == 0 {
			at = data + rng.Int64N(1<<20)
		}
		spoilt := bytes.Clone(img)
		spoilt[at] ^= 1 << rng.IntN(8)
		r.disks[0], r.cat = diskOf(r, spoilt), cat.Clone()
		r.use(Open)
		bad := r.readAll(want)
		rep, err := r.pool.Scrub(t.Context(), ScrubConfig{Restart: true})
		must(t, err)
		if len(rep.Bad) != len(bad) {
			t.Errorf("byte %d: reading finds %d bad blocks, the scrub %v", at, len(bad), rep.Bad)
		}
		for i, b := range rep.Bad {
			if b.Volume != "v" || b.Offset != bad[i] {
				t.Errorf("byte %d: bad block %d, the scrub says %+v", at, bad[i], b)
			}
		}
		if at >= data && at < data+1<<20 && len(bad) != 1 {
			t.Errorf("byte %d is of an extent, and %d blocks are bad", at, len(bad))
		}
		r.close()
	}
}

// readAll reads the volume by the block and returns which are bad.
func (r *poolRig) readAll(want []byte) (bad []int64) {
	r.Helper()
	reg := r.attach("v")
	for off := int64(0); off < int64(len(want)); off += sumBlock {
		p := make([]byte, 100)
		_, err := r.do(unio.Request{Op: unio.OpRead, Region: reg, Offset: off + 50, Data: p})
		e := (*unio.OpError)(nil)
		switch {
		case err == nil && !bytes.Equal(p, want[off+50:off+150]):
			r.Errorf("block %d is not what was written", off)
		case err == nil:
		case !errors.Is(err, unio.ErrChecksum) || !errors.As(err, &e) || e.BadByte < off || e.BadByte >= off+sumBlock:
			r.Errorf("block %d: %v", off, err)
		default:
			bad = append(bad, off)
		}
	}
	must(r, reg.Close())
	return bad
}

func TestScrubResumes(t *testing.T) {
	r := newRig(t, Config{}, 8<<20)
	r.write(r.create("v", VolumeConfig{Size: 4 << 20}), 0, random(4<<20, 1))
	ctx, stop := context.WithCancel(t.Context())
	rep, err := r.pool.Scrub(ctx, ScrubConfig{Progress: func(p ScrubReport) {
		if p.Total != 64 {
			t.Errorf("%d extents in use, want 64", p.Total)
		}
		if p.Extents == 10 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) || rep.Extents != 10 {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.reopen()
	if rep, err = r.pool.Scrub(t.Context(), ScrubConfig{}); err != nil || rep.Extents != 54 {
		t.Errorf("the second scrub read %d extents, %v; want the other 54", rep.Extents, err)
	}
	began := time.Now()
	rep, err = r.pool.Scrub(t.Context(), ScrubConfig{BytesPerSecond: 64 << 20})
	if took := time.Since(began); err != nil || rep.Extents != 64 || took < 60*time.Millisecond {
		t.Errorf("4 MiB at 64 MiB/s took %v, %+v, %v", took, rep, err)
	}
}

// TestWritersAndReaders read what others write, and move the pages in and out of
// a small table, under checksums: nobody sees a false alarm.
func TestWritersAndReaders(t *testing.T) {
	r := newRig(t, Config{Entries: 8, DirtyExtents: 16, CleanAfter: time.Millisecond}, 16<<20)
	reg := r.create("v", VolumeConfig{Size: 8 << 20})
	done := make(chan error, 6)
	deadline := time.Now().Add(800 * time.Millisecond)
	for w := range uint64(6) {
		go func() { done <- r.mix(reg, w, deadline) }()
	}
	for range 6 {
		must(t, <-done)
	}
	r.check()
	faults, waited := r.pool.FaultStats()
	t.Logf("%d faults, %v each", faults, waited/time.Duration(max(faults, 1)))
	if faults == 0 || waited == 0 {
		t.Error("no fault was counted")
	}
}

func (r *poolRig) mix(reg *unio.Region, w uint64, deadline time.Time) error {
	ch, err := r.pool.NewChannel(unio.ChannelConfig{Depth: 8})
	if err != nil {
		return err
	}
	defer ch.Close()
	rng := rand.New(rand.NewPCG(w, 7))
	p := random(64<<10, w)
	for time.Now().Before(deadline) {
		off := rng.Int64N(8<<20 - 64<<10)
		if rng.IntN(2) == 0 {
			off = rng.Int64N(3) * sumBlock // all at the same blocks
		}
		q := unio.Request{Op: unio.OpWrite, Region: reg, Offset: off, Data: p[:1+rng.IntN(1<<rng.IntN(16))]}
		switch rng.IntN(10) {
		case 0, 1, 2, 3:
			q.Op = unio.OpRead
			q.Data = bytes.Clone(q.Data)
		case 4:
			q.Op, q.Length, q.Data = unio.OpDiscard, int64(len(q.Data)), nil
		case 5:
			q.Op, q.Ranges, q.Offset = unio.OpWriteAtomic, []unio.Range{{Offset: off, Length: int64(len(q.Data))}}, 0
		case 6:
			q.Op, q.Offset, q.Swap, q.Data = unio.OpFetchAdd, off&^7, 1, nil
		}
		if err := ch.Do(context.Background(), q); err != nil {
			return fmt.Errorf("%v at %d: %w", q.Op, off, err)
		}
	}
	return nil
}

// TestFailedWrite: what a write that failed has left is readable, whatever it is.
func TestFailedWrite(t *testing.T) {
	disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: 20 << 20, BlockSize: 512})
	dev, err := faults.Wrap(disk.Open(), "write at 16704KiB..20MiB 1/10 error media", 3) // of the extents
	must(t, err)
	p, err := Create(t.Context(), Config{Members: []Member{{Device: dev}}})
	must(t, err)
	defer p.Close()
	must(t, p.CreateVolume(t.Context(), "v", VolumeConfig{Size: 1 << 20}))
	reg, err := p.Attach(t.Context(), "v", unio.ReadWrite)
	must(t, err)
	ch, err := p.NewChannel(unio.ChannelConfig{})
	must(t, err)
	failed := 0
	for i := range int64(200) {
		if err := ch.Do(t.Context(), unio.Request{Op: unio.OpWrite, Region: reg, Offset: i % 20 * 4096, Data: random(8192, uint64(i))}); err != nil {
			if !errors.Is(err, unio.ErrMedia) {
				t.Error(err)
			}
			failed++
		}
		if err := ch.Do(t.Context(), unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100_000)}); err != nil {
			t.Fatal("read after a write that failed:", err)
		}
	}
	if failed == 0 {
		t.Error("no write failed")
	}
}
