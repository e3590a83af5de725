package rdma

import (
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// PeerInfo is what the two ends of a connection have agreed on.
type PeerInfo struct {
	Unio     bool // the peer runs this package: credits, atomics, immediate data
	CRC      bool // FPDUs carry CRCs
	TLS      bool
	Revision int // of MPA
	IRD      int // Reads and atomics of the peer that may wait for their response
	ORD      int // and of ours
	// MaxMessage is the longest Send that the peer takes, in bytes.
	MaxMessage int
}

// largeFPDU is the size of FPDUs between peers of ours: payload of 15 pages.
const largeFPDU = 15*pageSize + 20

// establish makes a connection of what was agreed on. It takes the socket over.
func (m *meeting) establish(a agreement, d *Domain) (*queuePair, error) {
	s, err := newSocket(m.tcp, m.cfg.Congestion, m.unacknowledged(&a))
	if err != nil {
		return nil, err
	}
	q := m.q
	q.domain, q.local, q.remote, q.initiator = d, m.tcp.LocalAddr(), m.tcp.RemoteAddr(), a.settings.Initiator
	q.alive, q.longest, q.sink, q.wire = m.cfg.KeepAlive, m.cfg.MaxMessage, randomSTag(), s
	q.wakeUp, q.ended = make(chan struct{}, 1), make(chan struct{})
	q.peer = PeerInfo{
		Unio: a.peer != nil, CRC: a.settings.CRC, TLS: m.tls != nil, Revision: int(a.settings.Revision),
		IRD: int(a.settings.IRD), ORD: int(a.settings.ORD), MaxMessage: largestMessage,
	}
	if m.tls != nil {
		m.tls.pipe.wire, m.tls.pipe.Conn = s, nil
		q.wire = m.tls
	}
	fpdu := max(iwarp.MinFPDU, min(s.segment(), iwarp.MaxFPDU))
	if p := a.peer; p != nil {
		q.peer.MaxMessage = int(p.message)
		q.page.ours, q.page.theirs = m.ours.control, p.control
		fpdu = largeFPDU
	}
	if q.own.credits.unlimited = a.peer == nil; q.own.credits.unlimited {
		q.in.owed = earlyMessages
	}
	// A peer of ours may wait for our first FPDU, and an RTR is not always owed.
	q.silence.probe = q.initiator && a.settings.RTR == 0 && a.peer != nil && q.peer.ORD > 0
	config := iwarp.StreamConfig{MaxFPDU: fpdu, Extensions: a.peer != nil, Tolerant: a.peer == nil}
	if m.service != nil {
		q.served = &served{service: m.service, exposure: m.exposure}
		config.Segments = true
		if q.agreed = m.ours.features&featureStorage != 0; q.agreed {
			q.in.limit = maxCommands
		}
	}
	if m.cfg.features&featureStorage != 0 && a.peer != nil && a.peer.features&featureStorage != 0 {
		k, err := memoryOf(a.data)
		if err != nil {
			_ = s.close()
			return nil, err
		}
		q.agreed, q.home, config.Declined = true, &k, true
	}
	if a.settings.RTR == iwarp.RTRRead {
		q.own.ahead = 1
	}
	q.stream, err = iwarp.NewStream(a.settings, config)
	if err == nil {
		err = q.start(a.early)
	}
	if err != nil {
		_ = s.close()
		return nil, err
	}
	return q, nil
}

// unacknowledged is how long TCP waits for what was sent to be taken; 0: as long as the system has it. A target whose device
// stalls takes nothing, and lives: only its silence counts.
func (m *meeting) unacknowledged(a *agreement) time.Duration {
	if m.cfg.features&featureStorage != 0 && a.settings.ORD > 0 {
		return 0
	}
	return m.cfg.KeepAlive
}

// start lets the connection work. early is what came behind the Reply.
func (q *queuePair) start(early []byte) error {
	q.domain.admit(q)
	if err := q.domain.watchers.watch(q); err != nil {
		q.domain.dismiss(q)
		return err
	}
	q.mu.Lock()
	defer q.release()
	q.take(early)
	q.progress(turns) // TLS may have read more than the Reply
	q.attend()
	q.listen()
	return nil
}

// info describes the connection as a device.
func (q *queuePair) info(depth int) unio.Info {
	i := unio.Info{
		Provider: "rdma", Name: q.remote.String(), Engine: "iwarp", Reason: "the protocol of RDMA over TCP",
		Native:      unio.Ops(unio.OpWrite, unio.OpSend, unio.OpRecv),
		MaxTransfer: maxTransfer, MaxMessage: int64(q.peer.MaxMessage), MaxDepth: maxDepth, Shared: true,
	}
	if q.peer.ORD > 0 {
		i.Native |= unio.Ops(unio.OpRead)
	} else {
		i.Notes = append(i.Notes, "the peer permits no Reads, so a Write is complete when TCP has it")
	}
	switch {
	case !q.peer.Unio:
		i.Notes = append(i.Notes, "the peer is of other make: no credits, no atomics, no immediate data")
	case q.peer.ORD > 0:
		i.Native |= unio.Ops(unio.OpCompareSwap, unio.OpFetchAdd, unio.OpImmediate)
	default:
		i.Native |= unio.Ops(unio.OpImmediate)
	}
	return i
}

// maxTransfer is the longest message in bytes: longer Reads and Writes are several.
const maxTransfer = 1 << 30
