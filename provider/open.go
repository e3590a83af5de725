// Package provider opens devices by URL. It knows every built-in provider by
// name: nothing registers itself.
package provider

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/unio-stack/unio"
)

// Open opens the device that a URL names; close it when it is no longer used.
// [Schemes] lists what there is:
//
//	file:///var/lib/unio/disk.img?size=1GiB&create=1
//	file:disk.img              relative to the working directory
//	./disk.img                 a path alone is a file, too, without options
//	/dev/nvme0n1               likewise
//	mem:?size=1GiB
//	dax:///mnt/pmem/heap?size=1GiB&create=1
//	rdma://host:7471/disk      a region that a target serves
//	rdma://host:7471?crc=off   the memory of a peer
//
// Peers and targets (rdma:) are connected to at once; each further channel is a
// connection of its own.
//
// A path alone is taken as it is: nothing in it is unescaped or taken for
// options. A path whose first element contains a colon needs ./ in front.
//
// The error says what of the URL is wrong, and wraps [unio.ErrInvalid] then;
// what else may go wrong, the providers' own documentation tells.
func Open(ctx context.Context, rawURL string) (*unio.Device, error) {
	u, err := Parse(rawURL)
	if err != nil {
		return nil, err
	}
	return find(u.Scheme).open(ctx, u)
}

// Parse reads a URL or path as Open does, without opening anything. The result
// always has a known scheme.
func Parse(rawURL string) (*url.URL, error) {
	if rawURL == "" {
		return nil, fmt.Errorf("open: %w: no URL; %s", unio.ErrInvalid, known())
	}
	if !hasScheme(rawURL) {
		return &url.URL{Scheme: "file", Path: rawURL}, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open: %w: %w", unio.ErrInvalid, err)
	}
	if find(u.Scheme) == nil {
		return nil, fmt.Errorf("open %s: %w: unknown scheme %q; %s; for a file of that name write ./%s",
			u.Redacted(), unio.ErrInvalid, u.Scheme, known(), u.Redacted())
	}
	if u.Fragment != "" {
		return nil, fmt.Errorf("open %s: %w: a device has no #%s; write %%23 for # in a path", u.Redacted(), unio.ErrInvalid, u.Fragment)
	}
	return u, nil
}

// hasScheme reports whether s begins as a URL does (RFC 3986, section 3.1),
// and not as a path.
func hasScheme(s string) bool {
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case c >= 'a' && c <= 'z':
		case i > 0 && (s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.'):
		case i > 0 && s[i] == ':':
			return true
		default:
			return false
		}
	}
	return false
}

func known() string {
	var names []string
	for _, s := range schemes {
		names = append(names, s.Name+":")
	}
	return "the schemes here are " + strings.Join(names, ", ") + ", and a path alone is a file"
}
