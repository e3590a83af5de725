package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
)

// checkPromises tries, in the checkArea bytes at base, some of what unio
// promises on every device, and returns what held.
func (c *channelRunner) checkPromises(ctx context.Context, base int64) (held []string, err error) {
	zeroes := unio.Request{Op: unio.OpWriteZeroes, Region: c.reg, Offset: base, Length: checkArea}
	if !c.offers(unio.OpWriteZeroes) {
		zeroes = unio.Request{Op: unio.OpWrite, Region: c.reg, Offset: base, Data: make([]byte, checkArea)}
	}
	if err := c.lanes[0].ch.Do(ctx, zeroes); err != nil {
		return nil, fmt.Errorf("write zeroes: %w", err)
	}
	for _, p := range []struct {
		name  string
		check func(ctx context.Context, base int64) error
	}{
		{"adds add up", c.checkAdds},
		{"neighbours kept", c.checkRagged},
		{"bad request refused", c.checkProtection},
	} {
		if err := p.check(ctx, base); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		held = append(held, p.name)
	}
	return held, nil
}

// together runs f on several channels at once, each with its number.
func (c *channelRunner) together(f func(ch *unio.Channel, number int) error) error {
	const channels = 4
	errs := make([]error, channels)
	var wg sync.WaitGroup
	for i := range channels {
		wg.Go(func() {
			ch, err := c.dev.NewChannel(unio.ChannelConfig{})
			if err == nil {
				err = errors.Join(f(ch, i), ch.Close())
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// checkAdds counts in one word from several channels.
func (c *channelRunner) checkAdds(ctx context.Context, base int64) error {
	const adds = 100
	var mu sync.Mutex
	seen := map[uint64]bool{}
	err := c.together(func(ch *unio.Channel, _ int) error {
		done := make([]unio.Completion, 1)
		for range adds {
			if _, err := ch.Post(unio.Request{Op: unio.OpFetchAdd, Region: c.reg, Offset: base, Swap: 1}); err != nil {
				return err
			}
			if _, err := ch.Wait(ctx, done); err != nil {
				return err
			}
			if done[0].Err != nil {
				return done[0].Err
			}
			mu.Lock()
			twice := seen[done[0].Value]
			seen[done[0].Value] = true
			mu.Unlock()
			if twice {
				return fmt.Errorf("two adds both found %d", done[0].Value)
			}
		}
		return nil
	})
	for i := range uint64(len(seen)) {
		if err == nil && !seen[i] {
			err = fmt.Errorf("no add found %d", i)
		}
	}
	return err
}

// checkRagged writes pieces of odd length side by side, from several channels
// and many to a block, and looks whether each kept clear of the others.
func (c *channelRunner) checkRagged(ctx context.Context, base int64) error {
	const piece, pieces = 37, 16
	base += blockSize
	err := c.together(func(ch *unio.Channel, number int) error {
		for i := range pieces {
			at := base + int64(i*4+number)*piece
			data := bytes.Repeat([]byte{byte(1 + i*4 + number)}, piece)
			if err := ch.Do(ctx, unio.Request{Op: unio.OpWrite, Region: c.reg, Offset: at, Data: data}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	got := make([]byte, piece*pieces*4)
	if err := c.lanes[0].ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: c.reg, Offset: base, Data: got}); err != nil {
		return err
	}
	for i, b := range got {
		if want := byte(1 + i/piece); b != want {
			return fmt.Errorf("byte %d is %d and should be %d", base+int64(i), b, want)
		}
	}
	return nil
}

// checkProtection asks for what is outside the region, and then for something
// inside: the first must fail, with the right error, and the second succeed.
func (c *channelRunner) checkProtection(ctx context.Context, base int64) error {
	word := make([]byte, 8)
	out := unio.Request{Op: unio.OpWrite, Region: c.reg, Offset: c.reg.Size() - 4, Data: word}
	if err := c.lanes[0].ch.Do(ctx, out); !errors.Is(err, unio.ErrOutOfRange) {
		return fmt.Errorf("a write across the end: got error %v, want one that is ErrOutOfRange", err)
	}
	return c.lanes[0].ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: c.reg, Offset: base, Data: word})
}
