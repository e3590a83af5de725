package evaluation

import (
	"context"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/target"
)

func protectionTrials() []trial {
	return []trial{
		{
			claim: "a request outside its region fails alone",
			tried: "on a channel to a target: a write across the region's end, then a read inside it",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(_ *served, c *subject) (string, error) {
					figure, err := refused("the write", c.write(ctx, c.reg.Size()-4, make([]byte, 8), 0), unio.ErrOutOfRange)
					if err != nil {
						return "", err
					}
					return figure + "; the read succeeds", c.read(ctx, 0, make([]byte, 8))
				})
			},
		},
		{
			claim: "the owner of memory checks bounds itself",
			tried: "a peer exposes 4 KiB; the other end believes that it has 8, and reads behind the end",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return tryKey(ctx, func(k *rdma.Key) { k.Base, k.Size = k.Base+blockSize, blockSize })
			},
		},
		{
			claim: "a key that is wrong in one bit opens nothing",
			tried: "a peer exposes memory; the other end reads with its key, and with one bit of it changed",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return tryKey(ctx, func(k *rdma.Key) { k.STag ^= 1 })
			},
		},
		{
			claim: "memory that is withdrawn can no longer be reached",
			tried: "a peer exposes memory, the other end reads it; it is revoked, and read again",
			run:   func(ctx context.Context, _ *lab) (string, error) { return revokedKey(ctx, (*rdma.Exposure).Revoke) },
		},
		{
			claim: "the right to write is not given where the export is for reading",
			tried: "a client attaches it to read and write",
			run:   func(ctx context.Context, _ *lab) (string, error) { return attachToWrite(ctx, true) },
		},
		{
			claim: "who writes there all the same is refused by the target",
			tried: "a program on plain verbs, which checks nothing itself, writes with the key that it was given",
			run:   func(ctx context.Context, _ *lab) (string, error) { return writeByVerbs(ctx, true) },
		},
		{
			claim: "what is not exported cannot be attached",
			tried: "a name that the target does not have",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(s *served, _ *subject) (string, error) {
					return refused("the name", opens(ctx, s.url+"-of-others"), unio.ErrAccess)
				})
			},
		},
		{
			claim: "an export that is withdrawn is gone for those who have it open",
			tried: "a client reads; the target withdraws the export; the client reads again",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withdrawn(ctx, func(s *served) error { return s.target.SetExports(nil) })
			},
		},
		{
			claim: "who has no certificate is refused where the export names clients",
			tried: "an export for the client \"alice\"; one comes without a certificate",
			run:   func(ctx context.Context, _ *lab) (string, error) { return notAmong(ctx, []string{"alice"}) },
		},
	}
}

// opens opens a device, closes it again, and returns how the former went.
func opens(ctx context.Context, url string) error {
	dev, err := provider.Open(ctx, url)
	if err == nil {
		_ = dev.Close()
	}
	return err
}

func attachToWrite(ctx context.Context, readOnly bool) (string, error) {
	s, err := serveMemory(ctx, readOnly)
	if err != nil {
		return "", err
	}
	defer s.close()
	dev, err := provider.Open(ctx, s.url)
	if err == nil {
		_, err = dev.Attach(ctx, "", unio.ReadWrite)
		_ = dev.Close()
	}
	return refused("the right to write", err, unio.ErrAccess)
}

func writeByVerbs(ctx context.Context, readOnly bool) (string, error) {
	s, err := serveMemory(ctx, readOnly)
	if err != nil {
		return "", err
	}
	defer s.close()
	return withSubject(ctx, s.url+"?verbs=1", unio.ChannelConfig{}, func(c *subject) (string, error) {
		if err := c.read(ctx, 0, make([]byte, 8)); err != nil {
			return "", err
		}
		return refused("the write", c.write(ctx, 0, make([]byte, 8), 0), unio.ErrAccess)
	})
}

// withExposed joins two peers, of which one exposes memory, and reads it.
func withExposed(ctx context.Context, f func(c *rdma.Conn, e *rdma.Exposure) (string, error)) (string, error) {
	return withPair(ctx, func(a, b *rdma.Conn) (string, error) {
		memory, err := unio.NewBuffer(blockSize)
		if err != nil {
			return "", err
		}
		defer func() { _ = memory.Free() }()
		e, err := b.Expose(memory, unio.ReadOnly)
		if err != nil {
			return "", err
		}
		if err := readWithKey(ctx, a, e.Key()); err != nil {
			return "", err
		}
		return f(a, e)
	})
}

func readWithKey(ctx context.Context, c *rdma.Conn, k rdma.Key) error {
	reg, err := c.Attach(ctx, k, unio.ReadOnly)
	if err != nil {
		return err
	}
	return c.Channel().Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 8)})
}

// tryKey reads with a key that was changed. Whether a key that nobody knows was
// ever one cannot be told: it is as if it was revoked.
func tryKey(ctx context.Context, change func(*rdma.Key)) (string, error) {
	return withExposed(ctx, func(c *rdma.Conn, e *rdma.Exposure) (string, error) {
		k := e.Key()
		change(&k)
		return refused("the read", readWithKey(ctx, c, k), unio.ErrAccess, unio.ErrRevoked, unio.ErrOutOfRange)
	})
}

// revokedKey reads after the memory is withdrawn.
func revokedKey(ctx context.Context, revoke func(*rdma.Exposure) error) (string, error) {
	return withExposed(ctx, func(c *rdma.Conn, e *rdma.Exposure) (string, error) {
		if err := revoke(e); err != nil {
			return "", err
		}
		return refused("the read", readWithKey(ctx, c, e.Key()), unio.ErrRevoked)
	})
}

// withdrawn reads before and after the export is withdrawn.
func withdrawn(ctx context.Context, withdraw func(*served) error) (string, error) {
	return withServed(ctx, func(s *served, c *subject) (string, error) {
		if err := c.read(ctx, 0, make([]byte, 8)); err != nil {
			return "", err
		}
		if err := withdraw(s); err != nil {
			return "", err
		}
		return refused("the read", c.read(ctx, 0, make([]byte, 8)), unio.ErrRevoked)
	})
}

// notAmong opens an export for some clients without saying who it is.
func notAmong(ctx context.Context, clients []string) (string, error) {
	return withServed(ctx, func(s *served, _ *subject) (string, error) {
		x := s.export
		x.Clients = clients
		if err := s.target.SetExports([]target.Export{x}); err != nil {
			return "", err
		}
		return refused("the client", opens(ctx, s.url), unio.ErrAccess)
	})
}
