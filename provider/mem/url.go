package mem

import (
	"context"
	"fmt"
	"net/url"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/internal/option"
)

// OpenURL opens a device by its URL:
//
//	mem:?size=1GiB                                 DRAM
//	mem:scratch?size=1GiB&populate=1               the same, with a name for people and all its pages
//	dax:///path/to/file                            a mapped file or DAX device
//	dax:relative/path?size=1GiB&create=1&reserve=1
//	dax:///path/to/file?readonly=1
//
// The options are the fields of [Config] and [DAXConfig]. What [Open] and
// [OpenFile] say of errors holds here; a URL that is not understood is
// [unio.ErrInvalid].
func OpenURL(ctx context.Context, u *url.URL) (*unio.Device, error) {
	switch u.Scheme {
	case layerMem:
		return openMemURL(ctx, u)
	case layerDAX:
		return openDAXURL(ctx, u)
	}
	return nil, fmt.Errorf("open %s: %w: the scheme is neither mem nor dax", u.Redacted(), unio.ErrInvalid)
}

func openMemURL(ctx context.Context, u *url.URL) (*unio.Device, error) {
	if u.Host != "" || u.Path != "" {
		return nil, fmt.Errorf("open %s: %w: memory has neither host nor path: write mem:?size=1GiB or mem:name?size=1GiB",
			u.Redacted(), unio.ErrInvalid)
	}
	name, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: name: %w", u.Redacted(), unio.ErrInvalid, err)
	}
	s := option.New(u)
	cfg := Config{Size: s.Size("size", 0), Name: name, Populate: s.Bool("populate", false)}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if cfg.Size == 0 {
		return nil, fmt.Errorf("open %s: %w: no size: write mem:?size=1GiB", u.Redacted(), unio.ErrInvalid)
	}
	return Open(ctx, cfg)
}

func openDAXURL(ctx context.Context, u *url.URL) (*unio.Device, error) {
	if u.Host != "" {
		return nil, fmt.Errorf("open %s: %w: a file has no host: write dax:///%s%s for an absolute path",
			u.Redacted(), unio.ErrInvalid, u.Host, u.Path)
	}
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("open %s: %w: path: %w", u.Redacted(), unio.ErrInvalid, err)
		}
	}
	s := option.New(u)
	cfg := DAXConfig{
		Size: s.Size("size", 0), Create: s.Bool("create", false),
		Reserve: s.Bool("reserve", false), ReadOnly: s.Bool("readonly", false),
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return OpenFile(ctx, path, cfg)
}
