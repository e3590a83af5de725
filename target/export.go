package target

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// An export is an [Export] that is being served: its region, its lanes, its memory.
type export struct {
	name    string           // immutable
	region  *unio.Region     // immutable
	info    rdma.StoreInfo   // immutable
	memory  *arena           // immutable
	flushes flushes          // shared by the lanes
	finish  func([]*rdma.IO) // the target's; immutable
	ended   *sync.Pool       // likewise
	all     *sync.WaitGroup  // likewise

	// growing is held while a lane is being opened, which may take time. Before the roster's mu.
	growing sync.Mutex

	// What follows is guarded by the roster's mu.

	settings Export
	lanes    []*lane // one at least; grows as connections come
	load     []int   // connections, by lane
	users
	revoked bool // nobody may attach it any more
	over    bool // and nobody has it any more
}

// users are the connections of an export.
type users struct {
	clients  int                             // how many there are
	reserved int64                           // bytes that are set aside for them
	patterns [rdma.PatternSequential + 1]int // how many, by their hint
}

// maxLanes of an export; and no more than there are processors.
const maxLanes = 8

// openExport attaches the region of a checked Export, with as many rights as its device gives: what clients may do is another
// matter, and may change.
func openExport(x Export, t *Target) (*export, error) {
	info := x.Device.Info()
	rights := unio.ReadWrite
	if info.ReadOnly {
		rights = unio.ReadOnly
	}
	reg, err := x.Device.Attach(context.Background(), x.Region, rights)
	if err != nil {
		return nil, err
	}
	e := &export{
		name: x.Name, region: reg, settings: x, finish: t.finish, ended: &t.ended, all: &t.all,
		info: rdma.StoreInfo{Ops: (info.Native | info.Provided) & unio.AllOps, AtomicUnit: info.AtomicUnit, Persistence: info.Persistence},
	}
	first, err := e.openLane()
	if err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	if e.memory, err = newArena(t.pool); err != nil {
		return nil, errors.Join(err, first.revoke(), reg.Close())
	}
	e.add(first)
	t.all.Go(e.memory.usher)
	return e, nil
}

// openLane opens one more channel.
func (e *export) openLane() (*lane, error) {
	l, err := newLane(e.region)
	if err != nil {
		return nil, err
	}
	l.flushes, l.finish, l.ended = &e.flushes, e.finish, e.ended
	l.handOff = mayWait(e.region.Device().Info())
	e.all.Go(l.run)
	return l, nil
}

// add makes a lane one of the export's.
func (e *export) add(l *lane) {
	e.lanes = append(e.lanes, l)
	e.load = append(e.load, 0)
}

// mayWait reports whether operations on the device may wait for its medium while they are posted: mapped files do, which are
// read by touching them.
func mayWait(i unio.Info) bool { return strings.HasSuffix(i.Provider, "dax") }

// grow opens another lane if there are fewer than connections and processors. It does not wait for who is at it already.
func (e *export) grow(r *roster) {
	if !e.growing.TryLock() {
		return
	}
	defer e.growing.Unlock()
	r.mu.Lock()
	wanted := !e.revoked && len(e.lanes) <= e.clients && len(e.lanes) < min(maxLanes, runtime.GOMAXPROCS(0))
	r.mu.Unlock()
	if !wanted {
		return
	}
	l, err := e.openLane()
	if err != nil {
		return // it works without
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.add(l) // revoke has to wait for growing
}

// lightest returns the index of the lane that the fewest connections use. The roster's mu is held.
func (e *export) lightest() int {
	least := 0
	for i := range e.load {
		if e.load[i] < e.load[least] {
			least = i
		}
	}
	return least
}

// revoke ends the export: when it returns, no operation is in flight, and the region is closed. Connections stay; they get
// [unio.ErrRevoked].
func (e *export) revoke(r *roster) error {
	sessions := r.revoke(e)
	for _, s := range sessions {
		s.service.Revoke()
		s.giveUp()
	}
	e.growing.Lock()
	defer e.growing.Unlock()
	errs := make([]error, len(e.lanes)) // nobody adds to them any more
	var wg sync.WaitGroup
	for i, l := range e.lanes {
		wg.Go(func() { errs[i] = l.revoke() })
	}
	wg.Wait()
	if err := errors.Join(errors.Join(errs...), e.region.Close()); err != nil {
		return fmt.Errorf("export %q: %w", e.name, err)
	}
	return nil
}
