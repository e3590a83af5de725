package unio_test

import (
	"context"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// composed opens a channel of a RAM disk and the region.
func composed(t *testing.T) (*unio.Device, *unio.Region, *unio.Channel) {
	t.Helper()
	dev := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{BlockSize: 512}).Open()
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return dev, reg, ch
}

// TestSleepOverlapsPost: a goroutine that sleeps all the time sees every
// completion of what another posts.
func TestSleepOverlapsPost(t *testing.T) {
	_, reg, ch := composed(t)
	turns := make(chan struct{})
	stop := make(chan struct{})
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		for {
			ch.Sleep()
			select {
			case turns <- struct{}{}:
			case <-stop:
				return
			}
		}
	}()
	for i := range 500 {
		q := unio.Request{ID: uint64(i), Op: unio.OpWrite, Region: reg, Offset: int64(i), Data: make([]byte, 700)}
		if n, err := ch.Post(q); n != 1 {
			t.Fatal(err)
		}
		var done [1]unio.Completion
		for ch.Poll(done[:]) == 0 {
			select {
			case <-turns:
			case <-time.After(10 * time.Second):
				t.Fatalf("Sleep does not return, but request %d is not done", i)
			}
		}
		if done[0].ID != uint64(i) || done[0].Err != nil {
			t.Fatalf("%+v", done[0])
		}
	}
	close(stop)
	ch.Wake()
	<-slept
}

// TestSleepReturnsAtOnce: when there is something to poll, after a Wake, and
// after Close.
func TestSleepReturnsAtOnce(t *testing.T) {
	dev, reg, ch := composed(t)
	other, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func()
	}{
		{"woken before", ch.Wake},
		{"settled by a helper", func() {
			if n, err := ch.Post(unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 512)}); n != 1 {
				t.Fatal(err)
			}
			again, err := dev.Attach(t.Context(), "", unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: again, Offset: 3, Data: []byte{1}}); err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil { // looks at every channel
				t.Fatal(err)
			}
			for ch.Stats().Completed == 0 { // the disk may take longer for the read than for the write
				last, err := dev.Attach(t.Context(), "", unio.ReadWrite)
				if err == nil {
					err = last.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"something to poll", func() {}}, // from before
		{"closed", func() {
			if err := ch.Close(); err != nil {
				t.Fatal(err)
			}
		}},
		{"woken after Close", ch.Wake},
	} {
		c.make()
		returned := make(chan struct{})
		go func() {
			ch.Sleep()
			close(returned)
		}()
		select {
		case <-returned:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Sleep does not return", c.name)
		}
	}
}
