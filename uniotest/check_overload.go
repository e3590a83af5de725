package uniotest

import (
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// checkOverload: a channel whose owner does not fetch completions holds up no
// other, and load does not make the stack's memory grow without bound.
func checkOverload(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	for range 3 {
		r.stuff(r.channel(unio.ChannelConfig{Depth: r.depth(64)}))
	}
	const clients, perChannel = 3, 4 << 20
	_, before := memory.Live()
	r.together(clients, func(i int, rng *rand.Rand) error {
		return r.hurry(stuffed+int64(i)*hurried, rng)
	})
	if _, after := memory.Live(); after-before > clients*perChannel {
		r.Errorf("%d channels under load hold %d bytes of Buffers, want at most %d each", clients, after-before, perChannel)
	}
}

const (
	stuffed    = 256 << 10 // bytes that the neglected channels write to
	hurryPiece = 40_001
	hurried    = 32 * hurryPiece // bytes that each of the others writes to
)

// stuff posts until the channel is full, and leaves it so.
func (r *rig) stuff(ch *unio.Channel) {
	r.Helper()
	data := payload(r.rng, 3001)
	for i := range int64(2 * ch.Depth()) {
		q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: i*3001 + 1, Data: data}
		if n, _ := ch.Post(q); n == 0 {
			return
		}
	}
	r.Errorf("a channel of depth %d accepted %d requests without giving out one completion", ch.Depth(), 2*ch.Depth())
}

// hurry moves large ragged pieces, which take the stack memory of its own.
func (r *rig) hurry(base int64, rng *rand.Rand) error {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: r.depth(32)})
	if err != nil {
		return err
	}
	const piece = hurryPiece
	for range r.rounds(12) {
		reqs := make([]unio.Request, r.depth(32))
		data := payload(rng, piece)
		for i := range reqs {
			reqs[i] = unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: base + int64(i)*piece, Data: data}
		}
		if _, err := succeed(ch, r.cfg.Patience, reqs); err != nil {
			return err
		}
		back := make([]byte, piece)
		at := rng.IntN(len(reqs))
		if _, err := succeed(ch, r.cfg.Patience, []unio.Request{{Op: unio.OpRead, Region: r.reg, Offset: reqs[at].Offset, Data: back}}); err != nil {
			return err
		}
		if i := differ(back, data); i >= 0 {
			return fmt.Errorf("byte %d of a piece is %#x, want %#x", i, back[i], data[i])
		}
	}
	return ch.Close()
}

// checkNeglect: a request that overlaps what another channel has posted is
// carried out although that channel's owner does nothing any more.
func checkNeglect(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	a, b := r.channel(unio.ChannelConfig{}), r.channel(unio.ChannelConfig{})
	for i := range r.rounds(60) {
		first, second := payload(r.rng, 700), payload(r.rng, 300)
		off := int64(i) * 900
		left := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: off + 13, Data: first}
		if r.rng.IntN(2) == 0 {
			left.Offset, left.Data = 512*int64(i), payload(r.rng, 4096)
		}
		if n, err := a.Post(left); n != 1 {
			r.Fatal(err)
		}
		r.write(b, off+501, second) // overlaps or shares a block, and is ragged
		if r.ops.Has(unio.OpFetchAdd) {
			r.must(b, unio.Request{Op: unio.OpFetchAdd, Region: r.reg, Offset: off &^ 7, Swap: 1})
		}
		if all := r.drain(a); len(all) != 1 || all[0].Err != nil {
			r.Fatalf("completions of the neglected channel: %+v", all)
		}
	}
}
