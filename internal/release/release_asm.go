//go:build (amd64 || arm64) && !race

package release

// Store32 sets *p to v.
//
//go:noescape
func Store32(p *uint32, v uint32)
