package volume

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/crash"
	"github.com/unio-stack/unio/uniotest/faults"
)

var (
	crashPoints = flag.Int("volume.points", 0, "how many crash points to try; 0 is 10,000, or 1,000 with -short or the race detector (VOLUME_POINTS in the environment does the same)")
	crashSeed   = flag.Uint64("volume.seed", 0, "repeat the crash histories of this seed; 0 takes a new one")
)

func pointsWanted(t *testing.T) int {
	if *crashPoints > 0 {
		return *crashPoints
	}
	if n, err := strconv.Atoi(os.Getenv("VOLUME_POINTS")); err == nil && n > 0 {
		return n
	}
	if testing.Short() || raceDetector {
		return 1000
	}
	return 10_000
}

// TestCrash tries every crash point of random histories: after each the pool
// opens and is in order, what was flushed or committed is there, and nothing is
// half there or another volume's.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -volume.seed=%d", seed, seed)
	const workers = 4
	want := pointsWanted(t) / workers
	for w := range uint64(workers) {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			t.Parallel()
			n, began := 0, time.Now()
			for i := uint64(0); n < want && !t.Failed(); i++ {
				h := newHistory(t, seed+w*1_000_003+i*7919, crashKind{plain: i%3 == 2})
				h.live(120)
				n += h.points
			}
			t.Logf("%d crash points in %v", n, time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestCrashNoticed breaks what the order of things rests on, and wants the
// crash test to see it.
func TestCrashNoticed(t *testing.T) {
	for name, kind := range map[string]crashKind{
		"flushes that do nothing":              {rules: "flush lost"},
		"a catalogue that is late":             {late: true},
		"marks of dirty extents that are lost": {lost: "write at 327680..331776 lost"},
		"log records that are lost":            {lost: "write at 139264..270336 lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range uint64(200) {
				kind.mutant = true
				h := newHistory(t, 77+i, kind)
				h.live(120)
				if h.failure != nil {
					t.Logf("noticed in history %d, at point %d: %v", i, h.points, h.failure)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}

// A crashKind is what is special about a history.
type crashKind struct {
	plain  bool   // no checksums
	rules  string // of the crash device
	lost   string // rules of a device that loses writes
	late   bool   // the catalogue's last transaction is not durable
	mutant bool   // failures are noted, and not the test's
}

// mostPoints bounds how many are tried of one history, which has some hundreds.
const mostPoints = 2000

// crashSize is of the disk: it has room for 16 extents.
const crashSize = 448<<10 + 16*(64<<10)

// A history is a pool on a disk whose power can be cut, in use.
type history struct {
	t    *testing.T
	kind crashKind
	rng  *rand.Rand
	cut  *rand.Rand // of the images; owned by whoever calls OnPoint
	disk *crash.Device
	cat  *crashCatalogue
	pool *Pool
	ch   *unio.Channel

	points  int
	failure error // guarded by mu

	// mu is held while a crash point is tried. Guards what follows.
	mu      sync.Mutex
	on      bool
	vols    []*modelVolume
	atomics []*modelAtomic
	stamp   uint32
	flight  map[uint64]*crashFlight
	next    uint64
}

// A crashFlight is a request in flight.
type crashFlight struct {
	v      *modelVolume
	req    unio.Request
	stamp  uint32
	flush  modelFlush
	atomic *modelAtomic
}

// A crashCatalogue is in memory, and does not change while it is copied
// together with the disk.
type crashCatalogue struct {
	catalogue.Catalogue
	mu     sync.Mutex
	memory catalogue.Memory
	before *catalogue.Memory // as it was before the last transaction
}

func (c *crashCatalogue) Update(f func(catalogue.Writer) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = c.memory.Clone()
	return c.Catalogue.Update(f)
}

func newHistory(t *testing.T, seed uint64, kind crashKind) *history {
	h := &history{
		t: t, kind: kind, flight: map[uint64]*crashFlight{}, cat: &crashCatalogue{},
		rng: rand.New(rand.NewPCG(seed, 1)), cut: rand.New(rand.NewPCG(seed, 2)),
	}
	var err error
	h.cat.Catalogue, err = h.cat.memory.Open()
	must(t, err)
	ram := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: crashSize, BlockSize: 512, Seed: seed, Inline: 2})
	h.disk, err = crash.Wrap(ram.Open(), crash.Config{AtomicUnit: unitSize, Seed: seed, Rules: kind.rules, OnPoint: h.point})
	must(t, err)
	below := h.disk.Device
	if kind.lost != "" {
		below, err = faults.Wrap(below, kind.lost, seed)
		must(t, err)
	}
	h.pool, err = Create(t.Context(), crashConfig(below, h.cat, kind))
	must(t, err)
	h.ch, err = h.pool.NewChannel(unio.ChannelConfig{Depth: 8})
	must(t, err)
	h.mu.Lock()
	h.on = true
	h.mu.Unlock()
	return h
}

func crashConfig(dev *unio.Device, cat catalogue.Catalogue, kind crashKind) Config {
	return Config{
		Members: []Member{{Device: dev}}, Catalogue: cat, ExtentSize: 64 << 10, LogSize: 128 << 10,
		NoChecksums: kind.plain, Entries: 8, DirtyExtents: 16, CleanAfter: 300 * time.Microsecond,
	}
}

// point cuts the power, opens what is left, and judges it.
func (h *history) point(p crash.Point) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on || h.failure != nil || h.points >= mostPoints {
		return
	}
	h.points++
	h.cat.mu.Lock()
	cat := h.cat.memory.Clone()
	if h.kind.late && h.cat.before != nil {
		cat = h.cat.before.Clone()
	}
	img, err := h.disk.Image("", h.cut)
	h.cat.mu.Unlock()
	if err == nil {
		err = h.judge(img, cat)
	}
	if err != nil {
		h.failure = fmt.Errorf("point %d, after %v at %d, length %d: %w", p.Number, p.Op, p.Offset, p.Length, err)
		if !h.kind.mutant {
			h.t.Error(h.failure)
		}
	}
}

// judge opens a crashed pool and compares it with the model.
func (h *history) judge(img []byte, cat *catalogue.Memory) (err error) {
	ctx := context.Background()
	ram := uniotest.NewRAMDisk(h.t, uniotest.RAMDiskConfig{Image: img, BlockSize: 512, Inline: 1})
	opened, err := cat.Open()
	if err != nil {
		return err
	}
	dev := ram.Open()
	pool, err := Open(ctx, crashConfig(dev, opened, h.kind))
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	found, err := pool.Check(ctx, true)
	if err != nil || len(found) > 0 {
		return fmt.Errorf("check: %v, %w", found, errors.Join(err, errCheck(len(found))))
	}
	return h.judgeVolumes(ctx, pool)
}

func errCheck(n int) error {
	if n > 0 {
		return fmt.Errorf("%d problems", n)
	}
	return nil
}

func (h *history) judgeVolumes(ctx context.Context, pool *Pool) error {
	there := map[string]VolumeInfo{}
	all, err := pool.Volumes(ctx)
	if err != nil {
		return err
	}
	for _, info := range all {
		there[info.Name] = info
	}
	contents := map[*modelVolume][]byte{}
	for _, v := range h.vols {
		if v.absent {
			continue
		}
		info, err := h.identify(v, there)
		if err != nil {
			return err
		}
		if info.Name == "" {
			continue
		}
		delete(there, info.Name)
		if contents[v], err = h.judgeVolume(ctx, pool, v, info); err != nil {
			return fmt.Errorf("volume %q: %w", info.Name, err)
		}
	}
	for name := range there {
		return fmt.Errorf("there is a volume %q, which was deleted or never created", name)
	}
	for _, a := range h.atomics {
		if _, ok := contents[a.v]; !ok {
			continue
		}
		if err := a.judge(func(v *modelVolume) []byte { return contents[v] }); err != nil {
			return err
		}
	}
	return nil
}

// identify finds a volume by one of the names it may have.
func (h *history) identify(v *modelVolume, there map[string]VolumeInfo) (VolumeInfo, error) {
	for _, name := range v.names {
		info, ok := there[name]
		if !ok {
			continue
		}
		if slices.Contains(v.sizes, info.Size) {
			return info, nil
		}
		return info, fmt.Errorf("volume %q has %d bytes, not one of %v", name, info.Size, v.sizes)
	}
	if v.gone {
		return VolumeInfo{}, nil
	}
	return VolumeInfo{}, fmt.Errorf("volume %q is gone", v.names)
}

func (h *history) judgeVolume(ctx context.Context, pool *Pool, v *modelVolume, info VolumeInfo) ([]byte, error) {
	reg, err := pool.Attach(ctx, info.Name, unio.ReadWrite)
	if err != nil {
		return nil, err
	}
	ch, err := pool.NewChannel(unio.ChannelConfig{Depth: 1})
	if err != nil {
		return nil, err
	}
	defer ch.Close()
	p := make([]byte, info.Size)
	if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Data: p}); err != nil {
		return nil, err
	}
	if v.appends {
		position := int64(0)
		if err := pool.p.keep.call(ctx, func(k *keeper) error {
			position = k.volumes[info.ID].position
			return nil
		}); err != nil {
			return nil, err
		}
		return p, v.judgeAppends(p, position)
	}
	return p, v.judge(p)
}
