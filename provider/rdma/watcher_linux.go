package rdma

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A watcher looks after the sockets that nobody polls: one goroutine, parked in the Go runtime's poller on an epoll(7)
// descriptor of its own.
type watcher struct {
	fd   int      // epoll
	file *os.File // around fd
	wait syscall.RawConn
	stop int           // an eventfd, written once to end run
	done chan struct{} // closed when run has ended
	refs int           // connections; guarded by watchers.mu

	mu      sync.Mutex
	pairs   []*queuePair // by watch.id; nil where free; guarded by mu
	free    []int32      // guarded by mu
	polled  []*queuePair // whose owners poll; guarded by mu
	looking bool         // a look is due; guarded by mu
	again   *time.Timer  // calls look; immutable

	// owned by run
	events [64]unix.EpollEvent
	count  int                // of events
	try    func(uintptr) bool // sets count; made once, so that waiting does not allocate
	hot    []*queuePair
}

// stopID is what the eventfd is registered as.
const stopID = -1

// watch gives q a watcher, and starts it if it has to. Nobody else knows q yet.
func (ws *watchers) watch(q *queuePair) error {
	w, err := ws.pick()
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watch.by, q.watch.id = w, w.enter(q)
	if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, q.wire.descriptor(), &unix.EpollEvent{Fd: q.watch.id}); err != nil {
		q.unwatch()
		return os.NewSyscallError("epoll_ctl", err)
	}
	q.attend()
	return nil
}

// pick returns a watcher for one more connection.
func (ws *watchers) pick() (*watcher, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.all) < min(maxWatchers, runtime.GOMAXPROCS(0)) {
		w, err := newWatcher()
		if err != nil {
			return nil, err
		}
		w.refs = 1
		ws.all = append(ws.all, w)
		return w, nil
	}
	ws.next++
	w := ws.all[ws.next%len(ws.all)]
	w.refs++
	return w, nil
}

// dismiss says that a connection of w is over. The last one ends w: what is returned then is closed when nothing of it runs
// any more.
func (ws *watchers) dismiss(w *watcher) <-chan struct{} {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.refs--
	if w.refs > 0 {
		return nil
	}
	ws.all = slices.DeleteFunc(ws.all, func(o *watcher) bool { return o == w })
	w.end()
	return w.done
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	w := &watcher{fd: fd, stop: stop, done: make(chan struct{})}
	w.try = func(uintptr) bool {
		w.count = w.ready()
		return w.count > 0
	}
	w.again = time.AfterFunc(time.Hour, w.look)
	w.again.Stop()
	_ = unix.SetNonblock(fd, true) // so that the runtime's poller takes it
	w.file = os.NewFile(uintptr(fd), "epoll")
	w.wait, err = w.file.SyscallConn()
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, stop, &unix.EpollEvent{Fd: stopID, Events: unix.EPOLLIN})
	}
	if err != nil {
		_, _ = w.file.Close(), unix.Close(stop)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	go w.run()
	return w, nil
}

// end makes run return. Whoever waits for done knows that the descriptors are closed.
func (w *watcher) end() {
	one := [8]byte{1, 1}
	_, _ = unix.Write(w.stop, one[:]) // never full
}

func (w *watcher) enter(q *queuePair) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.free); n > 0 {
		id := w.free[n-1]
		w.free = w.free[:n-1]
		w.pairs[id] = q
		return id
	}
	w.pairs = append(w.pairs, q)
	return int32(len(w.pairs) - 1)
}

// remove forgets a connection whose descriptor is about to be closed.
func (w *watcher) remove(id int32, fd int) {
	_ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, fd, nil)
	w.mu.Lock()
	w.pairs[id] = nil
	w.free = append(w.free, id)
	w.mu.Unlock()
}

// arm asks the system to tell once of what happens.
func (w *watcher) arm(fd int, id int32, reads, writes bool) {
	e := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: id}
	if reads {
		e.Events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if writes {
		e.Events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_MOD, fd, &e) // both are open and known to each other
}

// lookSoon has q looked at after a while.
func (w *watcher) lookSoon(q *queuePair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polled = append(w.polled, q)
	if !w.looking {
		w.looking = true
		w.again.Reset(lookEvery)
	}
}

// look finds out which owners do not poll any more.
func (w *watcher) look() {
	w.mu.Lock()
	polled := w.polled
	w.polled = nil
	w.mu.Unlock()
	still := slices.DeleteFunc(polled, func(q *queuePair) bool { return !q.look() })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polled = append(w.polled, still...)
	if w.looking = len(w.polled) > 0; w.looking {
		w.again.Reset(lookEvery)
	}
}

// run moves on the connections of which the system tells, and polls them for a while.
func (w *watcher) run() {
	defer close(w.done)
	for {
		n := w.next()
		for i := range n {
			if w.events[i].Fd == stopID {
				_, _ = w.file.Close(), unix.Close(w.stop)
				return
			}
			w.event(w.events[i].Fd)
		}
		if len(w.hot) > 0 {
			w.poll()
		}
	}
}

// next returns how many events there are. It waits for one unless there are connections to poll.
func (w *watcher) next() int {
	if len(w.hot) > 0 {
		return w.ready()
	}
	w.count = 0
	if err := w.wait.Read(w.try); err != nil { // the poller does not take the descriptor: never seen, but no reason to spin
		time.Sleep(lookEvery)
	}
	return w.count
}

// ready returns how many events there are now.
func (w *watcher) ready() int {
	n, err := unix.EpollWait(w.fd, w.events[:], 0)
	if err != nil {
		return 0 // EINTR
	}
	return n
}

func (w *watcher) event(id int32) {
	w.mu.Lock()
	q := w.pairs[id]
	w.mu.Unlock()
	if q != nil && q.event(len(w.hot) < hotLimit) {
		w.hot = append(w.hot, q)
	}
}

// poll looks at the hot connections until some time has passed without anything, or so often that events are due a look.
func (w *watcher) poll() {
	for range 32 {
		now := time.Now()
		any := false
		kept := w.hot[:0]
		for _, q := range w.hot {
			came, hot := q.poll(now)
			any = any || came
			if hot {
				kept = append(kept, q)
			}
		}
		clear(w.hot[len(kept):])
		if w.hot = kept; len(kept) == 0 {
			return
		}
		if !any {
			runtime.Gosched()
		}
	}
}
