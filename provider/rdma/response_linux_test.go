package rdma

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// TestBadResponses has a peer answer wrongly: it gets a Terminate, the requests fail, and no memory but the request's own
// is changed.
func TestBadResponses(t *testing.T) {
	const size = 100
	one := func(n int) []byte { return bytes.Repeat([]byte{1}, n) }
	type answer struct {
		name   string
		op     unio.Opcode
		octets func(p *raw, e *iwarp.Event) []byte
		cause  iwarp.Cause
		header func(e *iwarp.Event) []byte // in the Terminate
	}
	response := func(control byte, dSTag uint32, dTO int64) func(*iwarp.Event) []byte {
		return func(e *iwarp.Event) []byte {
			return tagged(control, iwarp.OpReadResponse, e.Read.SinkSTag+dSTag, e.Read.SinkTO+uint64(dTO))
		}
	}
	// say answers with one segment, with n octets of payload.
	say := func(name string, header func(*iwarp.Event) []byte, n int, cause iwarp.Cause) answer {
		return answer{name, unio.OpRead, func(p *raw, e *iwarp.Event) []byte { return p.fpdu(header(e), one(n)) }, cause, header}
	}
	atomicResponse := func(id uint32) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, id), 5)
	}
	for _, c := range []answer{
		say("too much", response(ddpLast, 0, 0), size+1, iwarp.CauseTaggedBounds),
		say("far too much", response(ddpMore, 0, 0), 60000, iwarp.CauseTaggedBounds),
		say("too little", response(ddpLast, 0, 0), size-1, iwarp.CauseCatastrophicStream),
		say("nothing", response(ddpLast, 0, 0), 0, iwarp.CauseCatastrophicStream),
		say("another STag", response(ddpLast, 1, 0), size, iwarp.CauseTaggedInvalidSTag),
		say("beside the place", response(ddpLast, 0, 1), size-1, iwarp.CauseTaggedBounds),
		say("before the place", response(ddpLast, 0, -1), size, iwarp.CauseTaggedBounds),
		say("Write to the sink", func(e *iwarp.Event) []byte {
			return tagged(ddpLast, iwarp.OpWrite, e.Read.SinkSTag, e.Read.SinkTO)
		}, size, iwarp.CauseTaggedInvalidSTag),
		{"too much, later on", unio.OpRead, func(p *raw, e *iwarp.Event) []byte {
			return append(p.fpdu(response(ddpMore, 0, 0)(e), one(60)), p.fpdu(response(ddpLast, 0, 60)(e), one(41))...)
		}, iwarp.CauseTaggedBounds, response(ddpLast, 0, 60)},
		{"with a gap", unio.OpRead, func(p *raw, e *iwarp.Event) []byte {
			return append(p.fpdu(response(ddpMore, 0, 0)(e), one(60)), p.fpdu(response(ddpLast, 0, 61)(e), one(39))...)
		}, iwarp.CauseTaggedBounds, response(ddpLast, 0, 61)},
		{"twice", unio.OpRead, func(p *raw, e *iwarp.Event) []byte {
			b := p.fpdu(response(ddpLast, 0, 0)(e), one(size))
			return append(b, b...)
		}, iwarp.CauseOpcode, response(ddpLast, 0, 0)},
		{"of an atomic", unio.OpRead, func(p *raw, e *iwarp.Event) []byte {
			return p.fpdu(message(iwarp.OpAtomicResponse, 3), atomicResponse(1))
		}, iwarp.CauseOpcode, func(*iwarp.Event) []byte { return message(iwarp.OpAtomicResponse, 3) }},
		{"of another atomic", unio.OpFetchAdd, func(p *raw, e *iwarp.Event) []byte {
			return p.fpdu(message(iwarp.OpAtomicResponse, 3), atomicResponse(e.Atomic.ID+1))
		}, iwarp.CauseCatastrophicStream, func(*iwarp.Event) []byte { return message(iwarp.OpAtomicResponse, 3) }},
		{"of a Read, to an atomic", unio.OpFetchAdd, func(p *raw, e *iwarp.Event) []byte {
			return p.fpdu(tagged(ddpLast, iwarp.OpReadResponse, 7, 0), one(8))
		}, iwarp.CauseOpcode, func(*iwarp.Event) []byte { return tagged(ddpLast, iwarp.OpReadResponse, 7, 0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := rawListen(t)
			conn, p := l.meet(rawConfig{unio: true, SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}}, func(addr string) (*Conn, error) {
				return Dial(t.Context(), addr, Config{})
			})
			reg := attach(t, conn, Key{STag: 0x1200, Base: 1 << 40, Size: 1 << 20}, unio.ReadWrite)
			guarded := bytes.Repeat([]byte{secret}, 3*size)
			req := unio.Request{ID: 1, Op: c.op, Region: reg}
			if c.op == unio.OpRead {
				req.Data = guarded[size : 2*size]
			}
			post(t, conn, req, unio.Request{ID: 2, Op: unio.OpRecv, Data: make([]byte, 8)})
			want := iwarp.OpReadRequest
			if c.op != unio.OpRead {
				want = iwarp.OpAtomicRequest
			}
			e, err := p.await(want)
			if err != nil {
				t.Fatal(err)
			}
			p.write(c.octets(p, &e))
			got := p.terminate()
			if got.Cause != c.cause || !bytes.Equal(got.DDP[:got.DDPSize], c.header(&e)) {
				t.Errorf("Terminate: %v, header %x; want %v, %x", got.Cause, got.DDP[:got.DDPSize], c.cause, c.header(&e))
			}
			for _, d := range waitFor(t, conn, 2) {
				if d.ID == 1 && c.name == "twice" {
					if d.Err != nil {
						t.Error(d.Err)
					}
					continue
				}
				op := unio.OpRecv
				if d.ID == 1 {
					op = c.op
				}
				failedWith(t, d.Err, unio.ErrDisconnected, op, layerOf(c.cause), conn)
			}
			brokenBy(t, conn, layerOf(c.cause), c.cause, "terminated at this end")
			if !all(guarded[:size], secret) || !all(guarded[2*size:], secret) {
				t.Error("memory beside the request's was changed")
			}
		})
	}
}
