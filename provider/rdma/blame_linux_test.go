package rdma

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// TestBlame has a program use memory as it may not, between requests that are right: the one at fault fails with what the peer
// said, the others with ErrDisconnected, both ends say why, and others do not notice.
func TestBlame(t *testing.T) {
	small := func(b []byte) []byte { return b[:8] }
	large := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name   string
		key    func(h *host, served *Conn) Key
		op     unio.Opcode
		flags  unio.Flags
		offset int64
		data   func([]byte) []byte // default: nothing
		layer  unio.Layer
		cause  iwarp.Cause
		want   []error // of the request
		sent   bool    // the request is complete before the peer objects
	}{
		{name: "Write, unknown STag", key: unknownKey, op: unio.OpWrite, data: small, layer: LayerDDP, cause: iwarp.CauseTaggedInvalidSTag, want: []error{unio.ErrRevoked, unio.ErrAccess}},
		{name: "long Write, unknown STag", key: unknownKey, op: unio.OpWrite, data: large, layer: LayerDDP, cause: iwarp.CauseTaggedInvalidSTag, want: []error{unio.ErrRevoked, unio.ErrAccess}},
		{name: "Read, unknown STag", key: unknownKey, op: unio.OpRead, data: small, layer: LayerRDMAP, cause: iwarp.CauseInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "long Read, unknown STag", key: unknownKey, op: unio.OpRead, data: large, layer: LayerRDMAP, cause: iwarp.CauseInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "FetchAdd, unknown STag", key: unknownKey, op: unio.OpFetchAdd, layer: LayerRDMAP, cause: iwarp.CauseInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "CompareSwap, unknown STag", key: unknownKey, op: unio.OpCompareSwap, layer: LayerRDMAP, cause: iwarp.CauseInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "Write, bounds", key: longerKey, op: unio.OpWrite, offset: hostMemory - 4, data: small, layer: LayerDDP, cause: iwarp.CauseTaggedBounds, want: []error{unio.ErrOutOfRange}},
		{name: "long Write, bounds in its middle", key: longerKey, op: unio.OpWrite, offset: hostMemory - blameLong/2, data: large, layer: LayerDDP, cause: iwarp.CauseTaggedBounds, want: []error{unio.ErrOutOfRange}},
		{name: "Read, bounds", key: longerKey, op: unio.OpRead, offset: hostMemory - 4, data: small, layer: LayerRDMAP, cause: iwarp.CauseBounds, want: []error{unio.ErrOutOfRange}},
		{name: "FetchAdd, bounds", key: longerKey, op: unio.OpFetchAdd, offset: hostMemory, layer: LayerRDMAP, cause: iwarp.CauseBounds, want: []error{unio.ErrOutOfRange}},
		{name: "Write to read-only", key: readOnlyKey, op: unio.OpWrite, data: small, layer: LayerDDP, cause: iwarp.CauseTaggedInvalidSTag, want: []error{unio.ErrRevoked, unio.ErrAccess}},
		{name: "Read of write-only", key: writeOnlyKey, op: unio.OpRead, data: small, layer: LayerRDMAP, cause: iwarp.CauseAccess, want: []error{unio.ErrAccess}},
		{name: "FetchAdd on read-only", key: readOnlyKey, op: unio.OpFetchAdd, layer: LayerRDMAP, cause: iwarp.CauseAccess, want: []error{unio.ErrAccess}},
		{name: "CompareSwap, misaligned", key: oddKey, op: unio.OpCompareSwap, layer: LayerRDMAP, cause: iwarp.CauseCatastrophicStream, want: []error{unio.ErrDisconnected}},
		{name: "Write to another's", key: foreignKey, op: unio.OpWrite, data: small, layer: LayerDDP, cause: iwarp.CauseTaggedForeignSTag, want: []error{unio.ErrAccess}},
		{name: "Read of another's", key: foreignKey, op: unio.OpRead, data: small, layer: LayerRDMAP, cause: iwarp.CauseForeignSTag, want: []error{unio.ErrAccess}},
		{name: "FetchAdd on another's", key: foreignKey, op: unio.OpFetchAdd, layer: LayerRDMAP, cause: iwarp.CauseForeignSTag, want: []error{unio.ErrAccess}},
		{name: "Write to revoked", key: revokedKey, op: unio.OpWrite, data: small, layer: LayerDDP, cause: iwarp.CauseTaggedInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "Read of revoked", key: revokedKey, op: unio.OpRead, data: small, layer: LayerRDMAP, cause: iwarp.CauseInvalidSTag, want: []error{unio.ErrRevoked}},
		{name: "Send that invalidates everybody's", key: allKey, op: unio.OpSend, flags: unio.Invalidate, layer: LayerRDMAP, cause: iwarp.CauseCannotInvalidate, sent: true},
		{name: "Send that invalidates another's", key: foreignKey, op: unio.OpSend, flags: unio.Invalidate, layer: LayerRDMAP, cause: iwarp.CauseCannotInvalidate, sent: true},
		{name: "Send longer than its Recv", op: unio.OpSend, data: large, layer: LayerDDP, cause: iwarp.CauseTooLong, sent: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, Config{}, Config{})
			conn, served := h.pair(Config{})
			good := attach(t, conn, h.all.Key(), unio.ReadWrite)
			bad := unio.Request{ID: 100, Op: c.op, Flags: c.flags, Offset: c.offset}
			if c.data != nil {
				bad.Data = c.data(make([]byte, blameLong))
			}
			if c.key != nil {
				bad.Region = attach(t, conn, c.key(h, served), unio.ReadWrite)
			}
			post(t, served, unio.Request{Op: unio.OpRecv, Data: make([]byte, 8)})
			reqs := []unio.Request{
				{ID: 0, Op: unio.OpWrite, Region: good, Data: make([]byte, 3000)},
				{ID: 1, Op: unio.OpRead, Region: good, Data: make([]byte, 5000)},
				bad,
				{ID: 3, Op: unio.OpRead, Region: good, Data: make([]byte, 70000)},
				{ID: 4, Op: unio.OpWrite, Region: good, Data: make([]byte, 70000)},
				{ID: 5, Op: unio.OpFetchAdd, Region: good},
				{ID: 6, Op: unio.OpRecv, Data: make([]byte, 8)},
			}
			post(t, conn, reqs...)
			blamed := false
			for _, d := range waitFor(t, conn, len(reqs)) {
				switch {
				case d.ID == bad.ID && c.sent:
					if d.Err != nil && !errors.Is(d.Err, unio.ErrDisconnected) {
						t.Errorf("%v: %v", c.op, d.Err)
					}
				case d.ID == bad.ID:
					blamed = true
					for _, want := range c.want {
						failedWith(t, d.Err, want, c.op, c.layer, conn)
					}
					saysRemote(t, d.Err, c.cause)
				case d.ID > 1:
					op := reqs[min(int(d.ID), len(reqs)-1)].Op
					if d.ID >= 3 {
						op = reqs[d.ID].Op
					}
					failedWith(t, d.Err, unio.ErrDisconnected, op, c.layer, conn)
					saysRemote(t, d.Err, c.cause)
				case d.Err != nil && !errors.Is(d.Err, unio.ErrDisconnected):
					t.Errorf("request %d, before the one at fault: %v", d.ID, d.Err)
				}
			}
			if !blamed && !c.sent {
				t.Error("the request at fault has no completion")
			}
			brokenBy(t, conn, c.layer, c.cause, "terminated by the peer")
			brokenBy(t, served, c.layer, c.cause, "terminated at this end")
			logged(t, conn, served)
			if err := conn.Channel().Do(context.Background(), unio.Request{Op: unio.OpRead, Region: good, Data: make([]byte, 8)}); !errors.Is(err, unio.ErrDisconnected) {
				t.Errorf("a request after the end: %v", err)
			}
			h.check()
		})
	}
}

const blameLong = 400_000

func saysRemote(t *testing.T, err error, cause iwarp.Cause) {
	t.Helper()
	for _, s := range []string{"terminated by the peer", cause.String()} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

// logged checks that both ends remember what went wrong.
func logged(t *testing.T, conns ...*Conn) {
	t.Helper()
	for _, c := range conns {
		found := false
		for _, r := range c.Device().Errors() {
			found = found || r.Err.Error() == c.Err().Error()
		}
		if !found {
			t.Errorf("the device does not remember %v", c.Err())
		}
	}
}

func allKey(h *host, _ *Conn) Key { return h.all.Key() }

func unknownKey(h *host, _ *Conn) Key {
	k := h.all.Key()
	k.STag ^= 0x00010000
	return k
}

// longerKey says that there is more memory than there is.
func longerKey(h *host, _ *Conn) Key {
	k := h.all.Key()
	k.Size *= 2
	return k
}

// oddKey says that the memory begins somewhere within a word.
func oddKey(h *host, _ *Conn) Key {
	k := h.all.Key()
	k.Base += 3
	k.Size -= 8
	return k
}

func readOnlyKey(h *host, _ *Conn) Key  { return h.expose(h.memory, unio.ReadOnly).Key() }
func writeOnlyKey(h *host, _ *Conn) Key { return h.expose(h.memory, unio.WriteOnly).Key() }

func revokedKey(h *host, _ *Conn) Key {
	e := h.expose(h.memory, unio.ReadWrite)
	_ = e.Revoke()
	return e.Key()
}

func foreignKey(h *host, _ *Conn) Key {
	e, err := h.served.Expose(h.memory, unio.ReadWrite)
	if err != nil {
		h.t.Fatal(err)
	}
	return e.Key()
}

// TestBlameInTheFormOfSiw reads what Linux siw makes of a Terminate: layer and type swapped, flags elsewhere, the size of the
// Read where its number belongs. The request is found by its STag and offset.
func TestBlameInTheFormOfSiw(t *testing.T) {
	l := rawListen(t)
	conn, p := l.meet(rawConfig{SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}}, func(addr string) (*Conn, error) {
		return Dial(t.Context(), addr, Config{})
	})
	reg := attach(t, conn, Key{STag: 0x1200, Base: 0x7f0000000000, Size: 1 << 20}, unio.ReadWrite)
	post(t, conn,
		unio.Request{ID: 1, Op: unio.OpRead, Region: reg, Data: make([]byte, 100)},
		unio.Request{ID: 2, Op: unio.OpRead, Region: reg, Offset: 0x200, Data: make([]byte, 100)},
		unio.Request{ID: 3, Op: unio.OpRead, Region: reg, Offset: 0x400, Data: make([]byte, 100)})
	e, err := p.next()
	for err == nil && e.Segment.Opcode != iwarp.OpReadRequest {
		e, err = p.next()
	}
	if err != nil {
		t.Fatal(err)
	}
	term := iwarp.TerminateRead(e.Read, 28, iwarp.RefuseAccess, 0)
	term.Read.SourceTO += 0x200 // the second one
	term.Swapped, term.Length = true, 28
	p.send(func(s *iwarp.Sender) error { return s.Terminate(term) })
	for _, d := range waitFor(t, conn, 3) {
		want := unio.ErrDisconnected
		if d.ID == 2 {
			want = unio.ErrAccess
		}
		failedWith(t, d.Err, want, unio.OpRead, LayerRDMAP, conn)
	}
	_ = p.conn.Close()
	brokenBy(t, conn, LayerRDMAP, iwarp.CauseAccess, "terminated by the peer")
}
