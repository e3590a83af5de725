package mem

import (
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio/internal/memory"
)

// lines is a synchronous mapping: what was written is durable once its cache
// lines are written back. The program itself has to know which those are.
type lines struct {
	mem   []byte // the mapping; immutable
	dirty dirtyPages
	lost  loss
	// holes says that the file system has to be told to keep what was freed:
	// MAP_SYNC is about the blocks that a fault allocates.
	holes atomic.Bool

	// The processor and the file system; tests put their own. immutable
	writeBack func([]byte)
	fence     func()
	sync      func() error

	// mu keeps a flush from ending while another still writes back what this
	// one then found clean.
	mu sync.Mutex
}

func newLines(d *device) *lines {
	return &lines{
		mem: d.mem, dirty: newDirtyPages(int64(len(d.mem))),
		writeBack: memory.WriteBack, fence: memory.Fence, sync: d.file.Sync,
	}
}

func (l *lines) wrote(off, n int64) { l.dirty.add(off, n) }
func (l *lines) freed()             { l.holes.Store(true) }
func (l *lines) syscalls() int64    { return 0 }

// persist panics with a fault if the range is gone.
func (l *lines) persist(off, n int64) error {
	if err := l.lost.earlier(); err != nil {
		return err
	}
	if l.holes.Load() {
		if err := l.keepHoles(); err != nil {
			return err
		}
	}
	l.writeBack(l.mem[off : off+n])
	l.fence()
	return nil
}

// flush returns an error, and does not panic, if a dirty page is gone: a later
// flush has to know.
func (l *lines) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.lost.earlier(); err != nil {
		return err
	}
	err := memory.Guard(func() {
		l.dirty.take(func(off, n int64) { l.writeBack(l.mem[off:min(off+n, int64(len(l.mem)))]) })
		l.fence()
	})
	if err != nil {
		return l.lost.remember(err)
	}
	if l.holes.Swap(false) {
		if err := l.sync(); err != nil {
			return l.lost.remember(err)
		}
	}
	return nil
}

// keepHoles makes durable what was freed.
func (l *lines) keepHoles() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holes.Swap(false) {
		if err := l.sync(); err != nil {
			return l.lost.remember(err)
		}
	}
	return nil
}
