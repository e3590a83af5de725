package unio

import (
	"cmp"
	"fmt"
	"net"
	"sync"
	"time"
)

// StreamConfig configures a Stream. The zero value works.
type StreamConfig struct {
	// LocalAddr and RemoteAddr are what the methods of these names return.
	// Default: an address whose network is "unio" and that names the device.
	LocalAddr, RemoteAddr net.Addr
	// Segment is how many bytes a message of the stream has at most. Both ends
	// must agree on it: the other one sends no longer messages than this one
	// receives. Default 64 KiB.
	Segment int
	// Receives is how many messages may arrive before anybody reads them.
	// Default 8, or less on a channel of little depth.
	Receives int
	// Sends is how many messages may be on their way. Default 8, or less on a
	// channel of little depth. The depth must hold Receives, Sends and one more.
	Sends int
	// Linger is how long Close waits for what was written to leave. Default 5
	// seconds; negative does not wait.
	Linger time.Duration
	// OnClose is called at the end of Close, which returns its error: to close
	// what the channel belongs to.
	OnClose func() error
}

const (
	defaultSegment = 64 << 10
	defaultAhead   = 8
	defaultLinger  = 5 * time.Second
)

// A Stream is a net.Conn over the messages of a channel: bytes in order, until
// one side has no more.
//
// On the wire each message is some bytes of the stream, and an empty message is
// its end. Write copies into registered memory and returns when all of it is
// in messages that are posted; while Sends of them are on their way it waits.
// What goes wrong with them later, later calls return. Read copies out of
// receives that were posted in advance.
//
// All methods may be called from any goroutine at the same time; Reads take
// turns, and so do Writes. There is no goroutine behind a stream: of the calls
// that wait one drives the channel for all. An error other than io.EOF is a
// *net.OpError and wraps the cause: net.ErrClosed (and [ErrClosed]) after
// Close, os.ErrDeadlineExceeded, or the [*OpError] of the request that failed,
// mostly [ErrDisconnected].
type Stream struct {
	ch     *Channel
	cfg    StreamConfig // complete; immutable
	memory *Buffer      // of all messages

	reading sync.Mutex // held by one Read at a time; taken before mu
	writing sync.Mutex // held by one Write at a time; taken before mu

	mu sync.Mutex // guards what follows, and is held for the channel's calls
	streamIn
	streamOut
	streamDriver
	closed bool // Close was called

	closing  sync.Once
	closeErr error // set by closing
}

// NewStream makes a stream of a channel between peers, which then belongs to
// the stream. The channel must not be Pinned ([ErrInvalid]) nor have anything in
// flight ([ErrBusy]). If NewStream fails because the channel takes no receives it
// closes the channel; otherwise that stays the caller's.
func NewStream(ch *Channel, cfg StreamConfig) (*Stream, error) {
	fail := func(err error) (*Stream, error) {
		return nil, fmt.Errorf("stream on %s: %w", ch.dev.info.Name, err)
	}
	if err := cfg.complete(ch); err != nil {
		return fail(err)
	}
	sendSize := int(min(int64(cfg.Segment), ch.dev.info.MaxMessage))
	memory, err := NewBuffer(cfg.Receives*cfg.Segment + cfg.Sends*sendSize)
	if err != nil {
		return fail(err)
	}
	s := &Stream{ch: ch, cfg: cfg, memory: memory}
	s.streamDriver.init(cfg.Receives + cfg.Sends + 1)
	received := cfg.Receives * cfg.Segment
	s.streamIn.init(memory.Bytes()[:received], cfg.Receives)
	s.streamOut.init(memory.Bytes()[received:], cfg.Sends)
	s.mu.Lock()
	s.receive(cfg.Receives)
	err = s.slots[cfg.Receives-1].err
	s.mu.Unlock()
	if err != nil {
		_ = ch.Close()
		_ = memory.Free()
		return fail(err)
	}
	return s, nil
}

// complete checks the configuration against the channel and fills in what is
// left out.
func (c *StreamConfig) complete(ch *Channel) error {
	info, depth := &ch.dev.info, ch.Depth()
	if want := Ops(OpSend, OpRecv); ch.dev.ops&want != want || info.MaxMessage < 1 {
		return fmt.Errorf("%w: a stream needs send and recv, the device offers %v", ErrUnsupported, ch.dev.ops)
	}
	if c.Segment < 0 || c.Receives < 0 || c.Sends < 0 {
		return fmt.Errorf("%w: Segment, Receives and Sends are positive, or 0 for the default", ErrInvalid)
	}
	if ch.cfg.Pinned {
		return fmt.Errorf("%w: the channel is Pinned, and whoever waits drives a stream", ErrInvalid)
	}
	if err := ch.enter(); err != nil {
		return err
	}
	used := ch.inFlight() + ch.ready.len()
	if ch.leave(); used > 0 {
		return fmt.Errorf("%w: %d requests of the channel were not fetched", ErrBusy, used)
	}
	room := depth - 1 // one is for the end of the stream
	c.Segment = cmp.Or(c.Segment, defaultSegment)
	if c.Receives == 0 {
		c.Receives = max(1, min(defaultAhead, room-max(c.Sends, room/2)))
	}
	if c.Sends == 0 {
		c.Sends = max(1, min(defaultAhead, room-c.Receives))
	}
	if c.Receives > room || c.Sends > room-c.Receives {
		return fmt.Errorf("%w: %d receives, %d sends and one more do not fit into a channel of depth %d",
			ErrInvalid, c.Receives, c.Sends, depth)
	}
	if c.LocalAddr == nil {
		c.LocalAddr = streamAddr(info.Name)
	}
	if c.RemoteAddr == nil {
		c.RemoteAddr = streamAddr("peer of " + info.Name)
	}
	c.Linger = cmp.Or(c.Linger, defaultLinger)
	return nil
}

// streamAddr is the net.Addr of what has no other.
type streamAddr string

func (streamAddr) Network() string  { return "unio" }
func (a streamAddr) String() string { return string(a) }

// LocalAddr returns StreamConfig.LocalAddr.
func (s *Stream) LocalAddr() net.Addr { return s.cfg.LocalAddr }

// RemoteAddr returns StreamConfig.RemoteAddr.
func (s *Stream) RemoteAddr() net.Addr { return s.cfg.RemoteAddr }

// opError is what a call returns for err, nil for nil.
func (s *Stream) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: s.cfg.LocalAddr.Network(), Source: s.cfg.LocalAddr, Addr: s.cfg.RemoteAddr, Err: err}
}

// errStreamClosed is ErrClosed for those who test for net.ErrClosed.
var errStreamClosed error = streamClosed{}

type streamClosed struct{}

func (streamClosed) Error() string        { return net.ErrClosed.Error() }
func (streamClosed) Is(target error) bool { return target == ErrClosed || target == net.ErrClosed }
