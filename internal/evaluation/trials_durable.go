package evaluation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/unio-stack/unio"
)

func durableTrials() []trial {
	return []trial{
		{
			claim: "a fenced flush waits for the writes before it, and is one flush of the medium",
			tried: fmt.Sprintf("%d writes and a flush with Fence to a target, in one Post; what the target has asked its device for", batch),
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(s *served, c *subject) (string, error) { return c.fencedFlush(ctx, s) })
			},
		},
		{
			claim: "what was flushed, or written with Durable, is there after the target was killed, and its clients go on",
			tried: "both, through a target of its own; kill -9; the file is read; the target comes back at its address, and the same channel reads",
			run:   func(ctx context.Context, l *lab) (string, error) { return l.killed(ctx) },
		},
	}
}

// fencedFlush posts writes and a flush together.
func (s *subject) fencedFlush(ctx context.Context, at *served) (string, error) {
	flushes := func() (asked, done int64) {
		x := at.target.Stats().Exports[0]
		return x.FlushesAsked, x.FlushesDone
	}
	_, before := flushes()
	var reqs []unio.Request
	for i := range batch {
		reqs = append(reqs, unio.Request{ID: uint64(i), Op: unio.OpWrite, Region: s.reg, Offset: int64(i) * blockSize, Data: s.piece(i)})
	}
	reqs = append(reqs, unio.Request{ID: batch, Op: unio.OpFlush, Region: s.reg, Flags: unio.Fence})
	if _, err := s.ch.Post(reqs...); err != nil {
		return "", err
	}
	var done [batch]unio.Completion
	for ended := 0; ended < len(reqs); {
		n, err := s.ch.Wait(ctx, done[:])
		if err != nil {
			return "", err
		}
		for _, c := range done[:n] {
			switch {
			case c.Err != nil:
				return "", c.Err
			case c.ID == batch && ended < batch:
				return "", fmt.Errorf("the flush was complete after %d of %d writes", ended, batch)
			}
			ended++
		}
	}
	_, after := flushes()
	figure := fmt.Sprintf("%d flush for %d writes", after-before, batch)
	if after-before != 1 {
		return figure, errors.New(figure)
	}
	return figure, nil
}

// killed writes through a target, kills it, and looks.
func (l *lab) killed(ctx context.Context) (string, error) {
	if l.noTarget != nil {
		return "", l.noTarget
	}
	start := func(listen string) (err error) {
		l.killable, err = startServer(ctx, l.cfg.Unio("serve", "--listen", listen, "--json", "--log-level", "error", "--export", "disk=file:"+l.disk+"?direct=auto"))
		return err
	}
	if err := start("127.0.0.1:0"); err != nil {
		return "", err
	}
	address := l.killable.address
	return withSubject(ctx, "rdma://"+address+"/disk", unio.ChannelConfig{}, func(s *subject) (string, error) {
		want := bytes.Repeat([]byte("survived"), blockSize/8)
		if err := s.secure(ctx, want); err != nil {
			return "", err
		}
		l.killable.kill()
		if err := l.holds(ctx, aside(7), want); err != nil {
			return "", err
		}
		if err := start(address); err != nil {
			return "", fmt.Errorf("the target did not come back: %w", err)
		}
		got := make([]byte, len(want))
		read := unio.Request{Op: unio.OpRead, Flags: unio.Idempotent, Region: s.reg, Offset: aside(7), Data: got}
		err := s.ch.Do(ctx, read)
		for errors.Is(err, unio.ErrDisconnected) && ctx.Err() == nil {
			err = s.ch.Do(ctx, read)
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d bytes found; the target says that they survive: %v", len(want), s.dev.Info().Persistence), wantBytes("what the channel reads", got, want)
	})
}

// secure writes a half of data and flushes, and the other half with Durable.
func (s *subject) secure(ctx context.Context, data []byte) error {
	half := len(data) / 2
	if err := s.write(ctx, aside(7), data[:half], 0); err != nil {
		return err
	}
	if err := s.ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: s.reg}); err != nil {
		return err
	}
	return s.write(ctx, aside(7)+int64(half), data[half:], unio.Durable)
}

// holds looks into the file, past the page cache if that is possible.
func (l *lab) holds(ctx context.Context, at int64, want []byte) error {
	_, err := withSubject(ctx, "file:"+l.disk+"?direct=auto&readonly=1", unio.ChannelConfig{}, func(s *subject) (string, error) {
		got := s.mem.Bytes()[:len(want)]
		if err := s.read(ctx, at, got); err != nil {
			return "", err
		}
		return "", wantBytes("the file's bytes", got, want)
	})
	return err
}

func unifiedTrials() []trial {
	return []trial{{
		claim: "one program works on local and on remote storage, and on memory",
		tried: "the same function writes, adds, flushes and reads at file:, dax:, mem: and twice at rdma://; only the URL differs",
		run: func(ctx context.Context, l *lab) (string, error) {
			urls := []string{"file:" + l.disk, "dax:" + l.disk, "mem:?size=1M"}
			if l.noTarget == nil {
				urls = append(urls, l.targetURL+"/disk", l.targetURL+"/memory")
			}
			for _, url := range urls {
				if _, err := withSubject(ctx, url, unio.ChannelConfig{}, func(s *subject) (string, error) { return "", s.samples(ctx) }); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("%d devices", len(urls)), nil
		},
	}, {
		claim: "what is written to one end is read at the other",
		tried: "bytes written through the target are read from its file, and the reverse",
		run:   func(ctx context.Context, l *lab) (string, error) { return l.bothEnds(ctx, l.disk) },
	}, {
		claim: "storage is named and translated by volumes",
		tried: "volume:NAME is opened",
		run: func(ctx context.Context, _ *lab) (string, error) {
			if err := opens(ctx, "volume:anything"); err != nil {
				return "", fmt.Errorf("%w: %w", errNotOffered, err)
			}
			return "", fmt.Errorf("%w: it is offered, and this report does not try it yet", errCannotTry)
		},
	}}
}

// samples does a little of everything.
func (s *subject) samples(ctx context.Context) error {
	at, got := aside(9), make([]byte, 8)
	if err := s.write(ctx, at, []byte{41, 0, 0, 0, 0, 0, 0, 0}, 0); err != nil {
		return err
	}
	for _, r := range []unio.Request{
		{Op: unio.OpFetchAdd, Region: s.reg, Offset: at, Swap: 1},
		{Op: unio.OpFlush, Region: s.reg},
		{Op: unio.OpRead, Region: s.reg, Offset: at, Data: got},
	} {
		if err := s.ch.Do(ctx, r); err != nil {
			return err
		}
	}
	return wantBytes(s.dev.Info().Name+": the word's bytes", got, []byte{42, 0, 0, 0, 0, 0, 0, 0})
}

// bothEnds writes and reads through the target, and the file at path by the
// system's own calls.
func (l *lab) bothEnds(ctx context.Context, path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing of it has to last
	return withTarget(ctx, l, func(s *subject) (string, error) {
		at := aside(10)
		if _, err := f.WriteAt([]byte("written there"), at); err != nil {
			return "", err
		}
		got := make([]byte, 13)
		if err := s.read(ctx, at, got); err != nil {
			return "", err
		}
		if err := wantBytes("what came", got, []byte("written there")); err != nil {
			return "", err
		}
		if err := s.write(ctx, at, []byte("written here!"), 0); err != nil {
			return "", err
		}
		if _, err := f.ReadAt(got, at); err != nil {
			return "", err
		}
		return "13 bytes each way", wantBytes("the file's bytes", got, []byte("written here!"))
	})
}
