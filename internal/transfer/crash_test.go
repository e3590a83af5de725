package transfer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/crash"
)

// An accident is what a power cut leaves: the medium, and the notes.
type accident struct{ medium, notes []byte }

// accidents copies want to a device and cuts its power after each write and
// flush.
func accidents(t *testing.T, want []byte, seed uint64) (all []accident) {
	path := filepath.Join(t.TempDir(), "state")
	rng := rand.New(rand.NewPCG(seed, 1))
	var dev *crash.Device
	point := func(crash.Point) {
		notes, err := os.ReadFile(path) // first: the medium only becomes more complete
		if err != nil {
			t.Error(err)
		}
		medium, err := dev.Image("", rng)
		if err != nil {
			t.Error(err)
		}
		all = append(all, accident{medium, notes})
	}
	cfg := small
	cfg.State, _ = openState(t, path, "a")
	dev, err := crash.Wrap(blank(t, len(want)).Open(), crash.Config{Seed: seed, OnPoint: point})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), Source{Region: attach(t, disk(t, bytes.Clone(want))), Size: int64(len(want))}, Target{Region: reg}, cfg, nil); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPowerCut holds, for a power cut after every write and flush, that what is
// noted is on the medium, and that the copy goes on from there to its end.
func TestPowerCut(t *testing.T) {
	const n = 12 * 4096
	want := content(n)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	noted := 0
	for i, a := range accidents(t, want, seed) {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(path, a.notes, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := small
		cfg.Verify = false // or it would find what the notes got wrong
		cfg.State, _ = openState(t, path, "a")
		k := len(cfg.State.Sums()) * small.Chunk
		noted += k
		if !bytes.Equal(a.medium[:k], want[:k]) {
			t.Fatalf("power cut %d: %d bytes are noted, and are not on the medium", i, k)
		}
		after := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Image: a.medium})
		_, err := Copy(t.Context(), Source{Region: attach(t, disk(t, bytes.Clone(want))), Size: n}, Target{Region: attach(t, after)}, cfg, nil)
		if err != nil || !bytes.Equal(after.Image(), want) {
			t.Fatalf("power cut %d: the copy that went on differs (%v)", i, err)
		}
		if err := cfg.State.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if noted == 0 {
		t.Error("nothing was ever noted")
	}
}
