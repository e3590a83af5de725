//go:build (!amd64 && !arm64) || race

package release

import "sync/atomic"

// Store32 sets *p to v. The race detector knows sync/atomic alone.
func Store32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
