package file

import (
	"context"
	"fmt"
	"net/url"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/internal/option"
)

// OpenURL opens file:///path or file:path. Its options are those of Config:
// size, create, sparse, readonly, direct (auto, on, off), engine (auto,
// io_uring, posix), sqpoll, iopoll (off, on, hybrid), workers.
func OpenURL(ctx context.Context, u *url.URL) (*unio.Device, error) {
	o := option.New(u)
	cfg := Config{
		Size:     o.Size("size", 0),
		Create:   o.Bool("create", false),
		Sparse:   o.Bool("sparse", false),
		ReadOnly: o.Bool("readonly", false),
		Direct:   Direct(o.Choice("direct", string(Auto), string(Auto), string(Required), string(Buffered))),
		Engine:   Engine(o.Choice("engine", string(EngineAuto), string(EngineAuto), string(EngineRing), string(EnginePosix))),
		SQPoll:   o.Bool("sqpoll", false),
		IOPoll:   IOPoll(o.Choice("iopoll", string(IOPollOff), string(IOPollOff), string(IOPollOn), string(IOPollHybrid))),
		Workers:  o.Int("workers", 0),
	}
	if err := o.Err(); err != nil {
		return nil, err
	}
	path := u.Path
	if u.Opaque != "" {
		p, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", u.Redacted(), unio.ErrInvalid, err)
		}
		path = p
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, fmt.Errorf("%s: %w: a file URL names no host: write file:///path or file:path", u.Redacted(), unio.ErrInvalid)
	}
	return Open(ctx, path, cfg)
}
