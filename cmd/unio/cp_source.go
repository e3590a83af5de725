package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/transfer"
	"github.com/unio-stack/unio/provider"
)

// A source is an open SRC.
type source struct {
	transfer.Source
	where location.Location // zero for standard input
	id    transfer.Identity
	dev   *unio.Device // nil for a stream
	file  *os.File     // nil but for a stream that was opened
}

// openSource opens SRC. limit, unless 0, is how much of it to copy at most.
func openSource(ctx context.Context, sh *shell, raw string, limit int64) (*source, error) {
	if raw == "-" {
		return streamSource(sh.in, limit), nil
	}
	l, err := location.Locate(raw)
	if err != nil {
		return nil, err
	}
	switch l.Kind {
	case location.Directory:
		return nil, hinted(usage("%s is a directory", raw), "cp copies one file or device; tar can make one of many: tar c %s | unio cp - DST", raw)
	case location.Missing:
		return nil, hinted(fmt.Errorf("%s: %w", raw, os.ErrNotExist), "is the path of SRC right?")
	case location.Other:
		f, err := os.Open(l.Path)
		if err != nil {
			return nil, err
		}
		s := streamSource(f, limit)
		s.where, s.file = l, f
		return s, nil
	case location.Regular:
		if l.Stat.Size() == 0 {
			s := streamSource(new(empty), 0)
			s.where, s.Size = l, 0
			return s, nil
		}
	}
	return deviceSource(ctx, l, limit)
}

// empty is a stream of nothing.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }

func streamSource(r io.Reader, limit int64) *source {
	if limit > 0 {
		r = io.LimitReader(r, limit)
	}
	return &source{Source: transfer.Source{Stream: r, Size: transfer.Unknown}}
}

func deviceSource(ctx context.Context, l location.Location, limit int64) (*source, error) {
	options := map[string]string{}
	if l.Kind != location.Virtual && !l.Has("size") && !l.Has("create") {
		options["readonly"] = "1"
	}
	dev, err := provider.Open(ctx, l.With(options))
	if err != nil {
		return nil, err
	}
	s := &source{where: l, dev: dev, id: identify(l)}
	if s.Region, err = dev.Attach(ctx, "", unio.ReadOnly); err != nil {
		s.close()
		return nil, err
	}
	if s.Size = s.Region.Size(); limit > s.Size {
		s.close()
		return nil, fmt.Errorf("%s has %s, not %s as --size says", l.Raw, bytesize.Format(s.Size), bytesize.Format(limit))
	}
	if limit > 0 {
		s.Size = limit
	}
	s.id.Size = s.Size
	return s, nil
}

// close ends the use of the source.
func (s *source) close() {
	if s.dev != nil {
		_ = s.dev.Close() // only read from
	}
	if s.file != nil {
		_ = s.file.Close()
	}
}

// unchanged fails if the source is not the file any more that was opened.
func (s *source) unchanged() error {
	if s.id.ModTime == 0 {
		return nil
	}
	l, err := location.Locate(s.where.Raw)
	if err != nil {
		return err
	}
	now := identify(l)
	now.Size = s.id.Size
	if now != s.id || l.Kind != location.Regular || l.Stat.Size() != s.where.Stat.Size() {
		return hinted(fmt.Errorf("%s changed while it was copied", s.where.Raw), "the copy may hold parts of both versions: copy again")
	}
	return nil
}
