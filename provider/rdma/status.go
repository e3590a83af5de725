package rdma

import (
	"encoding/binary"
	"errors"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// causes are the errors that a target tells its peer, by the number they have on the wire. Numbers are never given anew.
var causes = [...]error{
	1: unio.ErrOutOfRange, 2: unio.ErrAccess, 3: unio.ErrRevoked, 4: unio.ErrMedia, 5: unio.ErrChecksum, 6: unio.ErrCanceled,
	7: unio.ErrTimeout, 8: unio.ErrNoSpace, 9: unio.ErrBusy, 10: unio.ErrUnsupported, 11: unio.ErrDisconnected,
	12: unio.ErrClosed, 13: unio.ErrInvalid, 14: unio.ErrMisaligned,
}

// codeOf is the number of an error; 0 for none. What is not known is the medium's.
func codeOf(err error) uint32 {
	if err == nil {
		return 0
	}
	if code := knownCode(err); code != 0 {
		return code
	}
	return 4
}

// knownCode is the number of an error; 0 if it has none.
func knownCode(err error) uint32 {
	for code, cause := range causes {
		if cause != nil && errors.Is(err, cause) {
			return uint32(code)
		}
	}
	return 0
}

// causeOf is the error of that number; nil if it is nobody's that is known here.
func causeOf(code uint32) error {
	if code >= uint32(len(causes)) {
		return nil
	}
	return causes[code]
}

// badByte is the offset in the region of the first byte that failed, or -1.
func badByte(err error) int64 {
	if err == nil {
		return -1
	}
	if e := (*unio.OpError)(nil); errors.As(err, &e) {
		return e.BadByte
	}
	return -1
}

// remoteError is what a target has told us.
func (q *queuePair) remoteError(code uint32, bad int64) error {
	if code == 0 {
		return nil
	}
	cause := causeOf(code)
	if cause == nil {
		cause = unio.ErrMedia
	}
	return &unio.OpError{Layer: LayerTarget, Peer: q.remote.String(), BadByte: bad, Err: cause}
}

// A status tells the peer that a Write has failed, or, with subject 0, that the next response is for one that has.
type status struct {
	subject uint32 // number of the Write, from 1 on
	code    uint32
	bad     int64
}

const (
	registerStatus = 16 // of the control page
	statusSize     = 16
)

func (s *status) put(b []byte) {
	binary.BigEndian.PutUint32(b, s.code)
	binary.BigEndian.PutUint32(b[4:], s.subject)
	binary.BigEndian.PutUint64(b[8:], uint64(s.bad))
}

// beginStatus tells the peer of the oldest failure.
func (q *queuePair) beginStatus() bool {
	s := q.served
	if s == nil || s.statuses.len() == 0 {
		return false
	}
	s.statuses.front().put(q.page.update[:])
	if q.sender().Write(q.page.theirs, registerStatus, iwarp.Payload{Data: q.page.update[:statusSize]}) != nil {
		return false
	}
	s.statuses.pop()
	return true
}

// toldStatus takes the status that the target has written to our page.
func (q *queuePair) toldStatus() {
	b := q.page.content[registerStatus:]
	err := q.remoteError(binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint64(b[8:])))
	subject := binary.BigEndian.Uint32(b[4:])
	if subject == 0 {
		q.own.declined = err
		return
	}
	if i := int(int32(subject - q.own.placed - 1)); i >= 0 && i < q.own.unplaced.len() {
		if w := q.own.unplaced.at(i); w.err == nil {
			w.err = err
		}
	}
}
