// Package bytesize reads and writes sizes in bytes the way people type them.
// It reads both families of units: k, KiB, M, MiB, … are powers of 1024, and kB,
// MB, … powers of 1000.
package bytesize

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The reasons Parse gives; it wraps none of them in more text.
var (
	errForm     = errors.New("want a number of bytes with an optional unit, as in 4096, 4k, 64KiB, 1GiB or 10MB")
	errRange    = errors.New("larger than any size (8 EiB)")
	errNegative = errors.New("a size is not negative")
	errFraction = errors.New("a size is a whole number: write 1536MiB for one and a half GiB")
)

// units maps the lower-case suffix to its number of bytes.
var units = map[string]int64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
	"p": 1 << 50, "pib": 1 << 50, "pb": 1e15,
	"e": 1 << 60, "eib": 1 << 60, "eb": 1e18,
}

// Parse reads a size in bytes: a whole number and, perhaps after a space, a
// unit in any case. K, M, G, T, P and E alone mean what they do with iB: powers
// of 1024. The error says what is wrong, without repeating s.
func Parse(s string) (int64, error) {
	s = strings.TrimSpace(s)
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	switch {
	case strings.HasPrefix(s, "-"):
		return 0, errNegative
	case digits == 0:
		return 0, errForm
	case s[digits:] != "" && (s[digits] == '.' || s[digits] == ','):
		return 0, errFraction
	}
	unit, ok := units[strings.ToLower(strings.TrimLeft(s[digits:], " "))]
	if !ok {
		return 0, errForm
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, errRange
	}
	return n * unit, nil
}

// Format writes n bytes for people, in powers of 1024 with at most three
// digits before and two after the point: "4 KiB", "1.46 GiB".
func Format(n int64) string {
	if n < 1<<10 && n > -1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n), -1
	for math.Abs(v) >= 1023.995 && i < 5 {
		v /= 1024
		i++
	}
	return trim(v) + " " + string("KMGTPE"[i]) + "iB"
}

// trim writes v with at most two decimals and no zeroes at the end.
func trim(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// Short writes n so that Parse reads it back exactly, as briefly as whole
// powers of 1024 allow: 4096 is "4k", 1000 is "1000".
func Short(n int64) string {
	i := -1
	for n != 0 && n%1024 == 0 && i < 5 {
		n /= 1024
		i++
	}
	if i < 0 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10) + string("kMGTPE"[i])
}
