package uniotest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// errLost marks a request that has not completed in time: the channel cannot
// be closed any more.
var errLost = errors.New("lost")

// drive carries out the requests on a channel with nothing else in flight and
// returns their completions, in the order of the requests, whose IDs it sets.
func drive(ch *unio.Channel, patience time.Duration, reqs []unio.Request) ([]unio.Completion, error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	ended := make([]bool, len(reqs))
	out := make([]unio.Completion, len(reqs))
	for i := range reqs {
		reqs[i].ID = uint64(i)
	}
	var done [64]unio.Completion
	posted, left := 0, len(reqs)
	for left > 0 {
		n, err := ch.Post(reqs[posted:]...)
		posted += n
		if err != nil && !errors.Is(err, unio.ErrFull) {
			return nil, fmt.Errorf("post %s: %w", describe(&reqs[posted]), err)
		}
		k, err := ch.Wait(ctx, done[:])
		if err != nil {
			return nil, missing(reqs[:posted], ended, patience, err)
		}
		if k == 0 {
			return nil, fmt.Errorf("%w: Wait says nothing is in flight, but %d requests have not completed", errLost, left)
		}
		for _, c := range done[:k] {
			if c.ID >= uint64(posted) || ended[c.ID] {
				return nil, fmt.Errorf("%w: completion of request %d, which is not in flight (posted %d): doubled or invented", errLost, c.ID, posted)
			}
			ended[c.ID], out[c.ID] = true, c
			left--
		}
	}
	return out, nil
}

// succeed is drive for requests that must succeed, in full.
func succeed(ch *unio.Channel, patience time.Duration, reqs []unio.Request) ([]unio.Completion, error) {
	done, err := drive(ch, patience, reqs)
	if err != nil {
		return nil, err
	}
	for i, c := range done {
		if c.Err != nil {
			return nil, fmt.Errorf("%s failed: %w", describe(&reqs[i]), c.Err)
		}
		if want := length(&reqs[i]); c.N != want {
			return nil, fmt.Errorf("%s: N is %d without an error, want %d", describe(&reqs[i]), c.N, want)
		}
	}
	return done, nil
}

// drain waits until nothing is in flight, or the channel is closed, and returns
// the completions.
func drain(ch *unio.Channel, patience time.Duration) (all []unio.Completion, err error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var done [64]unio.Completion
	for {
		n, err := ch.Wait(ctx, done[:])
		all = append(all, done[:n]...)
		switch {
		case errors.Is(err, unio.ErrClosed):
			return all, nil
		case errors.Is(err, context.DeadlineExceeded):
			return all, fmt.Errorf("%w: requests in flight did not complete within %v (%d did)", errLost, patience, len(all))
		case err != nil:
			return all, fmt.Errorf("wait: %w", err)
		case n == 0:
			return all, nil
		}
	}
}

// missing says which requests have not completed.
func missing(reqs []unio.Request, ended []bool, patience time.Duration, cause error) error {
	if !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("wait: %w", cause)
	}
	var first *unio.Request
	n := 0
	for i := range reqs {
		if !ended[i] {
			if n++; first == nil {
				first = &reqs[i]
			}
		}
	}
	return fmt.Errorf("%w: %d of %d requests did not complete within %v, the first of them %s",
		errLost, n, len(reqs), patience, describe(first))
}

// length returns how many bytes the request covers, as its completion counts.
func length(q *unio.Request) int64 {
	switch q.Op {
	case unio.OpCompareSwap, unio.OpFetchAdd:
		return 8
	case unio.OpDiscard, unio.OpWriteZeroes:
		return q.Length
	case unio.OpFlush:
		return 0
	}
	n := int64(len(q.Data))
	for _, p := range q.Vec {
		n += int64(len(p))
	}
	return n
}

// describe names a request in a failure.
func describe(q *unio.Request) string {
	s := fmt.Sprintf("%v [offset %d, length %d]", q.Op, q.Offset, length(q))
	if q.Flags != 0 {
		s += " " + q.Flags.String()
	}
	if q.Vec != nil {
		s += fmt.Sprintf(" in %d pieces", len(q.Vec))
	}
	return s
}
