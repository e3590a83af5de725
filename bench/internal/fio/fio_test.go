package fio

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseARealReport(t *testing.T) {
	text, err := os.ReadFile("testdata/fio-3.33.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"", "fio: a warning\n"} {
		d, err := parse([]byte(before + string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if d.Total != 84316 || d.IOPS != 84231.768232 || d.Completion.Percentile["99.000000"] != 440320 {
			t.Errorf("parsed %+v", d)
		}
	}
}

func TestParseRefusesWhatIsNoResult(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":  "",
		"no JSON":  "fio: engine not loadable",
		"broken":   `{"jobs": [`,
		"no job":   `{"jobs": []}`,
		"an error": `{"jobs": [{"error": 5, "read": {"total_ios": 1}}]}`,
		"no I/O":   `{"jobs": [{"error": 0}]}`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestArguments(t *testing.T) {
	a := Job{File: "/f", RW: "randread", Engine: "io_uring", Depth: 64, Direct: true, Time: 5 * time.Second}.args()
	for _, want := range []string{"--iodepth=64", "--iodepth_batch=16", "--direct=1", "--runtime=5", "--fixedbufs=1", "--invalidate=0"} {
		if !slices.Contains(a, want) {
			t.Errorf("no %s in %q", want, a)
		}
	}
	a = Job{File: "/f", RW: "randread", Engine: "psync", Depth: 64}.args()
	if s := strings.Join(a, " "); strings.Contains(s, "iodepth") || strings.Contains(s, "--direct") || !strings.Contains(s, "--number_ios=1") {
		t.Errorf("psync: %s", s)
	}
}
