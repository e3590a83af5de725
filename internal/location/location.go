// Package location finds out what a device URL or a path on a command line
// refers to, before anything is opened.
package location

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
)

// A Kind is what a Location is.
type Kind uint8

const (
	// Virtual: nothing in a file system here, such as mem: or a peer.
	Virtual Kind = iota
	// Missing: a path where nothing is yet.
	Missing
	// Regular is a regular file.
	Regular
	// Block is a block device.
	Block
	// Directory cannot be opened as a device.
	Directory
	// Other: a pipe or a character device; it can only be read or written in
	// order.
	Other
)

// A Location is a place that a URL or path names. It is immutable.
type Location struct {
	Raw  string // as given
	Kind Kind
	Path string      // of a file; "" if Virtual
	Stat fs.FileInfo // nil if Virtual or Missing
	url  *url.URL
}

// Locate reads a URL or path, as [provider.Open] does. Its errors are those of
// [provider.Parse], and those of os.Stat but for a missing file.
func Locate(raw string) (Location, error) {
	u, err := provider.Parse(raw)
	if err != nil {
		return Location{}, err
	}
	l := Location{Raw: raw, url: u}
	if u.Scheme != "file" && u.Scheme != "dax" {
		return l, nil
	}
	if l.Path = u.Path; u.Opaque != "" {
		if l.Path, err = url.PathUnescape(u.Opaque); err != nil {
			return Location{}, fmt.Errorf("%s: %w: %w", raw, unio.ErrInvalid, err)
		}
	}
	l.Stat, err = os.Stat(l.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		l.Kind = Missing
		return l, nil
	case err != nil:
		return Location{}, err
	}
	l.Kind = kind(l.Stat.Mode())
	return l, nil
}

func kind(m fs.FileMode) Kind {
	switch {
	case m.IsRegular():
		return Regular
	case m.IsDir():
		return Directory
	case m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0:
		return Block
	}
	return Other
}

// Scheme returns the URL's scheme; a path alone is "file".
func (l Location) Scheme() string { return l.url.Scheme }

// Remote reports whether it is a peer: what is there is somebody else's.
func (l Location) Remote() bool { return l.url != nil && l.url.Scheme == "rdma" }

// Has reports whether the URL gives an option.
func (l Location) Has(option string) bool { return l.url.Query().Has(option) }

// With returns the URL with further options; those it has stay.
func (l Location) With(options map[string]string) string {
	u := *l.url
	if u.Path != "" && u.Path[0] != '/' && u.Host == "" {
		u.Opaque, u.Path = (&url.URL{Path: u.Path}).EscapedPath(), ""
	}
	query := u.Query()
	for name, value := range options {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// Same reports whether both are one file, or one region of one target by the
// same address.
func Same(a, b Location) bool {
	if a.Remote() && b.Remote() {
		return a.url.Host == b.url.Host && a.url.Path == b.url.Path
	}
	return a.Stat != nil && b.Stat != nil && os.SameFile(a.Stat, b.Stat)
}
