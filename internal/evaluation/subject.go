package evaluation

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/target"
)

// A subject is a device that a trial is about, with its region, a channel and
// some memory.
type subject struct {
	dev *unio.Device
	reg *unio.Region
	ch  *unio.Channel
	mem *unio.Buffer
}

// batch is how many requests trials post together.
const batch = 32

func openSubject(ctx context.Context, url string, cfg unio.ChannelConfig) (_ *subject, err error) {
	dev, err := provider.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return newSubject(ctx, dev, cfg)
}

// newSubject takes over dev.
func newSubject(ctx context.Context, dev *unio.Device, cfg unio.ChannelConfig) (_ *subject, err error) {
	s := &subject{dev: dev}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	rights := unio.ReadWrite
	if s.dev.Info().ReadOnly {
		rights = unio.ReadOnly
	}
	if s.reg, err = s.dev.Attach(ctx, "", rights); err != nil {
		return nil, err
	}
	if s.mem, err = unio.NewBuffer(batch * blockSize); err != nil {
		return nil, err
	}
	s.ch, err = s.dev.NewChannel(cfg)
	return s, err
}

func (s *subject) close() {
	_ = s.dev.Close() // what was tried was tried
	if s.mem != nil {
		_ = s.mem.Free()
	}
}

// piece returns block i of the memory.
func (s *subject) piece(i int) []byte { return s.mem.Bytes()[i*blockSize:][:blockSize:blockSize] }

// reads returns a batch of them, each of another block into other memory.
func (s *subject) reads() []unio.Request {
	all := make([]unio.Request, batch)
	for i := range all {
		all[i] = unio.Request{ID: uint64(i), Op: unio.OpRead, Region: s.reg, Offset: int64(i) * blockSize, Data: s.piece(i)}
	}
	return all
}

func (s *subject) write(ctx context.Context, off int64, data []byte, flags unio.Flags) error {
	return s.ch.Do(ctx, unio.Request{Op: unio.OpWrite, Flags: flags, Region: s.reg, Offset: off, Data: data})
}

func (s *subject) read(ctx context.Context, off int64, data []byte) error {
	return s.ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: s.reg, Offset: off, Data: data})
}

// reap polls, and does nothing else, until n requests have ended.
func (s *subject) reap(ctx context.Context, n int) error {
	var done [batch]unio.Completion
	for n > 0 {
		got := s.ch.Poll(done[:])
		for _, c := range done[:got] {
			if c.Err != nil {
				return c.Err
			}
		}
		n -= got
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// refused wants an error of one of these causes, and says who refused.
func refused(what string, err error, causes ...error) (figure string, _ error) {
	if err == nil {
		return "", fmt.Errorf("%s was not refused", what)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			continue
		}
		var op *unio.OpError
		if errors.As(err, &op) {
			return fmt.Sprintf("refused by %s: %v", op.Layer, cause), nil
		}
		return fmt.Sprintf("refused: %v", cause), nil
	}
	return "", fmt.Errorf("%s: %w; want %q", what, err, causes)
}

// A served is a target in this process, on memory.
type served struct {
	target *target.Target
	dev    *unio.Device
	url    string
	export target.Export
}

// serveMemory serves the export "memory", for reading only or not.
func serveMemory(ctx context.Context, readOnly bool) (*served, error) {
	dev, err := provider.Open(ctx, "mem:?size=1M")
	if err != nil {
		return nil, err
	}
	s := &served{dev: dev, export: target.Export{Name: "memory", Device: dev, ReadOnly: readOnly}}
	if s.target, err = target.New(target.Config{Exports: []target.Export{s.export}}); err != nil {
		s.close()
		return nil, err
	}
	addr, err := s.target.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		s.close()
		return nil, err
	}
	s.url = "rdma://" + addr.String() + "/memory"
	return s, nil
}

func (s *served) close() {
	if s.target != nil {
		_ = s.target.Close()
	}
	_ = s.dev.Close()
}

// withServed lets f try something on a target of its own.
func withServed(ctx context.Context, f func(s *served, c *subject) (string, error)) (string, error) {
	s, err := serveMemory(ctx, false)
	if err != nil {
		return "", err
	}
	defer s.close()
	c, err := openSubject(ctx, s.url, unio.ChannelConfig{})
	if err != nil {
		return "", err
	}
	defer c.close()
	return f(s, c)
}

// withSubject lets f try something on a device.
func withSubject(ctx context.Context, url string, cfg unio.ChannelConfig, f func(s *subject) (string, error)) (string, error) {
	s, err := openSubject(ctx, url, cfg)
	if errors.Is(err, unio.ErrUnsupported) {
		return "", fmt.Errorf("%w: %w", errCannotTry, err)
	}
	if err != nil {
		return "", err
	}
	defer s.close()
	return f(s)
}

// aside is the offset of a stretch of the disk that trials may write to, each
// to blocks of its own.
func aside(n int) int64 { return int64(n) * 64 << 10 }
