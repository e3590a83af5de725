package uniotest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
)

// checkAppend: concurrent Appends neither overlap nor leave holes, and each
// says where its memory is.
func checkAppend(r *rig) {
	r.needs(unio.OpRead, unio.OpAppend)
	type piece struct {
		at   int64
		data []byte
	}
	var mu sync.Mutex
	var all []piece
	n := r.rounds(20)
	longest := int(min(r.info.MaxAtomic, 3000))
	r.together(3, func(_ int, rng *rand.Rand) error {
		ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: r.depth(8)})
		if err != nil {
			return err
		}
		for range n {
			reqs := make([]unio.Request, 1+rng.IntN(r.depth(8)))
			for i := range reqs {
				reqs[i] = unio.Request{Op: unio.OpAppend, Region: r.reg, Data: payload(rng, 1+rng.IntN(longest))}
				if i%2 == 0 && len(reqs[i].Data) > 1 {
					k := 1 + rng.IntN(len(reqs[i].Data)-1)
					reqs[i].Data, reqs[i].Vec = nil, [][]byte{reqs[i].Data[:k], reqs[i].Data[k:]}
				}
			}
			done, err := succeed(ch, r.cfg.Patience, reqs)
			if err != nil {
				return err
			}
			mu.Lock()
			for i, c := range done {
				all = append(all, piece{int64(c.Value), append(bytes.Clone(reqs[i].Data), bytes.Join(reqs[i].Vec, nil)...)})
			}
			mu.Unlock()
		}
		return ch.Close()
	})
	slices.SortFunc(all, func(a, b piece) int { return int(a.at - b.at) })
	ch := r.channel(unio.ChannelConfig{})
	for i, p := range all {
		if i > 0 && p.at != all[i-1].at+int64(len(all[i-1].data)) {
			r.Fatalf("an append of %d bytes at %d is followed by one at %d", len(all[i-1].data), all[i-1].at, p.at)
		}
		if at := differ(r.read(ch, p.at, len(p.data)), p.data); at >= 0 {
			r.Fatalf("byte %d of an append at %d is not what was appended", at, p.at)
		}
	}
}

// checkWriteAtomic: what a WriteAtomic stores is where its ranges are, and
// nothing else changes.
func checkWriteAtomic(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite, unio.OpWriteAtomic)
	const area = 256 << 10
	ch := r.channel(unio.ChannelConfig{})
	now := payload(r.rng, area)
	r.write(ch, 0, now)
	for range r.rounds(60) {
		q := unio.Request{Op: unio.OpWriteAtomic, Region: r.reg}
		left := min(int64(area), r.info.MaxAtomic)
		for at := r.rng.Int64N(9000); at < area && len(q.Ranges) < min(r.info.MaxRanges, 16) && left > 0; {
			n := min(1+r.rng.Int64N(9000), area-at, left)
			q.Ranges = append(q.Ranges, unio.Range{Offset: at, Length: n})
			at, left = at+n+r.rng.Int64N(40_000)*r.rng.Int64N(2), left-n
		}
		r.rng.Shuffle(len(q.Ranges), func(i, j int) { q.Ranges[i], q.Ranges[j] = q.Ranges[j], q.Ranges[i] })
		for _, g := range q.Ranges {
			p := payload(r.rng, int(g.Length))
			q.Vec = append(q.Vec, p)
			copy(now[g.Offset:], p)
		}
		r.must(ch, q)
		if r.rng.IntN(3) == 0 { // an ordinary write over some of it
			g := q.Ranges[0]
			p := payload(r.rng, int(g.Length))
			copy(now[g.Offset:], p)
			r.write(ch, g.Offset, p)
		}
	}
	if at := differ(r.read(ch, 0, area), now); at >= 0 {
		r.Errorf("byte %d is not what was written last", at)
	}
}

// badRanges are Appends and WriteAtomics that contradict themselves.
func (r *rig) badRanges() {
	p := make([]byte, 64)
	atomic := func(gs ...unio.Range) unio.Request {
		return unio.Request{Op: unio.OpWriteAtomic, Region: r.reg, Data: p, Ranges: gs}
	}
	end := r.reg.Size()
	table := r.ifOffered(nil, refusal{"no ranges", atomic(), unio.ErrInvalid})
	table = r.ifOffered(table, refusal{"an empty range", atomic(unio.Range{Length: 64}, unio.Range{Offset: 99}), unio.ErrInvalid})
	table = r.ifOffered(table, refusal{"ranges that overlap", atomic(unio.Range{Length: 32}, unio.Range{Offset: 31, Length: 32}), unio.ErrInvalid})
	table = r.ifOffered(table, refusal{"more memory than ranges", atomic(unio.Range{Length: 63}), unio.ErrInvalid})
	table = r.ifOffered(table, refusal{"a range past the end", atomic(unio.Range{Offset: end - 63, Length: 64}), unio.ErrOutOfRange})
	table = r.ifOffered(table, refusal{"an append with an offset", unio.Request{Op: unio.OpAppend, Region: r.reg, Offset: 8, Data: p}, unio.ErrInvalid})
	r.refuse(table)
}
