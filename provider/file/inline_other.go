//go:build !linux

package file

import "github.com/unio-stack/unio"

// An inliner answers inside Post what needs no waiting: here nothing, since no
// call can be told not to wait.
type inliner struct{ done, calls int64 }

func newInliner(*medium) inliner     { return inliner{} }
func (i *inliner) begin()            {}
func (i *inliner) end()              {}
func (i *inliner) try(*unio.Op) bool { return false }
