package rdma

import (
	"errors"
	"fmt"
	"io"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// The layers that errors name: this package, and those of the protocol.
const (
	Layer      unio.Layer = "rdma"
	LayerRDMAP unio.Layer = "rdmap"
	LayerDDP   unio.Layer = "ddp"
	LayerMPA   unio.Layer = "mpa"
	// LayerTarget is the device behind a region that a target serves.
	LayerTarget unio.Layer = "target"
)

// A failure is why a connection has ended.
type failure struct {
	layer  unio.Layer
	cause  error    // of the connection's end
	detail string   // more about it
	blamed *unio.Op // the request in flight that is the reason, if there is one; nil again once all have ended
	clean  bool     // somebody has closed it: nothing is wrong
}

// of is how op fails with the connection.
func (f *failure) of(op *unio.Op, q *queuePair) error {
	e := &unio.OpError{BadByte: -1, Layer: f.layer, Peer: q.remote.String(), Detail: f.detail, Err: unio.ErrDisconnected}
	switch {
	case op == f.blamed && op != nil:
		e.Err = f.cause
	case !errors.Is(f.cause, unio.ErrDisconnected):
		e.Detail = f.cause.Error() + ": " + f.detail
	default:
		e.Err = f.cause // which may say more
	}
	return e
}

// err is what Conn.Err says.
func (f *failure) err(q *queuePair) error {
	text := "connection to " + q.remote.String()
	if f.detail != "" {
		text += ": " + f.detail
	}
	if errors.Is(f.cause, unio.ErrDisconnected) {
		return fmt.Errorf("%s: %s: %w", f.layer, text, f.cause)
	}
	return fmt.Errorf("%s: %s: %w: %w", f.layer, text, unio.ErrDisconnected, f.cause)
}

// layerOf is the layer that a cause on the wire belongs to (RFC 5040 section 4.8).
func layerOf(c iwarp.Cause) unio.Layer {
	switch c >> 12 {
	case 0:
		return LayerRDMAP
	case 1:
		return LayerDDP
	}
	return LayerMPA
}

// errInvalidSTag is all that DDP has to say of a Write that is not permitted.
var errInvalidSTag = fmt.Errorf("%w, or %w", unio.ErrRevoked, unio.ErrAccess)

// errorOf is what a cause on the wire is in this stack.
func errorOf(c iwarp.Cause) error {
	switch c {
	case iwarp.CauseInvalidSTag:
		return unio.ErrRevoked
	case iwarp.CauseTaggedInvalidSTag:
		return errInvalidSTag
	case iwarp.CauseAccess, iwarp.CauseForeignSTag, iwarp.CauseTaggedForeignSTag, iwarp.CauseCannotInvalidate:
		return unio.ErrAccess
	case iwarp.CauseBounds, iwarp.CauseTOWrap, iwarp.CauseTaggedBounds, iwarp.CauseTaggedTOWrap, iwarp.CauseTooLong:
		return unio.ErrOutOfRange
	case iwarp.CauseNoBuffer:
		return unio.ErrBusy
	case iwarp.CauseOpcode:
		return unio.ErrUnsupported
	case iwarp.CauseCRC:
		return unio.ErrChecksum
	}
	return unio.ErrDisconnected
}

// closedHere is the end that Close makes.
func (q *queuePair) closedHere() *failure {
	return &failure{layer: Layer, cause: unio.ErrDisconnected, detail: "closed at this end", clean: true}
}

// lost is the end of a connection whose socket is no longer usable.
func (q *queuePair) lost(err error) *failure {
	f := &failure{layer: Layer, cause: fmt.Errorf("%w: %w", unio.ErrDisconnected, err)}
	if errors.Is(err, io.EOF) {
		f.cause, f.detail = unio.ErrDisconnected, "closed by the peer"
		var middle *iwarp.Error
		if f.clean = !errors.As(q.receiver().Closed(), &middle); !f.clean {
			f.layer, f.detail = LayerMPA, "closed by the peer "+middle.Detail
		}
	}
	return f
}

// fault ends the connection because of what the peer has sent.
func (q *queuePair) fault(e *iwarp.Event) {
	q.terminate(e.Terminate, e.Err.Detail)
}

// reject does the same outside of an event.
func (q *queuePair) reject(c iwarp.Cause) { q.terminate(iwarp.Terminate{Cause: c}, "") }

// refuseLate ends the connection because what is to be read has been revoked meanwhile.
func (q *queuePair) refuseLate(a *answer) {
	q.terminate(iwarp.TerminateRead(a.read, a.msn, iwarp.RefuseSTag, 0), a.read.String())
}

// refuse answers the event that the Receiver has just returned; its next one is a fault.
func (q *queuePair) refuse(why iwarp.Refusal) { _ = q.receiver().Refuse(why) }

// terminate tells the peer what it did wrong, as well as that can still be done.
func (q *queuePair) terminate(t iwarp.Terminate, detail string) {
	text := "terminated at this end: " + t.Cause.String()
	if detail != "" {
		text += ": " + detail
	}
	f := &failure{layer: layerOf(t.Cause), cause: errorOf(t.Cause), detail: text}
	if s, _ := t.Segment(); t.Cause == iwarp.CauseTooLong && s.Queue == 0 && q.in.posted.len() > 0 {
		f.blamed = *q.in.posted.front()
	}
	q.goodbye.word = q.sender().Terminate(t) == nil
	q.fail(f)
}

// terminated ends the connection because the peer says so.
func (q *queuePair) terminated(e *iwarp.Event) {
	t := &e.Terminate
	f := &failure{layer: layerOf(t.Cause), cause: errorOf(t.Cause), detail: e.Err.Error()}
	f.blamed = q.blame(t)
	q.fail(f)
}
