// Package release stores with release ordering: what the caller wrote before
// is seen by whoever sees the store. sync/atomic's stores are also ordered
// before the loads that follow them, which on amd64 costs an exchange, some
// 5 ns. Use it only where nothing is looked at after the store that another
// goroutine may have changed without seeing it.
package release
