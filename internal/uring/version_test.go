package uring

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		release string
		want    Version
		bad     bool
	}{
		{"6.18.44-fc-v657", Version{6, 18}, false},
		{"5.10", Version{5, 10}, false},
		{"6.1.0-rc1+", Version{6, 1}, false},
		{"5.15.0-1051-aws\n", Version{5, 15}, false},
		{"", Version{}, true},
		{"six", Version{}, true},
		{"6", Version{}, true},
		{"-1.2", Version{}, true},
	} {
		var v Version
		err := v.UnmarshalText([]byte(c.release))
		if (err != nil) != c.bad || !c.bad && v != c.want {
			t.Errorf("%q: %v, %v; want %v", c.release, v, err, c.want)
		}
	}
	order := []Version{{5, 6}, {5, 19}, {6, 0}, {6, 2}, {6, 18}, {10, 0}}
	for i, v := range order {
		for j, w := range order {
			if v.Before(w) != (i < j) {
				t.Errorf("%v before %v: %v", v, w, v.Before(w))
			}
		}
	}
}

// TestFeatureTable holds that every feature has a name of its own and a version, and how they read in JSON.
func TestFeatureTable(t *testing.T) {
	names := map[string]bool{}
	for id := range featureCount {
		if id.String() == "" || names[id.String()] || id.Needs() == (Version{}) {
			t.Errorf("feature %d: name %q, needs %v", int(id), id, id.Needs())
		}
		names[id.String()] = true
	}
	if featureCount.String() != "unknown" || FeatureID(-1).Needs() != (Version{}) {
		t.Error("a feature that does not exist has a name or a version")
	}
	var none *Features
	if none.Has(FeatureRing) || none.Get(-1).Why == "" {
		t.Error("nil Features have something")
	}
	b, err := json.Marshal(newFeatures("because"))
	want := `{"name":"ring","available":false,"needs":"5.6","why":"because"}`
	if err != nil || !strings.Contains(string(b), want) {
		t.Errorf("%s, %v; want %s in it", b, err, want)
	}
}
