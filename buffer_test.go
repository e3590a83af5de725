package unio

import (
	"context"
	"errors"
	"os"
	"testing"
)

func TestBuffer(t *testing.T) {
	for _, size := range []int{0, -1} {
		if _, err := NewBuffer(size); !errors.Is(err, ErrInvalid) {
			t.Errorf("of %d bytes: %v", size, err)
		}
	}
	b, err := NewBuffer(5000)
	if err != nil {
		t.Fatal(err)
	}
	if p := b.Bytes(); len(p) != 5000 || addr(p)%uintptr(os.Getpagesize()) != 0 || p[0] != 0 || p[4999] != 0 {
		t.Errorf("%d bytes at %#x", len(p), addr(p))
	}
	r := newRig(t, Info{BlockSize: 512, MemoryAlign: 512}, ChannelConfig{NoCopy: true})
	r.q.setMode(modeInline)
	q := Request{Op: OpRead, Region: r.reg, Data: b.Bytes()[:4096]}
	if err := r.ch.Do(context.Background(), q); err != nil {
		t.Errorf("a Buffer takes the path without a copy: %v", err)
	}
	for range 2 {
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	}
	q.Data = b.Bytes()
	if _, err := r.ch.Post(q); !errors.Is(err, ErrInvalid) {
		t.Errorf("a freed Buffer: %v", err)
	}
}
