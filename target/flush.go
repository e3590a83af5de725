package target

import (
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// flushes makes one flush of the device do for many of connections. A flush is for what has ended before it begins, so one
// that is under way does not do for those that are asked for meanwhile: together they get the next one.
type flushes struct {
	shared rdma.IO // what lanes carry out; between join or ended, which return it, and ended it is the lane's

	mu       sync.Mutex
	underway bool       // guarded by mu
	group    []*rdma.IO // that the one under way is for; guarded by mu
	next     []*rdma.IO // that another will be for; guarded by mu
	asked    int64      // guarded by mu
	done     int64      // by the device; guarded by mu
}

// join takes a flush, and returns the shared one if a lane is to carry it out now, or nil.
func (f *flushes) join(io *rdma.IO) *rdma.IO {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.underway {
		f.next = append(f.next, io)
		return nil
	}
	f.underway = true
	f.group = append(f.group, io)
	return f.begin()
}

// begin returns the shared flush anew.
func (f *flushes) begin() *rdma.IO {
	f.shared.Op, f.shared.Err = unio.OpFlush, nil
	return &f.shared
}

// ended adds to those that have ended the flushes that the shared one was for, and returns it if it is to be carried out
// once more, or nil.
func (f *flushes) ended(to []*rdma.IO) ([]*rdma.IO, *rdma.IO) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done++
	for i, io := range f.group {
		io.Err = f.shared.Err
		to = append(to, io)
		f.group[i] = nil
	}
	f.group, f.next = f.next, f.group[:0]
	if f.underway = len(f.group) > 0; !f.underway {
		return to, nil
	}
	return to, f.begin()
}

func (f *flushes) counts() (asked, done int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked, f.done
}
