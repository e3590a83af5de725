package unio

// Stats is what a channel, or a device over all its channels, has done.
type Stats struct {
	Posted       int64 `json:"posted"`        // requests accepted
	Completed    int64 `json:"completed"`     // requests ended, whatever their status
	Failed       int64 `json:"failed"`        // of those, with an error
	BytesRead    int64 `json:"bytes_read"`    // read and received by successful requests
	BytesWritten int64 `json:"bytes_written"` // written and sent by successful requests
	BouncedBytes int64 `json:"bounced_bytes"` // copied for the caller on the way
	Assisted     int64 `json:"assisted"`      // requests carried out in several steps
	Doorbells    int64 `json:"doorbells"`     // batches handed to the device
	Syscalls     int64 `json:"syscalls"`      // system calls on the data path
	Inline       int64 `json:"inline"`        // operations that ended while they were posted
	Sleeps       int64 `json:"sleeps"`        // times an owner slept for a completion
	Misuse       int64 `json:"misuse"`        // calls refused because of another owner
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Posted += o.Posted
	s.Completed += o.Completed
	s.Failed += o.Failed
	s.BytesRead += o.BytesRead
	s.BytesWritten += o.BytesWritten
	s.BouncedBytes += o.BouncedBytes
	s.Assisted += o.Assisted
	s.Doorbells += o.Doorbells
	s.Syscalls += o.Syscalls
	s.Inline += o.Inline
	s.Sleeps += o.Sleeps
	s.Misuse += o.Misuse
}

// counts are a channel's statistics, plain fields that its token guards.
type counts struct {
	completed, failed, read, written int64
	bounced, assisted, doorbells     int64
	sleeps                           int64
	queue                            Counters // as of Close
}

func (n *counts) ended(op *Op) {
	n.completed++
	if op.err != nil {
		n.failed++
		return
	}
	switch op.Op {
	case OpRead, OpRecv:
		n.read += op.n
	case OpWrite, OpSend, OpAppend, OpWriteAtomic:
		n.written += op.n
	}
}

// Stats returns what the channel has done so far. It may be called from any
// goroutine, also after Close.
func (c *Channel) Stats() (s Stats) {
	c.insist(func() {
		q := c.counts.queue
		if !c.closed {
			q = c.q.Counters()
		}
		n := &c.counts
		s = Stats{
			Posted: int64(c.seq), Completed: n.completed, Failed: n.failed,
			BytesRead: n.read, BytesWritten: n.written, BouncedBytes: n.bounced,
			Assisted: n.assisted, Doorbells: n.doorbells, Sleeps: n.sleeps,
			Syscalls: q.Syscalls, Inline: q.Inline, Misuse: c.misuse.Load(),
		}
	})
	return s
}
