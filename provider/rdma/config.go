package rdma

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// CRC says whether FPDUs carry CRCs (RFC 5044 section 4.4). Both directions of a connection do, or neither does.
type CRC uint8

const (
	// CRCDefault asks for CRCs when dialing, and follows the peer when listening.
	CRCDefault CRC = iota
	// CRCRequired asks for CRCs on both sides. Linux siw follows, unless it is told to refuse.
	CRCRequired
	// CRCOff never asks, and refuses a peer that does.
	CRCOff
)

// String returns the policy's name.
func (c CRC) String() string {
	switch c {
	case CRCDefault:
		return "default"
	case CRCRequired:
		return "on"
	case CRCOff:
		return "off"
	}
	return fmt.Sprintf("crc(%d)", uint8(c))
}

func (c CRC) policy(initiator bool) iwarp.CRCPolicy {
	switch {
	case c == CRCOff:
		return iwarp.CRCNever
	case c == CRCRequired || initiator:
		return iwarp.CRCAlways
	}
	return iwarp.CRCIfAsked
}

// A Config configures one end. The zero value works.
type Config struct {
	// Domain says what memory the peer may reach, and has the watcher of idle connections. Default: a Domain of its own for
	// each Listener and each Conn dialed; programs that dial many share one.
	Domain *Domain
	// Channel configures the Conn's channel.
	Channel unio.ChannelConfig
	// TLS wraps the connection in TLS 1.3; a server asks for client certificates if its ClientAuth says so. Default: none.
	TLS *tls.Config
	// CRC is about checksums beside TCP's.
	CRC CRC
	// PrivateData goes with the Request of Dial: at most 224 octets, or 248 with Verbs.
	PrivateData []byte
	// Decide, at a Listener, returns the private data of the Reply, or an error to reject the connection; the error's text,
	// cut to fit, is then the private data. It may be called by several goroutines at a time. Default: accept, with no data.
	Decide func(*Incoming) ([]byte, error)
	// Serve, at a Listener, is called instead of Decide, and makes the Listener's connections storage: each gets the Service that
	// Serve returns, or is rejected with the error. Accept returns none of them.
	Serve func(*Incoming) (*Service, error)
	// OnFailure, at a Listener, is told of each peer that no connection was made with, and why, as [Listener.Failures] counts
	// them; but not of those that Decide or Serve have rejected. peer is nil if the system did not give the connection. It may
	// be called by several goroutines at a time, and must not wait.
	OnFailure func(peer net.Addr, err error)
	// Hints, of OpenRegion, tell the target how each channel is going to be used.
	Hints Hints
	// IRD is how many Reads and atomics of the peer may wait for their response at a time, ORD how many of ours. Default
	// 128, and for ORD no more than the channel's depth has use for; at most 16382.
	IRD, ORD int
	// Plain makes Dial use revision 1 of MPA, which negotiates neither IRD nor ORD.
	Plain bool
	// Verbs hides from the peer that it is one of ours: plain iWARP with everyone.
	Verbs bool
	// HandshakeTimeout bounds the connection setup, TLS included. Default 5 s.
	HandshakeTimeout time.Duration
	// KeepAlive is within what time a peer that does not answer any more is found, and its connection ended. Default 10 s;
	// negative: never.
	KeepAlive time.Duration
	// MaxMessage is the longest message that is taken, in bytes. Default 16 MiB; at most 1 GiB.
	MaxMessage int
	// Congestion is the congestion control of the connection's TCP, such as "cubic". Default: the system's.
	Congestion string

	features uint16 // of the trailer
}

// Incoming is a peer that asks for a connection.
type Incoming struct {
	// PrivateData is what came with its Request, without what this package added. It is the callee's.
	PrivateData []byte
	RemoteAddr  net.Addr
	// TLS is nil without TLS.
	TLS *tls.ConnectionState
	// Unio says that the peer runs this package.
	Unio bool
	// Region is what PrivateData names, if it is text: all of it up to the first NUL.
	Region string
	// ReadOnly says that a peer of ours asks for no more than to read.
	ReadOnly bool
	// Hints are those of a peer of ours that asks for a region.
	Hints Hints
}

const (
	defaultDepth      = 64 // of a channel, as package unio has it
	defaultReads      = 128
	leastReads        = 4 // some are for what we ask ourselves
	defaultMaxMessage = 16 << 20
	largestMessage    = 1 << 30
	defaultHandshake  = 5 * time.Second
	defaultKeepAlive  = 10 * time.Second
	maxDepth          = 1 << 14
)

// withDefaults checks the configuration and returns it with nothing left open but Domain.
func (c Config) withDefaults() (Config, error) {
	if c.Channel.Depth == 0 {
		c.Channel.Depth = defaultDepth
	}
	switch {
	case c.CRC > CRCOff:
		return c, fmt.Errorf("%w: CRC policy %d", unio.ErrInvalid, c.CRC)
	case c.Channel.Depth < 0 || c.Channel.Depth > maxDepth:
		return c, fmt.Errorf("%w: channel depth %d: 1 to %d are possible", unio.ErrInvalid, c.Channel.Depth, maxDepth)
	case c.IRD < 0 || c.IRD > iwarp.MaxDepth, c.ORD < 0 || c.ORD > iwarp.MaxDepth:
		return c, fmt.Errorf("%w: IRD %d and ORD %d: 0 to %d are possible", unio.ErrInvalid, c.IRD, c.ORD, iwarp.MaxDepth)
	case c.MaxMessage < 0 || c.MaxMessage > largestMessage:
		return c, fmt.Errorf("%w: MaxMessage %d: at most %d bytes are possible", unio.ErrInvalid, c.MaxMessage, largestMessage)
	case len(c.PrivateData) > c.privateRoom():
		return c, fmt.Errorf("%w: %d octets of private data; at most %d fit", unio.ErrInvalid, len(c.PrivateData), c.privateRoom())
	}
	if err := c.Hints.check(); err != nil {
		return c, err
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMaxMessage
	}
	if c.IRD == 0 {
		c.IRD = defaultReads
	}
	if c.ORD == 0 {
		c.ORD = min(defaultReads, max(c.Channel.Depth, leastReads))
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = defaultHandshake
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	return c, nil
}

// privateRoom is how many octets of private data are the application's.
func (c *Config) privateRoom() int {
	if c.Verbs {
		return iwarp.SafePrivateData
	}
	return iwarp.SafePrivateData - trailerSize
}

// setup is the part of the configuration that MPA negotiates.
func (c *Config) setup(initiator bool) iwarp.SetupConfig {
	s := iwarp.SetupConfig{CRC: c.CRC.policy(initiator), IRD: uint16(c.IRD), ORD: uint16(c.ORD)}
	if initiator {
		s.Plain = c.Plain
		if !c.Plain {
			s.RTR = iwarp.RTRWrite | iwarp.RTRRead
		}
	}
	return s
}
