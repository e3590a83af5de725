//go:build linux

package uring

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProbe holds this kernel to its version: what the version brought must be there.
func TestProbe(t *testing.T) {
	testFeature(t)
	f, err := Probe()
	if err != nil || f.Refused != "" || len(f.List) != int(featureCount) {
		t.Fatalf("%+v, %v", f, err)
	}
	for id := range featureCount {
		t.Run(id.String(), func(t *testing.T) {
			testFeature(t, id)
			if got := f.Get(id); got.ID != id || got.Why != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestProbeOldKernel judges absent features as an older and as a current kernel.
func TestProbeOldKernel(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	p := &prober{ring: r} // knows no operations
	f := newFeatures("").Get(FeatureVectoredFixed)
	if got := p.judge(f, Version{6, 14}); got.Available || got.Why != "needs Linux 6.15; this is 6.14" {
		t.Errorf("%+v", got)
	}
	if got := p.judge(f, Version{6, 15}); got.Available || !strings.Contains(got.Why, "lacks number 60") {
		t.Errorf("%+v", got)
	}
	for _, id := range []FeatureID{FeatureExtArg, FeatureSubmitAll, FeatureEventfdDisable} {
		bare := &prober{ring: &Ring{}}
		if got := bare.judge(newFeatures("").Get(id), Version{9, 0}); got.Available || got.Why == "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestProbeRefused(t *testing.T) {
	f := refusedFeatures(setupError(unix.ENOSYS, 0, Version{4, 19}))
	if f.Has(FeatureRing) || f.Release == "" || !strings.Contains(f.Get(FeatureRing).Why, "no io_uring") {
		t.Errorf("%+v", f)
	}
	if !errors.Is(setupError(unix.EPERM, 0, Version{6, 18}), errors.ErrUnsupported) {
		t.Error("a forbidden io_uring is not ErrUnsupported")
	}
}
