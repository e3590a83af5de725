package inventory

import (
	"context"
	"errors"
	"net/url"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
	"github.com/unio-stack/unio/provider"
)

// A Trial is what a file in a directory gets.
type Trial struct {
	Info   unio.Info `json:"info"`             // opened with file:
	Mapped string    `json:"mapped"`           // engine if opened with dax:
	NoMap  string    `json:"no_map,omitempty"` // or why it cannot be
}

// trialSize is enough for any alignment.
const trialSize = 1 << 20

// Try makes a file in dir, opens it as a device, and removes it.
func Try(ctx context.Context, dir string) (*Trial, error) {
	f, err := os.CreateTemp(dir, ".unio-trial-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(f.Truncate(trialSize), f.Close()); err != nil {
		return nil, err
	}
	t := new(Trial)
	path := (&url.URL{Path: f.Name()}).EscapedPath()
	if t.Info, err = info(ctx, "file:"+path); err != nil {
		return nil, err
	}
	t.Info.Name = dir
	mapped, err := info(ctx, "dax:"+path)
	if t.Mapped = mapped.Engine; err != nil {
		t.NoMap = cause(err)
	}
	return t, nil
}

// info opens a device to ask what it is.
func info(ctx context.Context, rawURL string) (unio.Info, error) {
	dev, err := provider.Open(ctx, rawURL)
	if err != nil {
		return unio.Info{}, err
	}
	return dev.Info(), dev.Close()
}

func persistInstruction() string { return memory.WriteBackInstruction() }
