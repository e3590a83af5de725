//go:build !linux

package file

import (
	"errors"

	"github.com/unio-stack/unio"
)

// A worker's own memory, of which it needs none here.
type worker struct{}

// perform carries out one operation by blocking system calls.
func (m *medium) perform(_ *worker, op *unio.Op) (int64, error) {
	switch op.Op {
	case unio.OpRead, unio.OpWrite:
		return m.transfer(op)
	case unio.OpFlush:
		if err := m.f.Sync(); err != nil { // F_FULLFSYNC on darwin
			return 0, m.fail(causeOf(err))
		}
		return 0, m.flushed()
	}
	return 0, unio.ErrUnsupported
}

func (m *medium) transfer(op *unio.Op) (done int64, err error) {
	vec := op.Vec
	if vec == nil {
		vec = [][]byte{op.Data}
	}
	for _, p := range vec {
		var n int
		if op.Op == unio.OpRead {
			n, err = m.f.ReadAt(p, op.Offset+done)
		} else {
			n, err = m.f.WriteAt(p, op.Offset+done)
		}
		done += int64(n)
		if n < len(p) {
			break
		}
	}
	if op.Op == unio.OpRead && done == 0 {
		return 0, m.errShort(op)
	}
	if done > 0 || errors.Is(err, errors.ErrUnsupported) {
		return done, nil
	}
	return 0, causeOf(err)
}
