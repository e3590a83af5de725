package volume

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/uniotest"
)

// A poolRig is a pool on disks in memory, with a volume and a channel.
type poolRig struct {
	*testing.T
	disks []*uniotest.RAMDisk
	cat   *catalogue.Memory
	cfg   Config
	pool  *Pool
	ch    *unio.Channel
}

const rigExtent = 64 << 10

// newRig makes a pool on disks of the given sizes. It is closed at the end.
func newRig(t *testing.T, cfg Config, sizes ...int64) *poolRig {
	t.Helper()
	r := &poolRig{T: t, cat: &catalogue.Memory{}, cfg: cfg}
	for _, size := range sizes {
		r.disks = append(r.disks, uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: size, BlockSize: 512, Inline: 2}))
	}
	if r.cfg.ExtentSize == 0 {
		r.cfg.ExtentSize = rigExtent
	}
	r.cfg.LogSize = 1 << 20
	r.use(Create)
	t.Cleanup(func() {
		if r.pool != nil {
			r.close()
		}
	})
	return r
}

// config is of the disks as they are, and the catalogue, opened.
func (r *poolRig) config() Config {
	r.Helper()
	cfg := r.cfg
	cfg.Members = nil
	for _, d := range r.disks {
		cfg.Members = append(cfg.Members, Member{Device: d.Open()})
	}
	var err error
	cfg.Catalogue, err = r.cat.Open()
	must(r, err)
	return cfg
}

func (r *poolRig) use(open func(context.Context, Config) (*Pool, error)) {
	r.Helper()
	var err error
	r.pool, err = open(r.Context(), r.config())
	must(r, err)
	r.ch, err = r.pool.NewChannel(unio.ChannelConfig{})
	must(r, err)
}

func (r *poolRig) close() {
	r.Helper()
	must(r, r.pool.Close())
	r.pool = nil
}

func (r *poolRig) reopen() {
	r.Helper()
	r.close()
	r.use(Open)
}

// refused wants Open to fail and returns how.
func (r *poolRig) refused() error {
	r.Helper()
	cfg := r.config()
	p, err := Open(r.Context(), cfg)
	if err == nil {
		r.Error("opened", p.Close())
		return nil
	}
	r.Log(err)
	for _, m := range cfg.Members {
		must(r, m.Device.Close())
	}
	must(r, cfg.Catalogue.Close())
	return err
}

func (r *poolRig) create(name string, cfg VolumeConfig) *unio.Region {
	r.Helper()
	must(r, r.pool.CreateVolume(r.Context(), name, cfg))
	return r.attach(name)
}

func (r *poolRig) attach(name string) *unio.Region {
	r.Helper()
	reg, err := r.pool.Attach(context.Background(), name, unio.ReadWrite)
	must(r, err)
	return reg
}

func (r *poolRig) do(q unio.Request) (unio.Completion, error) {
	r.Helper()
	if _, err := r.ch.Post(q); err != nil {
		return unio.Completion{}, err
	}
	var done [1]unio.Completion
	_, err := r.ch.Wait(context.Background(), done[:])
	must(r, err)
	return done[0], done[0].Err
}

func (r *poolRig) must(q unio.Request) unio.Completion {
	r.Helper()
	c, err := r.do(q)
	must(r, err)
	return c
}

func (r *poolRig) write(reg *unio.Region, off int64, p []byte) {
	r.Helper()
	r.must(unio.Request{Op: unio.OpWrite, Region: reg, Offset: off, Data: p})
}

func (r *poolRig) read(reg *unio.Region, off int64, n int) []byte {
	r.Helper()
	p := make([]byte, n)
	r.must(unio.Request{Op: unio.OpRead, Region: reg, Offset: off, Data: p})
	return p
}

// fails wants a request to fail with a cause.
func (r *poolRig) fails(q unio.Request, cause error) error {
	r.Helper()
	_, err := r.do(q)
	if !errors.Is(err, cause) {
		r.Errorf("%v: %v, want %v", q.Op, err, cause)
	}
	return err
}

func (r *poolRig) allocated(name string) int64 {
	r.Helper()
	info, err := r.pool.Volume(r.Context(), name)
	must(r, err)
	return info.Allocated / r.cfg.ExtentSize
}

// check wants the pool to be in order.
func (r *poolRig) check() {
	r.Helper()
	found, err := r.pool.Check(r.Context(), true)
	must(r, err)
	for _, p := range found {
		r.Error(p)
	}
}

func random(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 9))
	p := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64()|1)
	}
	return p[:n]
}
