package uniotest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// numberedSize is the length of a message that only has a number.
const numberedSize = 8

func number(p []byte) uint64 { return binary.LittleEndian.Uint64(p) }

// flood posts total Silent messages, numbered, and fetches no completion.
func (d *duo) flood(ch *unio.Channel, total int) error {
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	numbers := make([]byte, total*numberedSize)
	for i := 0; i < total; {
		p := numbers[i*numberedSize:][:numberedSize]
		binary.LittleEndian.PutUint64(p, uint64(i))
		n, err := ch.Post(unio.Request{Op: unio.OpSend, Flags: unio.Silent, Data: p})
		if i += n; errors.Is(err, unio.ErrFull) {
			time.Sleep(20 * time.Microsecond) // Post makes room, of what has ended by then
		} else if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: silent messages that ended do not make room for others (%d accepted)", errLost, i)
		}
	}
	return nil
}

// countIn receives messages numbered 0 to total-1, in that order.
func (d *duo) countIn(ch *unio.Channel, total int) error {
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	const ahead = 8
	var cells [ahead][numberedSize]byte
	var done [ahead]unio.Completion
	for asked, got := 0, 0; got < total; {
		for asked < min(total, got+ahead) {
			if n, err := ch.Post(unio.Request{ID: uint64(asked), Op: unio.OpRecv, Data: cells[asked%ahead][:]}); n != 1 {
				return err
			}
			asked++
		}
		n, err := ch.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("%w: message %d of %d did not come: %w", errLost, got, total, err)
		}
		for _, c := range done[:n] {
			if v := number(cells[c.ID%ahead][:]); c.Err != nil || v != c.ID {
				return fmt.Errorf("receive %d of %d took message %d: %v", c.ID, total, v, c.Err)
			}
			got++
		}
	}
	return nil
}
