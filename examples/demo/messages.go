package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/provider/rdma"
)

// A messageRunner sends blocks to a peer, through the channel of one
// connection, and checks that they come back. A job is a Send and a Recv.
type messageRunner struct {
	conn  *rdma.Conn
	mem   *unio.Buffer
	slots []exchange
	spare []uint64 // numbers of the receive blocks that are not posted
	reqs  []unio.Request
	done  []unio.Completion
}

// An exchange is the job that a slot is at. It has ended when its Send has, so
// that the block may be used again, and its answer is there.
type exchange struct {
	job
	posted     time.Time
	sent, back bool
}

// openMessages connects to the peer at addr.
func openMessages(ctx context.Context, addr string, slots int) (runner, error) {
	mem, err := unio.NewBuffer(2 * slots * blockSize)
	if err != nil {
		return nil, err
	}
	conn, err := rdma.Dial(ctx, addr, rdma.Config{Channel: unio.ChannelConfig{Depth: 2 * slots}})
	if err != nil {
		return nil, errors.Join(err, mem.Free())
	}
	m := &messageRunner{conn: conn, mem: mem, slots: make([]exchange, slots), done: make([]unio.Completion, 2*slots)}
	for i := range uint64(slots) {
		m.spare = append(m.spare, i)
	}
	return m, nil
}

// sendBlock and receiveBlock are the memory of request id: Sends have the
// numbers of their slots, Recvs those after them.
func (m *messageRunner) sendBlock(slot uint64) []byte {
	return m.mem.Bytes()[slot*blockSize:][:blockSize]
}

func (m *messageRunner) receiveBlock(i uint64) []byte {
	return m.sendBlock(uint64(len(m.slots)) + i)
}

// pass posts an exchange for every slot, and then, for each that ends, the
// slot's next one.
func (m *messageRunner) pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error {
	now := time.Now()
	m.reqs = m.reqs[:0]
	for s := range m.slots {
		m.next(p, l, uint64(s), now)
	}
	flying := 0
	for len(m.reqs) > 0 || flying > 0 {
		if _, err := m.conn.Channel().Post(m.reqs...); err != nil {
			return err
		}
		flying += len(m.reqs)
		m.reqs = m.reqs[:0]
		n, err := m.conn.Channel().Wait(ctx, m.done)
		if err != nil {
			return err
		}
		flying -= n
		now = time.Now()
		for _, d := range m.done[:n] {
			slot, err := m.finish(d, l)
			if err != nil {
				return err
			}
			if x := &m.slots[slot]; x.sent && x.back {
				h.Record(now.Sub(x.posted).Nanoseconds())
				m.next(p, l, slot, now)
			}
		}
	}
	return nil
}

// next prepares the next exchange of a slot, if there is one.
func (m *messageRunner) next(p plan, l *ledger, slot uint64, now time.Time) {
	j, ok := p(int(slot))
	m.slots[slot] = exchange{job: j, posted: now, back: !ok}
	if !ok {
		return
	}
	l.stamp(j, m.sendBlock(slot))
	l.written(j)
	i := m.spare[len(m.spare)-1]
	m.spare = m.spare[:len(m.spare)-1]
	m.reqs = append(m.reqs,
		unio.Request{ID: uint64(len(m.slots)) + i, Op: unio.OpRecv, Data: m.receiveBlock(i)},
		unio.Request{ID: slot, Op: unio.OpSend, Data: m.sendBlock(slot)})
}

// finish checks what has ended and returns whose it is: a message belongs to
// the slot of the block that it carries, whichever Recv has taken it.
func (m *messageRunner) finish(d unio.Completion, l *ledger) (slot uint64, err error) {
	if d.Err != nil {
		return 0, d.Err
	}
	slots := uint64(len(m.slots))
	if d.ID < slots {
		m.slots[d.ID].sent = true
		return d.ID, nil
	}
	i := d.ID - slots
	m.spare = append(m.spare, i)
	message := m.receiveBlock(i)[:d.N]
	if len(message) != blockSize {
		return 0, fmt.Errorf("a message of %d bytes, not a block", len(message))
	}
	slot = binary.LittleEndian.Uint64(message[numberAt:]) % slots
	x := &m.slots[slot]
	if x.back {
		return 0, fmt.Errorf("block %d has come back twice", x.block)
	}
	x.back = true
	return slot, l.check(x.job, message)
}

func (m *messageRunner) flush(context.Context) error { return nil }

func (m *messageRunner) syscalls() int64 { return m.conn.Channel().Stats().Syscalls }

// Close may be called twice.
func (m *messageRunner) Close() error { return errors.Join(m.conn.Close(), m.mem.Free()) }
