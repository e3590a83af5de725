package uniotest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/unio-stack/unio"
)

// words are contended for by all workers; wordGap bytes lie between them,
// which other workers write.
const (
	words     = 3
	wordGap   = 40
	wordsBase = 128<<10 - 48 // so that they lie in two blocks
)

func wordOffset(i int) int64 { return wordsBase + int64(i)*(8+wordGap) }

// checkAtomics: CompareSwap, FetchAdd and reads of a word, on several channels,
// are linearizable, while others write the bytes around it.
func checkAtomics(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite, unio.OpCompareSwap, unio.OpFetchAdd)
	const clients = 4
	for range r.rounds(12) {
		h := &history{began: time.Now()}
		var over atomic.Bool
		var left atomic.Int32
		left.Store(clients)
		r.together(clients+1, func(i int, rng *rand.Rand) error {
			if i == clients {
				return r.disturb(rng, &over)
			}
			defer func() {
				if left.Add(-1) == 0 {
					over.Store(true)
				}
			}()
			return r.contend(h, i, rng)
		})
		r.judge(h)
		ch := r.channel(unio.ChannelConfig{})
		for i := range words {
			r.must(ch, unio.Request{Op: unio.OpWriteZeroes, Region: r.reg, Offset: wordOffset(i), Length: 8})
		}
		r.check(ch.Close())
	}
}

// A wordCall is one operation on one word.
type wordCall struct {
	word  int
	op    unio.Opcode
	a, b  uint64 // Compare and Swap
	value uint64 // that it returned
}

// A history records calls and returns.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation // guarded by mu
}

func (h *history) add(client int, c wordCall, call, ret int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: c, Output: c.value, Call: call, Return: ret})
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

// contend carries out random operations on the words, up to three at a time.
func (r *rig) contend(h *history, client int, rng *rand.Rand) error {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return err
	}
	var seen [words]uint64 // last known values, to make CompareSwap succeed at times
	for range 14 {
		calls := make([]wordCall, 1+rng.IntN(3))
		reqs := make([]unio.Request, len(calls))
		for i := range calls {
			c := wordCall{word: rng.IntN(words), a: rng.Uint64N(4), b: rng.Uint64N(4)}
			c.op = [...]unio.Opcode{unio.OpRead, unio.OpCompareSwap, unio.OpFetchAdd, unio.OpCompareSwap}[rng.IntN(4)]
			if c.op == unio.OpCompareSwap && rng.IntN(4) != 0 {
				c.a = seen[c.word]
			}
			calls[i] = c
			reqs[i] = unio.Request{Op: c.op, Region: r.reg, Offset: wordOffset(c.word), Compare: c.a, Swap: c.b}
			if c.op == unio.OpRead || rng.IntN(2) == 0 {
				reqs[i].Data = make([]byte, 8)
			}
		}
		from := h.now()
		done, err := succeed(ch, r.cfg.Patience, reqs)
		to := h.now()
		if err != nil {
			return err
		}
		for i, c := range calls {
			if c.value = done[i].Value; c.op == unio.OpRead {
				c.value = binary.LittleEndian.Uint64(reqs[i].Data)
			}
			seen[c.word] = c.value
			h.add(client*3+i, c, from, to)
		}
	}
	return ch.Close()
}

// disturb writes the bytes on both sides of the words until it is told that it
// is over, and finds them as it left them.
func (r *rig) disturb(rng *rand.Rand, over *atomic.Bool) error {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return err
	}
	for !over.Load() {
		gap := payload(rng, 1+rng.IntN(wordGap))
		i := rng.IntN(words + 1)
		write := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: wordOffset(i) - int64(len(gap)), Data: gap}
		back := unio.Request{Op: unio.OpRead, Region: r.reg, Offset: write.Offset, Data: make([]byte, len(gap)), Flags: unio.Fence}
		if _, err := succeed(ch, r.cfg.Patience, []unio.Request{write, back}); err != nil {
			return err
		}
		if at := differ(back.Data, gap); at >= 0 {
			return fmt.Errorf("byte %d beside an atomic's word is %#x, want %#x: a write was lost", write.Offset+int64(at), back.Data[at], gap[at])
		}
	}
	return ch.Close()
}

// judge decides whether the history of each word is linearizable.
func (r *rig) judge(h *history) {
	r.Helper()
	switch porcupine.CheckOperationsTimeout(wordModel, h.ops, r.cfg.Patience) {
	case porcupine.Ok:
	case porcupine.Unknown:
		r.Logf("undecided: %d operations on %d words took too long to check", len(h.ops), words)
	default:
		for _, o := range h.ops {
			c := o.Input.(wordCall)
			r.Logf("client %2d  %8d to %8d ns  word %d  %-12v %d %d  = %d", o.ClientId, o.Call, o.Return, c.word, c.op, c.a, c.b, c.value)
		}
		r.Fatalf("%d operations on %d words are not linearizable", len(h.ops), words)
	}
}

// wordModel is a word as everybody understands it.
var wordModel = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, words)
		for _, o := range ops {
			w := o.Input.(wordCall).word
			parts[w] = append(parts[w], o)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	Step: func(state, in, out any) (bool, any) {
		v, c := state.(uint64), in.(wordCall)
		if out.(uint64) != v {
			return false, v
		}
		switch {
		case c.op == unio.OpFetchAdd:
			return true, v + c.b
		case c.op == unio.OpCompareSwap && v == c.a:
			return true, c.b
		}
		return true, v
	},
}

// checkCounting: FetchAdd from several channels gives out every number once,
// and CompareSwap hands a word to one winner at a time.
func checkCounting(r *rig) {
	r.needs(unio.OpFetchAdd)
	const clients = 4
	each := r.rounds(240)
	tickets := make([][]uint64, clients)
	r.together(clients, func(i int, rng *rand.Rand) error {
		ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: r.depth(8)})
		if err != nil {
			return err
		}
		reqs := make([]unio.Request, each)
		for k := range reqs {
			reqs[k] = unio.Request{Op: unio.OpFetchAdd, Region: r.reg, Offset: wordsBase, Swap: 1}
		}
		done, err := succeed(ch, r.cfg.Patience, reqs)
		for _, c := range done {
			tickets[i] = append(tickets[i], c.Value)
		}
		if err != nil {
			return err
		}
		return ch.Close()
	})
	given := make([]bool, clients*each)
	for _, own := range tickets {
		for _, v := range own {
			if v >= uint64(len(given)) || given[v] {
				r.Fatalf("FetchAdd gave out %d twice, or beyond %d additions", v, len(given))
			}
			given[v] = true
		}
	}
	ch := r.channel(unio.ChannelConfig{})
	if v := binary.LittleEndian.Uint64(r.read(ch, wordsBase, 8)); v != uint64(len(given)) {
		r.Errorf("after %d additions of 1 the word is %d", len(given), v)
	}
}
