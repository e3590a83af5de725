package uniotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/unio-stack/unio"
)

// settleTime is how long the suite looks for accesses that come too late.
const settleTime = 5 * time.Millisecond

// checkPeersRevocation: when Revoke has returned nothing changes the memory any
// more, and nothing of it is read, whatever was in flight.
func checkPeersRevocation(d *duo) {
	d.exposes(unio.OpRead, unio.OpWrite)
	for range d.rounds(20) {
		a, b := d.either()
		x, reg := d.window(b, exposedSize, unio.ReadWrite)
		delay := time.Duration(d.rng.IntN(1000)) * time.Microsecond
		d.together(2, func(i int, rng *rand.Rand) error {
			if i == 0 {
				return d.barrage(a, reg, rng)
			}
			time.Sleep(delay)
			err, ok := within(d.cfg.Patience, x.Revoke)
			if !ok {
				err = fmt.Errorf("%w: Revoke did not return within %v", errLost, d.cfg.Patience)
			}
			fillByte(x.Bytes, poisonByte)
			return err
		})
		time.Sleep(settleTime)
		if at := other(x.Bytes, poisonByte); at >= 0 {
			d.Fatalf("byte %d of exposed memory was changed to %#x after Revoke had returned", at, x.Bytes[at])
		}
		if err, ok := within(d.cfg.Patience, x.Revoke); !ok || err != nil {
			d.Errorf("Revoke of what is revoked: in time: %v, error: %v", ok, err)
		}
		d.untouchable(a, x, reg)
	}
}

// barrage reads and writes memory until that is refused. Writes never have a
// poison byte, so that one that is read was there after the memory was revoked.
func (d *duo) barrage(p *Peer, reg *unio.Region, rng *rand.Rand) error {
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	const piece = 16 << 10
	depth := p.Channel.Depth()
	cells := make([][]byte, depth)
	free := make([]int, depth)
	for i := range cells {
		cells[i], free[i] = fillOf(piece, byte(1+i%100)), i
	}
	var done [16]unio.Completion
	for over := false; !over || len(free) < depth; {
		for !over && len(free) > 0 {
			i := free[len(free)-1]
			q := unio.Request{ID: uint64(i), Op: unio.OpWrite, Region: reg, Offset: rng.Int64N(exposedSize - piece), Data: cells[i]}
			if i%2 == 1 {
				q.Op = unio.OpRead
			}
			n, err := p.Channel.Post(q)
			if n == 0 && !errors.Is(err, unio.ErrFull) {
				if over = true; !forbidden(err, unio.ErrRevoked, unio.ErrAccess) {
					return err
				}
			}
			free = free[:len(free)-n]
		}
		n, err := p.Channel.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("%w: %d requests in flight when memory was revoked: %w", errLost, depth-len(free), err)
		}
		for _, c := range done[:n] {
			if c.ID%2 == 1 && c.Err == nil && bytes.IndexByte(cells[c.ID], poisonByte) >= 0 {
				return errors.New("a Read returned what was stored after the memory had been revoked")
			}
			if c.Err != nil {
				if over = true; !forbidden(c.Err, unio.ErrRevoked, unio.ErrAccess) {
					return fmt.Errorf("access to memory that is revoked: %w, want ErrRevoked", c.Err)
				}
			}
			free = append(free, int(c.ID))
		}
	}
	return nil
}
