package rdma

import (
	"bytes"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestPostedGoesOnAlone posts more than the system takes at a time, and then does not look again: it goes on by itself, and so
// does what a peer wants meanwhile.
func TestPostedGoesOnAlone(t *testing.T) {
	const size = 32 << 20
	for name, cfg := range map[string]Config{"plain": {}, "TLS": newAuthority(t).config()} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []unio.Opcode{unio.OpWrite, unio.OpSend} {
				cfg.KeepAlive, cfg.MaxMessage = -1, size // no pulse helps
				b := buffer(t, size)                     // freed after the connections are closed
				h := newHost(t, cfg, cfg)
				k := newLink(t, h.addr(), lane{}, lane{})
				conn := dialTo(t, k.addr(), cfg)
				served := h.accept()
				e := h.expose(b, unio.ReadWrite)
				data := bytes.Repeat([]byte{secret}, size)
				r := unio.Request{Op: op, Data: data}
				if op == unio.OpSend {
					post(t, served, unio.Request{Op: unio.OpRecv, Data: b.Bytes()})
				} else {
					r.Region = attach(t, conn, e.Key(), unio.ReadWrite)
				}
				own, err := conn.Expose(h.memory, unio.ReadWrite)
				if err != nil {
					t.Fatal(err)
				}
				do(t, conn, unio.Request{Op: unio.OpRead, Region: attach(t, conn, h.all.Key(), unio.ReadWrite), Data: make([]byte, 8)})
				time.Sleep(10 * time.Millisecond) // nobody polls any more
				k.pause(up)
				post(t, conn, r)
				k.resume(up)
				if op == unio.OpSend {
					if d := wait(t, served); d.Err != nil || d.N != size {
						t.Errorf("%+v", d)
					}
				} else {
					do(t, served, unio.Request{Op: unio.OpRead, Region: attach(t, served, own.Key(), unio.ReadWrite), Data: make([]byte, 8)})
				}
				if d := wait(t, conn); d.Err != nil {
					t.Error(d.Err)
				}
				if !all(b.Bytes(), secret) {
					t.Error("not all of it has come")
				}
			}
		})
	}
}
