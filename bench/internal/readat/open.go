package readat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
)

// open returns the file through the API that was asked for, and its length.
func (c config) open(ctx context.Context) (r io.ReaderAt, size int64, closeAll func() error, err error) {
	switch c.api {
	case "os":
		return c.openOS()
	case "unio":
		return c.openUnio(ctx)
	}
	return nil, 0, nil, fmt.Errorf("readat: unknown API %q: os or unio", c.api)
}

func (c config) openOS() (io.ReaderAt, int64, func() error, error) {
	flags := os.O_RDONLY
	if c.direct {
		flags |= directFlag
	}
	f, err := os.OpenFile(c.path, flags, 0)
	if err != nil {
		return nil, 0, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, nil, errors.Join(err, f.Close())
	}
	return f, info.Size(), f.Close, nil
}

func (c config) openUnio(ctx context.Context) (_ io.ReaderAt, size int64, _ func() error, err error) {
	path, err := filepath.Abs(c.path)
	if err != nil {
		return nil, 0, nil, err
	}
	direct := "off"
	if c.direct {
		direct = "on"
	}
	dev, err := provider.Open(ctx, "file://"+path+"?direct="+direct)
	if err != nil {
		return nil, 0, nil, err
	}
	reg, err := dev.Attach(ctx, "", unio.ReadOnly)
	if err != nil {
		return nil, 0, nil, errors.Join(err, dev.Close())
	}
	f := unio.NewFile(reg)
	return f, reg.Size(), func() error { return errors.Join(f.Close(), dev.Close()) }, nil
}
