package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func small(t *testing.T) options {
	return options{dir: t.TempDir(), size: 1 << 20, depth: 8, time: 20 * time.Millisecond}
}

func TestDemoPassesAndLeavesNothingBehind(t *testing.T) {
	o := small(t)
	var out bytes.Buffer
	if err := run(context.Background(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"Every check passed", "unio mem: DRAM", "atomic adds add up", "all there after flush and reopen"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	left, err := os.ReadDir(o.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDemoFailsOnACorruptByte(t *testing.T) {
	o := small(t)
	o.corrupt = true
	var out bytes.Buffer
	err := run(context.Background(), o, &out)
	if err == nil || !strings.Contains(out.String(), "checksum does not match") {
		t.Errorf("error %v, output:\n%s", err, out.String())
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDemoEndsWhenInterrupted(t *testing.T) {
	o := small(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, o, new(bytes.Buffer)); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDemoRefusesBadOptions(t *testing.T) {
	for _, o := range []options{
		{size: 1 << 20, depth: 0, time: 1}, {size: 0, depth: 1, time: 1}, {size: 1 << 20, depth: 1, time: 0},
	} {
		if err := run(context.Background(), o, new(bytes.Buffer)); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestLedgerFindsEveryKindOfDamage(t *testing.T) {
	l := newLedger(64*blockSize, 4)
	buf := make([]byte, blockSize)
	j := job{block: 5, write: true}
	l.stamp(j, buf)
	if err := l.check(j, buf); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	old := bytes.Clone(buf)
	l.stamp(j, buf)
	for name, damaged := range map[string][]byte{
		"an old generation": old,
		"another block":     func() []byte { b := make([]byte, blockSize); l.stamp(job{block: 6}, b); return b }(),
		"a flipped bit":     func() []byte { b := bytes.Clone(buf); b[4000] ^= 1; return b }(),
		"a torn block":      append(bytes.Clone(old[:2048]), make([]byte, 2048)...),
	} {
		if l.check(j, damaged) == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestPlansCoverEveryBlockOnce(t *testing.T) {
	l := newLedger(101*blockSize, 4)
	seen := make([]int, l.blocks)
	p := l.fill()
	for s := range 4 {
		for j, ok := p(s); ok; j, ok = p(s) {
			seen[j.block]++
			if !j.write || j.block%4 != int64(s) {
				t.Fatalf("slot %d does %+v", s, j)
			}
		}
	}
	for b, n := range seen {
		if n != 1 {
			t.Errorf("block %d is written %d times", b, n)
		}
	}
}
