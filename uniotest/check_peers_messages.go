package uniotest

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// checkPeersInfo: both sides describe themselves, and as what they are.
func checkPeersInfo(d *duo) {
	for _, p := range []*Peer{d.a, d.b} {
		i := p.Device.Info()
		if i.Provider == "" || i.Name == "" || i.Engine == "" {
			d.Errorf("Info names no provider, device or engine: %+v", i)
		}
		if !i.Native.Has(unio.OpSend) || !i.Native.Has(unio.OpRecv) || i.MaxMessage < 1 {
			d.Errorf("peers exchange messages; Info offers %v of up to %d bytes", i.Native, i.MaxMessage)
		}
		if both := i.Native & i.Provided; both != 0 {
			d.Errorf("%v are native and provided too", both)
		}
		if atomics := i.Provided & unio.Ops(unio.OpCompareSwap, unio.OpFetchAdd); atomics != 0 {
			d.Errorf("%v are composed of reads and writes of memory that its owner may change too: set Info.Shared", atomics)
		}
		if _, err := json.Marshal(i); err != nil {
			d.Errorf("Info does not marshal: %v", err)
		}
		d.Logf("peer: %+v", i)
		if n, err := p.Channel.Wait(d.Context(), make([]unio.Completion, 1)); n != 0 || err != nil {
			d.Errorf("a fresh channel has something in flight: %d, %v", n, err)
		}
		if c := p.Channel; c.Device() != p.Device {
			d.Error("the channel belongs to another device")
		}
	}
	d.alive(d.a, d.b)
}

// checkPeersMessages: what is sent on one side is received on the other, whole,
// in order, once, of any length, from and into any memory.
func checkPeersMessages(d *duo) {
	a, b := d.parties(nil, nil)
	for i := range d.rounds(24) {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		for range 1 + d.rng.IntN(100) {
			from.sayBytes(to, messageLength(from.rng, from.longest), 0)
		}
		d.converse(a, b)
	}
	d.edges(a, b)
}

// edges sends the shortest and the longest messages one at a time.
func (d *duo) edges(a, b *party) {
	d.Helper()
	most := int(min(d.a.Device.Info().MaxMessage, 8<<20))
	for _, n := range []int{0, 1, d.longest(), most - 1, most} {
		a.sayBytes(b, n, 0)
		d.converse(a, b)
	}
}

// checkPeersDuplex: both sides send at the same time, messages of every kind.
func checkPeersDuplex(d *duo) {
	a, b := d.parties(nil, nil)
	for range d.rounds(12) {
		for range 60 {
			a.say(b, a.someFlags())
			b.say(a, b.someFlags())
		}
		d.converse(a, b)
	}
}

// someFlags returns Solicited, or nothing.
func (p *party) someFlags() unio.Flags { return unio.Solicited * unio.Flags(p.rng.IntN(2)) }

// checkPeersImmediate: an Immediate message carries 8 bytes and no memory, and
// its Recv says so.
func checkPeersImmediate(d *duo) {
	d.needs(unio.OpImmediate)
	for _, v := range []uint64{0, 1, 1 << 63, 0x0102030405060708, ^uint64(0)} {
		for _, flags := range []unio.Flags{0, unio.Solicited} {
			for _, n := range []int{0, 8, 100} {
				c, buf := d.exchange(d.a, d.b, unio.Request{Op: unio.OpImmediate, Swap: v, Flags: flags}, n)
				want := unio.Completion{Value: v, Flags: unio.Immediate | flags}
				if c != want {
					d.Errorf("an Immediate message of %#x was received as %+v, want %+v", v, c, want)
				}
				if at := other(buf, poisonByte); at >= 0 {
					d.Errorf("an Immediate message wrote to byte %d of its Recv's memory", at)
				}
			}
		}
	}
	a, b := d.parties(nil, nil)
	for range d.rounds(300) {
		a.do(&call{req: unio.Request{Op: unio.OpImmediate, Swap: a.rng.Uint64()}})
		b.expect = append(b.expect, &message{flags: unio.Immediate, value: a.steps[len(a.steps)-1].req.Swap})
		if a.rng.IntN(3) == 0 {
			a.sayBytes(b, messageLength(a.rng, a.longest), 0)
		}
	}
	d.converse(a, b)
}

// checkPeersSolicited: the Recv of a message says whether its sender has asked
// for notice.
func checkPeersSolicited(d *duo) {
	a, b := d.parties(nil, nil)
	for range d.rounds(300) {
		a.sayBytes(b, a.rng.IntN(100), a.someFlags())
	}
	d.converse(a, b)
}

// checkPeersSilent: a Silent message has no completion unless it fails; that of
// a later one says that it has ended, and its memory is free then. No Recv
// waits for that.
func checkPeersSilent(d *duo) {
	a, b := d.parties(nil, nil)
	for range d.rounds(40) {
		for range 1 + d.rng.IntN(20) {
			for range a.rng.IntN(4) {
				a.say(b, unio.Silent)
			}
			a.say(b, 0)
			b.say(a, 0)
		}
		d.converse(a, b)
	}
	d.silentFlood()
}

// silentFlood sends many times the depth without ever fetching a completion.
func (d *duo) silentFlood() {
	d.Helper()
	ch := d.a.Channel
	total := 20 * ch.Depth()
	d.together(2, func(i int, _ *rand.Rand) error {
		if i == 0 {
			return d.flood(ch, total)
		}
		return d.countIn(d.b.Channel, total)
	})
	if all := d.drain(ch); len(all) != 0 {
		d.Errorf("%d completions of silent messages that were received", len(all))
	}
	if s := ch.Stats(); s.Posted != s.Completed {
		d.Errorf("%d posted, %d completed, though Wait says nothing is in flight", s.Posted, s.Completed)
	}
}
