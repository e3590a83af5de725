package uniotest

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/unio-stack/unio"
)

// checkPinned: a channel that belongs to one OS thread works like any other,
// also when somebody else closes it.
func checkPinned(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	result := make(chan error, 1)
	go func() { result <- r.pinned() }()
	r.check(<-result)
}

// pinned runs in a goroutine of its own, whose thread ends with it.
func (r *rig) pinned() error {
	runtime.LockOSThread()
	ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: r.depth(16), Pinned: true})
	if err != nil {
		return err
	}
	for i := range r.rounds(40) {
		data := make([]byte, 1000+i)
		fillByte(data, byte(i+1))
		q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: int64(i) * 777, Data: data}
		back := unio.Request{Op: unio.OpRead, Region: r.reg, Offset: q.Offset, Data: make([]byte, len(data)), Flags: unio.Fence}
		if _, err := succeed(ch, r.cfg.Patience, []unio.Request{q, back}); err != nil {
			return err
		}
		if at := other(back.Data, byte(i+1)); at >= 0 {
			return fmt.Errorf("byte %d is %#x, want %#x", at, back.Data[at], byte(i+1))
		}
	}
	return r.closePinned(ch)
}

// closePinned has another goroutine close the channel while its owner works.
func (r *rig) closePinned(ch *unio.Channel) error {
	closed := make(chan error, 1)
	q := unio.Request{Op: unio.OpRead, Region: r.reg, Data: make([]byte, 4096)}
	go func() {
		err, ok := within(r.cfg.Patience, ch.Close)
		if !ok {
			err = fmt.Errorf("%w: Close of a pinned channel did not return", errLost)
		}
		closed <- err
	}()
	for {
		if err := ch.Do(context.Background(), q); errors.Is(err, unio.ErrClosed) {
			break
		} else if err != nil && !errors.Is(err, unio.ErrCanceled) {
			return err
		}
	}
	return <-closed
}
