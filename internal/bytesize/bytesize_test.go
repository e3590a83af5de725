package bytesize

import (
	"math"
	"testing"
)

func TestParse(t *testing.T) {
	good := map[string]int64{
		"0": 0, "4096": 4096, "4k": 4096, "4K": 4096, "4KiB": 4096, "4kib": 4096, "4 KiB": 4096,
		"4kB": 4000, "1MB": 1e6, "1M": 1 << 20, "1GiB": 1 << 30, "3gb": 3e9, "7B": 7,
		"2T": 2 << 40, "7E": 7 << 60, "9223372036854775807": math.MaxInt64, " 8k ": 8192,
	}
	for in, want := range good {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	bad := map[string]error{
		"": errForm, "k": errForm, "4x": errForm, "4KiBs": errForm, "0x10": errForm, "4k4": errForm, "+1": errForm,
		"-1": errNegative, "-": errNegative, "1.5G": errFraction, "8E": errRange,
		"9223372036854775808": errRange, "99999999999999999999999": errRange,
	}
	for in, want := range bad {
		if got, err := Parse(in); err != want {
			t.Errorf("Parse(%q) = %d, %v; want error %q", in, got, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 1 << 30: "1 GiB",
		1567890123: "1.46 GiB", math.MaxInt64: "8 EiB", -2048: "-2 KiB",
	} {
		if got := Format(n); got != want {
			t.Errorf("Format(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"4k", "1GiB", "-1", "8E", "1.5G"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("Parse(%q) = %d", s, n)
		}
		if back, err := Parse(Short(n)); err != nil || back != n {
			t.Fatalf("Parse(Short(%d) = %q) = %d, %v", n, Short(n), back, err)
		}
	})
}
