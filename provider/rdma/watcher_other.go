//go:build !linux

package rdma

// A watcher is what newSocket has no sockets for on this system.
type watcher struct{}

func (*watchers) watch(*queuePair) error           { return nil }
func (*watchers) dismiss(*watcher) <-chan struct{} { return nil }
func (*watcher) arm(int, int32, bool, bool)        {}
func (*watcher) remove(int32, int)                 {}
func (*watcher) lookSoon(*queuePair)               {}
