package rdma

import (
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A sponge is a Store that takes everything and keeps nothing.
type sponge struct{}

func (sponge) Size() int64    { return hostMemory }
func (sponge) Memory() []byte { return nil }
func (sponge) Poll() bool     { return false }

func (sponge) Borrow(n int, _ Waiter) []byte { return make([]byte, n) }
func (sponge) Return([]byte)                 {}
func (sponge) Start(batch []*IO)             { Finish(batch) }

// TestFloodOfFailures has a peer that is served ask for what fails, again and again, and read nothing of what it is told:
// what waits to be told does not grow.
func TestFloodOfFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		say  func(p *raw, i uint32) []byte
	}{
		{"commands", func(p *raw, i uint32) []byte {
			return p.fpdu(untagged(ddpLast, iwarp.OpSend, 0, 0, i, 0), make([]byte, commandSize))
		}},
		{"Writes", func(p *raw, i uint32) []byte {
			return p.fpdu(tagged(ddpLast, iwarp.OpWrite, 0xdead, 0), []byte{1})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			over := make(chan struct{})
			l, err := Listen(t.Context(), "127.0.0.1:0", Config{KeepAlive: -1, Serve: func(*Incoming) (*Service, error) {
				info := StoreInfo{Ops: unio.Ops(unio.OpRead, unio.OpWrite)}
				return &Service{Store: sponge{}, Rights: unio.ReadWrite, Info: info, Closed: func() { close(over) }}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p := rawDial(t, l.Addr().String(), rawConfig{unio: true, control: 9, features: featureStorage, SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}})
			before := heap()
			var batch []byte
			refused := false
			for i := uint32(1); i < 700_000; {
				batch = batch[:0]
				for len(batch) < 60_000 {
					batch = append(batch, c.say(p, i)...)
					i++
				}
				_ = p.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				if _, err := p.conn.Write(batch); err != nil { // it takes no more, or has ended
					refused = true
					break
				}
			}
			if grown := heap() - before; grown > 8<<20 {
				t.Errorf("%d bytes of memory are in use that were not; refused: %v", grown, refused)
			}
			_ = p.tcp.Close()
			<-over
		})
	}
}
