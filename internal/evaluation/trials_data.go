package evaluation

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/unio-stack/unio"
)

func copyTrials() []trial {
	return []trial{
		{
			claim: "memory allocated for I/O takes the disk's bytes without a copy of ours",
			tried: fmt.Sprintf("%d reads of a file, direct, on a channel that refuses to copy (NoCopy)", batch),
			run: func(ctx context.Context, l *lab) (string, error) {
				return withSubject(ctx, "file:"+l.disk+"?direct=on", unio.ChannelConfig{NoCopy: true}, func(s *subject) (string, error) {
					if _, err := s.ch.Post(s.reads()...); err != nil {
						return "", err
					}
					if err := s.reap(ctx, batch); err != nil {
						return "", err
					}
					bounced := s.ch.Stats().BouncedBytes
					figure := fmt.Sprintf("%d of %d bytes copied", bounced, batch*blockSize)
					if bounced > 0 {
						return figure, errors.New(figure)
					}
					return figure, nil
				})
			},
		},
		{
			claim: "what would have to be copied is refused if that is asked, and otherwise counted",
			tried: "a read of 1,000 bytes at offset 1 of a file, direct, with NoCopy and without",
			run:   countedCopies,
		},
		{
			claim: "what is written to memory is stored in place",
			tried: "a write to mem:, then a look at the region's own bytes, by their address",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withSubject(ctx, "mem:?size=1M", unio.ChannelConfig{NoCopy: true}, func(s *subject) (string, error) {
					if err := s.write(ctx, 8192, []byte("in place"), 0); err != nil {
						return "", err
					}
					return "8 bytes found", wantBytes("the region's bytes", s.reg.Memory()[8192:][:8], []byte("in place"))
				})
			},
		},
	}
}

func countedCopies(ctx context.Context, l *lab) (string, error) {
	url := "file:" + l.disk + "?direct=on"
	read := func(s *subject) error { return s.read(ctx, 1, s.piece(0)[:1000]) }
	figure, err := withSubject(ctx, url, unio.ChannelConfig{NoCopy: true}, func(s *subject) (string, error) {
		return refused("the copy", read(s), unio.ErrUnsupported)
	})
	if err != nil {
		return "", err
	}
	return withSubject(ctx, url, unio.ChannelConfig{}, func(s *subject) (string, error) {
		if err := read(s); err != nil {
			return "", err
		}
		n := s.ch.Stats().BouncedBytes
		if n < 1000 {
			return "", fmt.Errorf("%d bytes counted, want at least 1000", n)
		}
		return fmt.Sprintf("%s; without it %d bytes counted", figure, n), nil
	})
}

// wantBytes compares.
func wantBytes(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s are %.32q, want %.32q", what, got, want)
	}
	return nil
}

func byteTrials() []trial {
	const claim = "5 bytes at an odd offset of %s leave their neighbours alone"
	return []trial{{
		claim: fmt.Sprintf(claim, "a disk"),
		tried: "5 bytes are written inside a block of a file, direct, and the block is read",
		run: func(ctx context.Context, l *lab) (string, error) {
			return withSubject(ctx, "file:"+l.disk+"?direct=auto", unio.ChannelConfig{}, func(s *subject) (string, error) {
				return s.ragged(ctx, aside(1))
			})
		},
	}, {
		claim: fmt.Sprintf(claim, "a disk behind a target"),
		tried: "the same through the target",
		run: func(ctx context.Context, l *lab) (string, error) {
			return withTarget(ctx, l, func(s *subject) (string, error) { return s.ragged(ctx, aside(2)) })
		},
	}}
}

// withTarget is withSubject on the file, through the target.
func withTarget(ctx context.Context, l *lab, f func(s *subject) (string, error)) (string, error) {
	if l.noTarget != nil {
		return "", l.noTarget
	}
	return withSubject(ctx, l.targetURL+"/disk", unio.ChannelConfig{}, f)
}

func (s *subject) ragged(ctx context.Context, at int64) (string, error) {
	before, after := bytes.Repeat([]byte{'.'}, blockSize), make([]byte, blockSize)
	if err := s.write(ctx, at, before, 0); err != nil {
		return "", err
	}
	if err := s.write(ctx, at+1027, []byte("bytes"), 0); err != nil {
		return "", err
	}
	if err := s.read(ctx, at, after); err != nil {
		return "", err
	}
	copy(before[1027:], "bytes")
	if err := wantBytes("the block's bytes from 1020 on", after[1020:1040], before[1020:1040]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes as they should be", blockSize), wantBytes("the block's bytes", after, before)
}

func operationTrials() []trial {
	return []trial{
		{
			claim: "atomics are carried out at the target, where all clients see them",
			tried: "4 connections add to one word 250 times each; compare-swap then finds the sum",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(_ *served, c *subject) (string, error) { return c.addTogether(ctx) })
			},
		},
		{
			claim: "one request gathers or scatters over several pieces of memory",
			tried: "3 pieces are written by one request through a target, and read into 2 others",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(_ *served, c *subject) (string, error) { return c.scatter(ctx) })
			},
		},
		{
			claim: "a range is zeroed or freed by the target, without zeroes on the wire",
			tried: "64 KiB of the file are zeroed, and others discarded, by operations that Info calls native; both read as zeroes",
			run: func(ctx context.Context, l *lab) (string, error) {
				return withTarget(ctx, l, func(s *subject) (string, error) { return s.zero(ctx, aside(3)) })
			},
		},
		offered("append", "the target finds the place for what is appended"),
		offered("write-atomic", "several ranges are written all or none"),
	}
}

// addTogether counts in one word from several connections.
func (s *subject) addTogether(ctx context.Context) (string, error) {
	const connections, adds = 4, 250
	errs := make([]error, connections)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			ch, err := s.dev.NewChannel(unio.ChannelConfig{})
			for range adds {
				if err == nil {
					err = ch.Do(ctx, unio.Request{Op: unio.OpFetchAdd, Region: s.reg, Offset: 64, Swap: 1})
				}
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	old := make([]byte, 8)
	swap := unio.Request{Op: unio.OpCompareSwap, Region: s.reg, Offset: 64, Compare: connections * adds, Swap: 7, Data: old}
	if err := s.ch.Do(ctx, swap); err != nil {
		return "", err
	}
	found := binary.LittleEndian.Uint64(old)
	if found != connections*adds {
		return "", fmt.Errorf("the word is %d, want %d", found, connections*adds)
	}
	now := make([]byte, 8)
	if err := s.read(ctx, 64, now); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d adds found, none lost", found), wantBytes("the word's bytes", now, binary.LittleEndian.AppendUint64(nil, 7))
}

func (s *subject) scatter(ctx context.Context) (string, error) {
	text := []byte("gathered from three pieces")
	write := unio.Request{Op: unio.OpWrite, Region: s.reg, Offset: 4093, Vec: [][]byte{text[:9], text[9:14], text[14:]}}
	if err := s.ch.Do(ctx, write); err != nil {
		return "", err
	}
	got := make([]byte, len(text))
	read := unio.Request{Op: unio.OpRead, Region: s.reg, Offset: 4093, Vec: [][]byte{got[:20], got[20:]}}
	if err := s.ch.Do(ctx, read); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes as they should be", len(got)), wantBytes("what came", got, text)
}

func (s *subject) zero(ctx context.Context, at int64) (string, error) {
	const length = 64 << 10
	got := make([]byte, length)
	for i, op := range []unio.Opcode{unio.OpWriteZeroes, unio.OpDiscard} {
		if !s.dev.Info().Native.Has(op) {
			return "", fmt.Errorf("%v is not native: %s", op, s.dev.Info().Native)
		}
		at := at + int64(i)*length
		if err := s.write(ctx, at, bytes.Repeat([]byte{1}, length), 0); err != nil {
			return "", err
		}
		if err := s.ch.Do(ctx, unio.Request{Op: op, Region: s.reg, Offset: at, Length: length}); err != nil {
			return "", err
		}
		if err := s.read(ctx, at, got); err != nil {
			return "", err
		}
		if err := wantBytes(op.String()+": the bytes", got, make([]byte, length)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d zeroes read", 2*length), nil
}

// offered looks whether a device has an operation, by its name.
func offered(name, claim string) trial {
	return trial{
		claim: claim,
		tried: "an operation of the name " + name + " is looked for among those of a file, of memory and of the target",
		run: func(ctx context.Context, l *lab) (string, error) {
			for _, url := range []string{"file:" + l.disk, "mem:?size=1M", l.targetURL + "/memory"} {
				_, err := withSubject(ctx, url, unio.ChannelConfig{}, func(s *subject) (string, error) {
					info := s.dev.Info()
					return "", lookFor(name, info.Native|info.Provided)
				})
				if err != nil {
					return "", err
				}
			}
			return "", fmt.Errorf("%w: it is offered, and this report does not try it yet", errCannotTry)
		},
	}
}

func lookFor(name string, ops unio.OpSet) error {
	for op := range unio.Opcode(32) {
		if ops.Has(op) && op.String() == name {
			return nil
		}
	}
	return fmt.Errorf("%w: there are %s", errNotOffered, strings.ReplaceAll(ops.String(), ",", ", "))
}
