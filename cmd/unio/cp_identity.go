package main

import (
	"syscall"

	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/transfer"
)

// identify says which file a location is, and, for regular files, in which
// state. The size is the caller's to fill in.
func identify(l location.Location) transfer.Identity {
	if l.Stat == nil {
		return transfer.Identity{Name: l.Raw}
	}
	var id transfer.Identity // by another name it is still the same
	if st, ok := l.Stat.Sys().(*syscall.Stat_t); ok {
		id.Device, id.Inode = uint64(st.Dev), st.Ino
	}
	if l.Kind == location.Regular {
		id.ModTime = l.Stat.ModTime().UnixNano()
	}
	return id
}
