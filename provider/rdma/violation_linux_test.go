package rdma

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A violator is a peer, and what the violations of a peer are about: memory of each kind.
type violator struct {
	*raw
	conn      *Conn // the host's end
	all       Key   // readable and writable
	readOnly  Key
	writeOnly Key
	foreign   Key // another connection's
	revoked   Key
	own       Key // this connection's alone
}

// TestViolations has a peer break each rule of the RFCs, and looks at the Terminate that it gets, at the errors of this end,
// and at whether others notice.
func TestViolations(t *testing.T) {
	for _, crc := range []bool{false, true} {
		name := "without CRC"
		if crc {
			name = "with CRC"
		}
		t.Run(name, func(t *testing.T) { testViolations(t, crc) })
	}
}

// secret is what all memory has in it.
const secret = 0x5a

// A violation is what a peer does, and what it is told.
type violation struct {
	name string
	// do does it, and returns the DDP header of the segment at fault, which the Terminate must have; nil if it must have none.
	do    func(p *violator) []byte
	cause iwarp.Cause
	read  bool // the Terminate has the Read Request too
	unio  bool // the peer says that it is one of ours
	recv  int  // bytes of the Recv that is posted; 0: none
	taken bool // which a message takes before
	// blamed says that the Recv is the reason.
	blamed bool
	crc    bool // makes sense only with CRCs
}

func testViolations(t *testing.T, crc bool) {
	h := newHost(t, Config{IRD: hostIRD, MaxMessage: hostMessage}, Config{})
	small := buffer(t, 4096)
	fill(h.memory.Bytes(), secret)
	fill(small.Bytes(), secret)
	foreign, err := h.served.Expose(small, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	revoked := h.expose(small, unio.ReadWrite)
	if err := revoked.Revoke(); err != nil {
		t.Fatal(err)
	}
	keys := violator{
		all: h.all.Key(), readOnly: h.expose(small, unio.ReadOnly).Key(), writeOnly: h.expose(small, unio.WriteOnly).Key(),
		foreign: foreign.Key(), revoked: revoked.Key(),
	}
	for _, v := range violations() {
		if v.crc && !crc {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			p := keys
			c := rawConfig{unio: v.unio, control: 0x1234, crc: crc, SetupConfig: iwarp.SetupConfig{ORD: 16, IRD: 16}}
			p.raw, p.conn = h.raw(c)
			e, err := p.conn.Expose(small, unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			p.own = e.Key()
			if v.recv > 0 {
				post(t, p.conn, unio.Request{Op: unio.OpRecv, Data: make([]byte, v.recv)})
			}
			want := v.do(&p)
			got := p.terminate()
			if got.Cause != v.cause {
				t.Errorf("Terminate: %v, want %v", got.Cause, v.cause)
			}
			if !bytes.Equal(got.DDP[:got.DDPSize], want) {
				t.Errorf("Terminate has the header %x, want %x", got.DDP[:got.DDPSize], want)
			}
			if got.HasRead != v.read {
				t.Errorf("Terminate has a Read Request: %v, want %v", got.HasRead, v.read)
			}
			if v.read && (got.Read.SourceSTag == 0 || got.Read.SinkSTag != 7) {
				t.Errorf("Terminate has %v", &got.Read)
			}
			brokenBy(t, p.conn, layerOf(v.cause), v.cause, "terminated at this end")
			if v.recv > 0 {
				d, cause := wait(t, p.conn), unio.ErrDisconnected
				if v.blamed {
					cause = unio.ErrOutOfRange
				}
				if !v.taken {
					failedWith(t, d.Err, cause, unio.OpRecv, layerOf(v.cause), p.conn)
				} else if d.Err != nil {
					t.Error(d.Err)
				}
				if errors.Is(d.Err, unio.ErrOutOfRange) != v.blamed {
					t.Errorf("%v: is the Recv the reason? %v", d.Err, v.blamed)
				}
			}
			h.check()
		})
	}
	if b := h.memory.Bytes(); !all(b[:hostMemory-64], secret) || !all(small.Bytes(), secret) {
		t.Error("memory was changed by what was refused")
	}
}

// violations are those of a peer in full operation.
func violations() []violation {
	one := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	unknown := Key{STag: 0x77777777, Base: 1 << 40}
	say := func(header []byte, body ...[]byte) func(*violator) []byte {
		return func(p *violator) []byte { return p.say(header, body...) }
	}
	write := func(key func(*violator) Key, at uint64, n int) func(*violator) []byte {
		return func(p *violator) []byte {
			k := key(p)
			return p.say(tagged(ddpLast, iwarp.OpWrite, k.STag, k.Base+at), make([]byte, n))
		}
	}
	read := func(key func(*violator) Key, at uint64, n uint32) func(*violator) []byte {
		return func(p *violator) []byte {
			k := key(p)
			return p.say(message(iwarp.OpReadRequest, 1), readRequest(n, k.STag, k.Base+at))
		}
	}
	atomic := func(key func(*violator) Key, at uint64, op uint32) func(*violator) []byte {
		return func(p *violator) []byte {
			k := key(p)
			return p.say(message(iwarp.OpAtomicRequest, 1), atomicRequestBody(op, 9, k.STag, k.Base+at))
		}
	}
	// in says two things at once, of which the second is wrong.
	in := func(before, beforeBody, at, body []byte) func(*violator) []byte {
		return func(p *violator) []byte {
			p.write(append(p.fpdu(before, beforeBody), p.fpdu(at, body)...))
			return at
		}
	}
	every := func(p *violator) Key { return p.all }
	readOnly := func(p *violator) Key { return p.readOnly }
	writeOnly := func(p *violator) Key { return p.writeOnly }
	foreign := func(p *violator) Key { return p.foreign }
	revoked := func(p *violator) Key { return p.revoked }
	nobody := func(*violator) Key { return unknown }
	// top is as high as an offset can be, where nothing is.
	top := func(p *violator) Key { return Key{STag: p.all.STag, Base: math.MaxUint64 - 3} }
	first := untagged(ddpMore, iwarp.OpSend, 0, 0, 1, 0)

	return []violation{
		{name: "Write to an unknown STag", do: write(nobody, 5, 8), cause: iwarp.CauseTaggedInvalidSTag},
		{name: "long Write to an unknown STag", do: write(nobody, 5, 60000), cause: iwarp.CauseTaggedInvalidSTag},
		{name: "Write beyond the end", do: write(every, hostMemory-7, 8), cause: iwarp.CauseTaggedBounds},
		{name: "Write behind the end", do: write(every, hostMemory, 1), cause: iwarp.CauseTaggedBounds},
		{name: "Write before the beginning", do: write(every, math.MaxUint64, 1), cause: iwarp.CauseTaggedBounds},
		{name: "Write that wraps", do: write(top, 0, 8), cause: iwarp.CauseTaggedTOWrap},
		{name: "Write to read-only memory", do: write(readOnly, 0, 8), cause: iwarp.CauseTaggedInvalidSTag},
		{name: "Write to another's memory", do: write(foreign, 0, 8), cause: iwarp.CauseTaggedForeignSTag},
		{name: "Write to revoked memory", do: write(revoked, 0, 8), cause: iwarp.CauseTaggedInvalidSTag},
		{name: "Write that goes on elsewhere", do: func(p *violator) []byte {
			k, at := p.own, tagged(ddpLast, iwarp.OpWrite, p.all.STag, p.all.Base)
			p.write(append(p.fpdu(tagged(ddpMore, iwarp.OpWrite, k.STag, k.Base), ownBytes), p.fpdu(at, one)...))
			return at
		}, cause: iwarp.CauseTaggedInvalidSTag},
		{name: "Write that goes on with a gap", do: func(p *violator) []byte {
			k := p.own
			at := tagged(ddpLast, iwarp.OpWrite, k.STag, k.Base+uint64(len(ownBytes))+1)
			p.write(append(p.fpdu(tagged(ddpMore, iwarp.OpWrite, k.STag, k.Base), ownBytes), p.fpdu(at, one)...))
			return at
		}, cause: iwarp.CauseTaggedBounds},
		{name: "Write to the control page, too long", unio: true, do: func(p *violator) []byte {
			return p.say(tagged(ddpLast, iwarp.OpWrite, p.trailer.control, 0), make([]byte, controlSize+1))
		}, cause: iwarp.CauseTaggedBounds},
		{name: "Read of the control page", unio: true, do: func(p *violator) []byte {
			return p.say(message(iwarp.OpReadRequest, 1), readRequest(4, p.trailer.control, 0))
		}, cause: iwarp.CauseInvalidSTag, read: true},

		{name: "Read of an unknown STag", do: read(nobody, 5, 8), cause: iwarp.CauseInvalidSTag, read: true},
		{name: "Read beyond the end", do: read(every, hostMemory-7, 8), cause: iwarp.CauseBounds, read: true},
		{name: "Read before the beginning", do: read(every, math.MaxUint64, 8), cause: iwarp.CauseBounds, read: true},
		{name: "Read of more than there is", do: read(every, 0, hostMemory+1), cause: iwarp.CauseBounds, read: true},
		{name: "Read of 4 GiB", do: read(every, 0, math.MaxUint32), cause: iwarp.CauseBounds, read: true},
		{name: "Read that wraps", do: read(top, 0, 8), cause: iwarp.CauseTOWrap, read: true},
		{name: "Read of write-only memory", do: read(writeOnly, 0, 8), cause: iwarp.CauseAccess, read: true},
		{name: "Read of another's memory", do: read(foreign, 0, 8), cause: iwarp.CauseForeignSTag, read: true},
		{name: "Read of revoked memory", do: read(revoked, 0, 8), cause: iwarp.CauseInvalidSTag, read: true},

		{name: "atomic at an unknown STag", unio: true, do: atomic(nobody, 0, 0), cause: iwarp.CauseInvalidSTag},
		{name: "atomic beyond the end", unio: true, do: atomic(every, hostMemory, 0), cause: iwarp.CauseBounds},
		{name: "atomic half beyond the end", unio: true, do: atomic(every, hostMemory-4, 0), cause: iwarp.CauseBounds},
		{name: "atomic that wraps", unio: true, do: atomic(top, 0, 0), cause: iwarp.CauseTOWrap},
		{name: "atomic on read-only memory", unio: true, do: atomic(readOnly, 0, 0), cause: iwarp.CauseAccess},
		{name: "atomic on write-only memory", unio: true, do: atomic(writeOnly, 0, 0), cause: iwarp.CauseAccess},
		{name: "atomic on another's memory", unio: true, do: atomic(foreign, 0, 2), cause: iwarp.CauseForeignSTag},
		{name: "atomic on revoked memory", unio: true, do: atomic(revoked, 0, 2), cause: iwarp.CauseInvalidSTag},
		{name: "atomic, misaligned", unio: true, do: atomic(every, 4, 0), cause: iwarp.CauseCatastrophicStream},
		{name: "atomic of an unknown kind", unio: true, do: atomic(every, 0, 7), cause: iwarp.CauseOpcode},
		{name: "atomic of a peer that is not ours", do: atomic(every, 0, 0), cause: iwarp.CauseOpcode},
		{name: "immediate data of a peer that is not ours", do: say(message(iwarp.OpImmediate, 0), one), cause: iwarp.CauseOpcode},

		{
			name: "Send without a Recv", recv: 8, taken: true, cause: iwarp.CauseNoBuffer,
			do: in(message(iwarp.OpSend, 0), one, untagged(ddpLast, iwarp.OpSend, 0, 0, 2, 0), one),
		},
		{
			name: "empty Send without a Recv", recv: 8, taken: true, cause: iwarp.CauseNoBuffer,
			do: in(message(iwarp.OpSendSolicited, 0), nil, untagged(ddpLast, iwarp.OpSendSolicited, 0, 0, 2, 0), nil),
		},
		{name: "more Sends before the first Recv than are kept", do: func(p *violator) []byte {
			var b []byte
			for i := range uint32(earlyMessages + 1) {
				b = append(b, p.fpdu(untagged(ddpLast, iwarp.OpSend, 0, 0, i+1, 0), one)...)
			}
			p.write(b)
			return untagged(ddpLast, iwarp.OpSend, 0, 0, earlyMessages+1, 0)
		}, cause: iwarp.CauseNoBuffer},
		{
			name: "Send before the first Recv that is longer than what is kept", cause: iwarp.CauseTooLong,
			do: in(first, make([]byte, 60_000), untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 60_000), make([]byte, hostMessage-60_000+1)),
		},
		{name: "empty Send without a credit", unio: true, do: say(message(iwarp.OpSendSolicited, 0)), cause: iwarp.CauseNoBuffer},
		{name: "immediate data without a Recv", unio: true, do: say(message(iwarp.OpImmediate, 0), one), cause: iwarp.CauseNoBuffer},
		{name: "Send without a credit", unio: true, do: say(message(iwarp.OpSend, 0), one), cause: iwarp.CauseNoBuffer},
		{name: "Send longer than its Recv", recv: 7, blamed: true, do: say(message(iwarp.OpSend, 0), one), cause: iwarp.CauseTooLong},
		{
			name: "Send longer than its Recv, in its second segment", recv: 15, blamed: true, cause: iwarp.CauseTooLong,
			do: in(first, one, untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 8), one),
		},
		{name: "message number left out", recv: 8, do: say(untagged(ddpLast, iwarp.OpSend, 0, 0, 2, 0), one), cause: iwarp.CauseMSNRange},
		{name: "message number 0", recv: 8, do: say(untagged(ddpLast, iwarp.OpSend, 0, 0, 0, 0), one), cause: iwarp.CauseMSNRange},
		{
			name: "message number of a Read left out", cause: iwarp.CauseMSNRange,
			do: say(untagged(ddpLast, iwarp.OpReadRequest, 0, 1, 2, 0), readRequest(0, 1, 0)),
		},
		{name: "message that begins in its middle", recv: 16, do: say(untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 8), one), cause: iwarp.CauseMO},
		{name: "message with a gap", recv: 64, do: in(first, one, untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 16), one), cause: iwarp.CauseMO},
		{name: "message that goes back", recv: 64, do: in(first, one, untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 0), one), cause: iwarp.CauseMO},
		{
			name: "message within a message", recv: 64, cause: iwarp.CauseMSNRange,
			do: in(first, one, untagged(ddpLast, iwarp.OpSend, 0, 0, 2, 0), one),
		},
		{
			name: "immediate data within a Send", unio: true, recv: 64, cause: iwarp.CauseMO,
			do: in(first, one, untagged(ddpLast, iwarp.OpImmediate, 0, 0, 1, 8), one),
		},

		{name: "Send that invalidates an unknown STag", recv: 8, do: say(untagged(ddpLast, iwarp.OpSendInvalidate, unknown.STag, 0, 1, 0), one), cause: iwarp.CauseCannotInvalidate},
		{name: "empty Send that invalidates an unknown STag", recv: 8, do: say(untagged(ddpLast, iwarp.OpSendSolicitedInvalidate, 0, 0, 1, 0)), cause: iwarp.CauseCannotInvalidate},
		{name: "Send that invalidates what is everybody's", recv: 8, do: func(p *violator) []byte {
			return p.say(untagged(ddpLast, iwarp.OpSendInvalidate, p.all.STag, 0, 1, 0), one)
		}, cause: iwarp.CauseCannotInvalidate},
		{name: "Send that invalidates what is another's", recv: 8, do: func(p *violator) []byte {
			return p.say(untagged(ddpLast, iwarp.OpSendInvalidate, p.foreign.STag, 0, 1, 0), one)
		}, cause: iwarp.CauseCannotInvalidate},

		{name: "unknown opcode", do: say(message(12, 0)), cause: iwarp.CauseOpcode},
		{name: "last opcode", do: say(message(15, 1)), cause: iwarp.CauseOpcode},
		{name: "Write in a queue", do: say(message(iwarp.OpWrite, 0), one), cause: iwarp.CauseOpcode},
		{name: "tagged Send", do: say(tagged(ddpLast, iwarp.OpSend, 1, 0), one), cause: iwarp.CauseOpcode},
		{name: "unknown queue", do: say(message(iwarp.OpSend, 4), one), cause: iwarp.CauseQueue},
		{name: "queue of all ones", do: say(message(iwarp.OpSend, math.MaxUint32), one), cause: iwarp.CauseQueue},
		{name: "Send in the queue of Reads", do: say(message(iwarp.OpSend, 1), one), cause: iwarp.CauseQueue},
		{name: "Read Request in the queue of Sends", do: say(message(iwarp.OpReadRequest, 0), readRequest(0, 1, 0)), cause: iwarp.CauseQueue},
		{name: "DDP version 0, tagged", do: say(tagged(0x40, iwarp.OpWrite, 1, 0)), cause: iwarp.CauseTaggedVersion},
		{name: "DDP version 2, untagged", do: say(untagged(0x42, iwarp.OpSend, 0, 0, 1, 0)), cause: iwarp.CauseUntaggedVersion},
		{name: "RDMAP version 0", do: say(version(message(iwarp.OpSend, 0), 0)), cause: iwarp.CauseRDMAPVersion},
		{name: "RDMAP version 3, tagged", do: say(version(tagged(ddpLast, iwarp.OpWrite, 1, 0), 3)), cause: iwarp.CauseRDMAPVersion},

		{name: "Read Response that nobody asked for", do: say(tagged(ddpLast, iwarp.OpReadResponse, 7, 0), one), cause: iwarp.CauseOpcode},
		{name: "empty Read Response that nobody asked for", do: say(tagged(ddpLast, iwarp.OpReadResponse, 7, 0)), cause: iwarp.CauseOpcode},
		{name: "Atomic Response that nobody asked for", unio: true, do: say(message(iwarp.OpAtomicResponse, 3), make([]byte, 12)), cause: iwarp.CauseOpcode},

		{name: "Read Request cut short", do: say(message(iwarp.OpReadRequest, 1), readRequest(8, 1, 0)[:20]), cause: iwarp.CauseOperationUnstated},
		{name: "Read Request with more behind it", recv: 8, do: say(message(iwarp.OpReadRequest, 1), readRequest(8, 1, 0), one), cause: iwarp.CauseTooLong},
		{name: "Read Request in two segments", do: say(untagged(ddpMore, iwarp.OpReadRequest, 0, 1, 1, 0), readRequest(8, 1, 0)), cause: iwarp.CauseOperationUnstated},
		{name: "Atomic Request cut short", unio: true, do: say(message(iwarp.OpAtomicRequest, 1), one), cause: iwarp.CauseOperationUnstated},
		{name: "Terminate without content", do: say(message(iwarp.OpTerminate, 2)), cause: iwarp.CauseOperationUnstated},
		{name: "Terminate that announces more than it has", do: say(message(iwarp.OpTerminate, 2), []byte{0, 0, 0xe0, 0}), cause: iwarp.CauseOperationUnstated},
		{name: "FPDU shorter than a header", do: short([]byte{ddpLast | ddpTagged, 0x40, 0, 0}), cause: iwarp.CauseCatastrophicStream},
		{name: "FPDU of length 0", do: short(nil), cause: iwarp.CauseCatastrophicStream},
		{name: "FPDU shorter than its untagged header", do: short(message(iwarp.OpSend, 0)[:16]), cause: iwarp.CauseCatastrophicStream},

		{name: "more Reads than IRD", do: func(p *violator) []byte {
			var b []byte // all of it in one piece, so that no answer begins before the last one has come
			for i := range uint32(hostIRD + 2) {
				b = append(b, p.fpdu(untagged(ddpLast, iwarp.OpReadRequest, 0, 1, i+1, 0), readRequest(8, p.all.STag, p.all.Base))...)
			}
			p.write(b)
			return untagged(ddpLast, iwarp.OpReadRequest, 0, 1, hostIRD+1, 0)
		}, cause: iwarp.CauseNoBuffer},
		{name: "more atomics than IRD", unio: true, do: func(p *violator) []byte {
			var b []byte
			for i := range uint32(hostIRD + 1) {
				b = append(b, p.fpdu(untagged(ddpLast, iwarp.OpAtomicRequest, 0, 1, i+1, 0), atomicRequestBody(2, i, p.own.STag, p.own.Base))...)
			}
			p.write(b)
			return untagged(ddpLast, iwarp.OpAtomicRequest, 0, 1, hostIRD+1, 0)
		}, cause: iwarp.CauseNoBuffer},

		{name: "CRC mismatch", crc: true, do: broken(0, func(b []byte) { b[len(b)-1]++ }), cause: iwarp.CauseCRC},
		{name: "CRC mismatch in the payload", crc: true, do: broken(0, func(b []byte) { b[17] ^= 4 }), cause: iwarp.CauseCRC},
		{name: "CRC mismatch in what would be refused", crc: true, do: broken(1, func(b []byte) { b[len(b)-1]++ }), cause: iwarp.CauseCRC},
		{name: "CRC mismatch in the STag", crc: true, do: broken(0, func(b []byte) { b[5] ^= 1 }), cause: iwarp.CauseCRC},
		{name: "length that lies", crc: true, do: broken(0, func(b []byte) { b[1]++ }), cause: iwarp.CauseCRC},
		{name: "padding that is not zero", crc: true, do: broken(0, func(b []byte) { b[len(b)-5] = 1 }), cause: iwarp.CauseCRC},
	}
}

const (
	hostIRD     = 8
	hostMessage = 64 << 10
)

// ownBytes are what a Write that goes wrong in its second segment has in its first.
var ownBytes = bytes.Repeat([]byte{secret}, 16)

// say sends one FPDU and returns its header.
func (p *violator) say(header []byte, body ...[]byte) []byte {
	p.write(p.fpdu(append([][]byte{header}, body...)...))
	return header
}

// short sends an FPDU that is no segment.
func short(ulpdu []byte) func(*violator) []byte {
	return func(p *violator) []byte {
		p.write(p.fpdu(ulpdu))
		return nil
	}
}

// broken sends a Write of 5 octets to all, beyond its end if by is 1, that something has happened to on its way.
func broken(by uint64, happens func([]byte)) func(*violator) []byte {
	return func(p *violator) []byte {
		b := p.fpdu(tagged(ddpLast, iwarp.OpWrite, p.all.STag, p.all.Base+by*hostMemory), bytes.Repeat([]byte{secret}, 5))
		happens(b)
		p.write(b)
		return nil
	}
}

// message is the header of the first message of a queue, whole.
func message(op iwarp.Opcode, queue uint32) []byte { return untagged(ddpLast, op, 0, queue, 1, 0) }

// version puts another RDMAP version into a header.
func version(header []byte, v byte) []byte {
	header[1] = header[1]&0x3f | v<<6
	return header
}
