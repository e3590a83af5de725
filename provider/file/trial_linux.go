package file

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
	"github.com/unio-stack/unio/internal/uring"
	"golang.org/x/sys/unix"
)

// tryRing makes a queue as channels get it and has its ring do something, so
// that a refusal of any part of io_uring shows when the device is opened.
func (m *medium) tryRing(setup uring.Config) error {
	q, err := newRingQueue(m, nil, setup, unio.QueueConfig{Depth: 1})
	if err != nil {
		return err
	}
	if setup.IOPoll {
		err = q.tryPolledRead()
	} else {
		q.ring.Next().Nop()
		_, err = q.runTrial()
	}
	return errors.Join(err, q.Close())
}

// runTrial submits the prepared entry and waits for its completion.
func (q *ringQueue) runTrial() (uring.CQE, error) {
	for {
		if _, err := q.ring.SubmitAndWait(1, -1); err != nil {
			return uring.CQE{}, err
		}
		if q.ring.Reap(q.cqes[:1]) == 1 { // not yet, if a signal came first
			return q.cqes[0], nil
		}
	}
}

// tryPolledRead reads the first block by polling: whether that can be, only the
// file system and the driver know.
func (q *ringQueue) tryPolledRead() error {
	b, err := memory.Alloc(max(q.m.blockSize, q.m.memoryAlign))
	if err != nil {
		return err
	}
	defer b.Free()
	sqe := q.ring.Next()
	sqe.Read(0, unsafe.Pointer(unsafe.SliceData(b.Bytes())), uint32(q.m.blockSize), 0)
	sqe.SetFlags(uring.SQEFixedFile)
	cqe, err := q.runTrial()
	if err != nil {
		return err
	}
	if errno := cqe.Err(); errors.Is(errno, unix.EOPNOTSUPP) || errors.Is(errno, unix.EINVAL) {
		return fmt.Errorf("iopoll: the file system or its device cannot be polled: %w", errno)
	}
	return nil
}
