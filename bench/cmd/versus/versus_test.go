package main

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil)
	if err != nil || o.rounds != 5 || o.rows.Time != 3*time.Second || o.rows.Size != 1<<30 {
		t.Errorf("defaults: %+v (%v)", o, err)
	}
	o, err = parseOptions([]string{"-quick", "-rows", "disk,mem", "-rounds", "7"})
	if err != nil || o.rounds != 7 || o.rows.Time != time.Second || o.rows.Size != 256<<20 ||
		!slices.Equal(o.rows.Groups, []string{"disk", "mem"}) {
		t.Errorf("-quick: %+v (%v)", o, err)
	}
	for _, args := range [][]string{{"-time", "1500ms"}, {"-time", "10ms"}, {"-size", "-1"}, {"-rounds", "-3"}, {"-no-such"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestDocumentKeepsEverySample(t *testing.T) {
	d := newDocument(options{rounds: 2})
	d.Rows = []contest.Result{{
		Name: "r", Samples: map[string][]contest.Sample{"unio": {{contest.IOPS: 1}, {contest.IOPS: 2}}},
		Figures: []contest.Figure{{Pass: true}, {Pass: false}},
	}}
	path, err := d.write(t.TempDir() + "/results")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back document
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.Rows[0].Samples["unio"][1][contest.IOPS]; got != 2 {
		t.Errorf("second sample is %v", got)
	}
	if back.Machine.Cores == 0 || back.Machine.Go == "" {
		t.Errorf("machine %+v", back.Machine)
	}
	if got := d.summary(); got != "1 of 2 bars met" {
		t.Errorf("summary %q", got)
	}
}
