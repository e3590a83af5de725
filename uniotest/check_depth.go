package uniotest

import (
	"context"
	"errors"

	"github.com/unio-stack/unio"
)

// checkDepth: a channel takes exactly Depth requests until their completions
// are fetched, and says how many it took.
func checkDepth(r *rig) {
	for _, depth := range []int{1, 2, 7, 64, 1024} {
		if depth <= r.info.MaxDepth {
			r.fillUp(depth)
		}
	}
	if ch := r.channel(unio.ChannelConfig{}); ch.Depth() < 1 || ch.Depth() > r.info.MaxDepth {
		r.Errorf("the default depth is %d, of at most %d", ch.Depth(), r.info.MaxDepth)
	}
	for _, depth := range []int{-1, r.info.MaxDepth + 1, 1 << 30} {
		if _, err := r.dev.NewChannel(unio.ChannelConfig{Depth: depth}); !errors.Is(err, unio.ErrInvalid) {
			r.Errorf("NewChannel with depth %d: %v, want ErrInvalid", depth, err)
		}
	}
}

// fillUp posts more reads than the channel takes.
func (r *rig) fillUp(depth int) {
	r.Helper()
	ch := r.channel(unio.ChannelConfig{Depth: depth})
	reqs := make([]unio.Request, 2*depth+3)
	for i := range reqs {
		reqs[i] = unio.Request{ID: uint64(i), Op: unio.OpRead, Region: r.reg, Offset: int64(i%256) * 512, Data: make([]byte, 512)}
	}
	if n, err := ch.Post(reqs...); n != depth || !errors.Is(err, unio.ErrFull) {
		r.Fatalf("Post of %d requests to a channel of depth %d accepted %d, %v; want %d, ErrFull", len(reqs), depth, n, err, depth)
	}
	if n, err := ch.Post(reqs[depth]); n != 0 || !errors.Is(err, unio.ErrFull) {
		r.Fatalf("Post to a full channel of depth %d accepted %d, %v; want 0, ErrFull", depth, n, err)
	}
	r.replaceOne(ch, reqs[depth:])
	got := len(r.drain(ch))
	if got != depth {
		r.Errorf("%d completions were left of a channel of depth %d, want %d", got, depth, depth)
	}
	if n, err := ch.Wait(context.Background(), make([]unio.Completion, 1)); n != 0 || err != nil {
		r.Errorf("Wait with nothing in flight: %d, %v; want 0, nil at once", n, err)
	}
}

// replaceOne fetches one completion of a full channel, after which it takes
// one request more and no other.
func (r *rig) replaceOne(ch *unio.Channel, reqs []unio.Request) {
	r.Helper()
	ctx, stop := context.WithTimeout(context.Background(), r.cfg.Patience)
	defer stop()
	var one [1]unio.Completion
	if n, err := ch.Wait(ctx, one[:]); n != 1 {
		r.check(errors.Join(errLost, err))
	}
	if n, err := ch.Post(reqs...); n != 1 || !errors.Is(err, unio.ErrFull) {
		r.Fatalf("a full channel of depth %d accepted %d requests after one completion, %v; want 1, ErrFull", ch.Depth(), n, err)
	}
}
