package transfer

import (
	"context"
	"errors"

	"github.com/unio-stack/unio"
)

// maxOffsets is how many differing chunks an error names.
const maxOffsets = 8

// verify reads the target back and compares checksums.
func (j *job) verify(ctx context.Context) error {
	ch, err := j.dst.Region.Device().NewChannel(unio.ChannelConfig{Depth: j.cfg.Depth})
	if err != nil {
		return err
	}
	v := &verifier{job: j, ch: ch, at: make([]int64, j.cfg.Depth)}
	err = v.run(ctx)
	if err != nil {
		drain(ch, &v.inFlight, v.done[:])
	}
	if err = errors.Join(err, ch.Close()); err != nil {
		return err
	}
	if v.wrong.Chunks == 0 {
		return nil
	}
	v.wrong.Device, v.wrong.Chunk = ch.Device().Info().Name, j.cfg.Chunk
	return &v.wrong
}

// A verifier reads chunks in order, with Depth in flight.
type verifier struct {
	*job
	ch       *unio.Channel
	at       []int64 // chunk in flight, by slot
	inFlight int
	wrong    MismatchError
	done     [64]unio.Completion
}

func (v *verifier) run(ctx context.Context) error {
	end, next := v.chunks(v.length), int64(0)
	for ; next < min(end, int64(v.cfg.Depth)); next++ {
		if err := v.start(uint64(next), next); err != nil {
			return err
		}
	}
	for v.inFlight > 0 {
		n, err := v.ch.Wait(ctx, v.done[:])
		v.inFlight -= n
		for i := range v.done[:n] {
			c := &v.done[i]
			if c.Err != nil && err == nil {
				err = c.Err
			}
			if err != nil {
				continue
			}
			v.compare(c.ID)
			if next < end {
				err = v.start(c.ID, next)
				next++
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// data returns a slot's memory for a chunk.
func (v *verifier) data(slot uint64, chunk int64) []byte {
	n := min(int64(v.cfg.Chunk), v.length-v.offset(chunk))
	return v.memory.Bytes()[int(slot)*v.cfg.Chunk:][:n]
}

func (v *verifier) start(slot uint64, chunk int64) error {
	v.at[slot] = chunk
	_, err := v.ch.Post(unio.Request{
		ID: slot, Op: unio.OpRead, Region: v.dst.Region, Offset: v.offset(chunk), Data: v.data(slot, chunk),
	})
	if err == nil {
		v.inFlight++
	}
	return err
}

func (v *verifier) compare(slot uint64) {
	chunk := v.at[slot]
	b := v.data(slot, chunk)
	v.mon.advance(int64(len(b)))
	if Sum(b) == v.sums.sums[chunk] {
		return
	}
	v.wrong.Chunks++
	if len(v.wrong.Offsets) < maxOffsets {
		v.wrong.Offsets = append(v.wrong.Offsets, v.offset(chunk))
	}
}
