package rdma

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestDamage turns bits over on the way, at random. With CRCs nothing that is wrong is ever delivered: the connection ends, and
// both ends say why, or the end that still waits for the rest of an FPDU finds that nothing comes.
func TestDamage(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	checksums := 0
	for round := range 24 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		t.Run(fmt.Sprintf("seed %d round %d", seed, round), func(t *testing.T) {
			cfg := Config{KeepAlive: quick, Verbs: round%4 == 3}
			memory := buffer(t, hostMemory)
			for i := range memory.Bytes() {
				memory.Bytes()[i] = byte(i * i >> 3)
			}
			h := newHost(t, cfg, Config{})
			k := newLink(t, h.addr(), lane{largest: 30_000}, lane{largest: 30_000})
			direction := round % 2
			k.expect(direction, mishap{at: 600 + rng.Int64N(400_000), flip: 1 << rng.IntN(8)})
			conn := dialTo(t, k.addr(), cfg)
			served := h.accept()
			from := attach(t, conn, h.expose(memory, unio.ReadOnly).Key(), unio.ReadOnly)
			to := attach(t, conn, h.all.Key(), unio.ReadWrite)
			placed := make([]byte, 0, hostMemory)
			var err error
			for off := 0; off < hostMemory/2 && err == nil; off += 50_000 {
				got := make([]byte, 50_000)
				want := memory.Bytes()[off : off+50_000]
				if err = try(conn, unio.Request{Op: unio.OpRead, Region: from, Offset: int64(off), Data: got}); err == nil && !bytes.Equal(got, want) {
					t.Error("a Read has brought what is not there")
				}
				if err == nil {
					if err = try(conn, unio.Request{Op: unio.OpWrite, Region: to, Offset: int64(off), Data: want}); err == nil {
						placed = append(placed, want...)
					}
				}
			}
			if !errors.Is(err, unio.ErrDisconnected) && !errors.Is(err, unio.ErrChecksum) {
				t.Errorf("the damage did not show: %v", err)
			}
			if !bytes.Equal(h.memory.Bytes()[:len(placed)], placed) {
				t.Error("a Write that was complete has put there what it should not")
			}
			for _, c := range []*Conn{conn, served} {
				if err := ended(t, c); errors.Is(err, unio.ErrChecksum) {
					checksums++
				} else if !errors.Is(err, unio.ErrDisconnected) {
					t.Error(err)
				}
			}
			h.check()
		})
	}
	if checksums < 24 { // in the length field a bit shows as something else
		t.Errorf("%d ends have found or been told of a CRC error, of 48", checksums)
	}
}
