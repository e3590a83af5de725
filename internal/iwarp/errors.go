package iwarp

import (
	"errors"
	"fmt"
)

// Why a connection could not be set up. The connection is to be closed; test with errors.Is.
var (
	// ErrFrame: the peer's frame is no Request or Reply of a form that RFC 5044 and RFC 6581 know.
	ErrFrame = errors.New("malformed MPA frame")
	// ErrRevision: the peer speaks a revision of MPA other than 1 and 2.
	ErrRevision = errors.New("unsupported MPA revision")
	// ErrEnhanced: the peer answered an enhanced Request with a plain Reply. Try again with SetupConfig.Plain.
	ErrEnhanced = errors.New("peer does not know the enhanced connection setup")
	// ErrMarkers: the peer insists on markers, which are not supported.
	ErrMarkers = errors.New("peer requires markers")
	// ErrCRC: the peer insists on CRCs, which SetupConfig.CRC refuses.
	ErrCRC = errors.New("peer requires CRCs")
	// ErrDepth: the peer supports too few outstanding reads, or wants to have more than we support.
	ErrDepth = errors.New("IRD and ORD do not match")
	// ErrRTR: there is no ready-to-receive message that both sides support.
	ErrRTR = errors.New("no matching RTR option")
	// ErrEarly: the initiator sent more before the Reply.
	ErrEarly = errors.New("octets before the connection setup was over")
	// ErrRejected: the responder's application rejected the connection; its private data may say why.
	ErrRejected = errors.New("connection rejected by the peer")
	// ErrTimeout: the caller reported that the peer's frame did not come in time.
	ErrTimeout = errors.New("peer did not answer in time")
	// ErrClosed: the caller reported the end of the connection where none was due.
	ErrClosed = errors.New("connection closed by the peer")
	// ErrConfig: a configuration contradicts itself or exceeds a limit.
	ErrConfig = errors.New("invalid configuration")
)

// Why a message could not be sent, or an event not be answered. The stream goes on as before.
var (
	// ErrPending: the message before has not been cut to its end yet; call Fill first.
	ErrPending = errors.New("previous message is not finished")
	// ErrOutstanding: as many requests as ORD permits wait for their response; one more may go after a response.
	ErrOutstanding = errors.New("ORD requests are outstanding")
	// ErrNotReady: a responder may not send before it has received the first FPDU, nor an initiator that owes an RTR
	// before that.
	ErrNotReady = errors.New("stream is not ready to send")
	// ErrTerminated: a Terminate has been sent; nothing may follow it.
	ErrTerminated = errors.New("stream was terminated")
	// ErrLength: the payload is larger than a message can be, its offset wraps, or its size is not the announced one.
	ErrLength = errors.New("invalid length")
	// ErrMisuse: the call does not fit the state of the stream.
	ErrMisuse = errors.New("call out of place")
)

// An Error is why a stream ended.
type Error struct {
	// Cause is what the Terminate message says, or would say where it is never sent.
	Cause Cause
	// Remote is true if the peer found the error, in what we sent.
	Remote bool
	// Detail names the message and the fields that were at fault; empty if unknown.
	Detail string
}

func (e *Error) Error() string {
	by := "terminated: "
	if e.Remote {
		by = "terminated by the peer: "
	}
	if e.Detail == "" {
		return by + e.Cause.String()
	}
	return by + e.Cause.String() + ": " + e.Detail
}

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}
