//go:build !linux

package file

import (
	"fmt"

	"github.com/unio-stack/unio"
)

// chooseEngine picks the posix engine: io_uring is Linux's.
func chooseEngine(_ *medium, cfg Config) (engine, error) {
	if cfg.Engine == EngineRing || cfg.SQPoll || cfg.polled() {
		return engine{}, fmt.Errorf("%w: io_uring needs Linux", unio.ErrUnsupported)
	}
	return engine{name: string(EnginePosix), reason: "io_uring needs Linux"}, nil
}
