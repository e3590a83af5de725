package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// servePeer is the other end of messages: it sends back each block that comes,
// and exposes memory that its peers read and write without its doing anything.
func servePeer(ctx context.Context, size int64) error {
	memory, err := unio.NewBuffer(int(size))
	if err != nil {
		return err
	}
	defer memory.Free()                          // at worst it goes with the process
	cfg := rdma.Config{Domain: rdma.NewDomain()} // of all connections
	exposed, err := cfg.Domain.Expose(memory, unio.ReadWrite)
	if err != nil {
		return err
	}
	key, err := exposed.Key().AppendBinary(nil) // from it, a peer knows the memory
	if err != nil {
		return err
	}
	cfg.Decide = func(*rdma.Incoming) ([]byte, error) { return key, nil }
	l, err := rdma.Listen(ctx, "127.0.0.1:0", cfg)
	if err != nil {
		return err
	}
	announce(l.Addr())
	var all sync.WaitGroup
	for {
		conn, err := l.Accept(ctx)
		if err != nil { // ctx has ended
			all.Wait()
			return l.Close()
		}
		all.Go(func() {
			if err := echo(ctx, conn); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
}

// announce tells the demo where a server listens.
func announce(addr net.Addr) {
	_ = json.NewEncoder(os.Stdout).Encode(listening{"listening", []string{addr.String()}})
}

var errNotWhole = errors.New("what came is not the block that was sent")

// echo sends blocks back until the peer is gone. Each slot has one request in
// flight: a Recv, or the Send of what it got.
func echo(ctx context.Context, conn *rdma.Conn) error {
	defer conn.Close() // the peer has gone, or is to go
	ch := conn.Channel()
	slots := ch.Depth()
	mem, err := unio.NewBuffer(slots * blockSize)
	if err != nil {
		return err
	}
	defer func() {
		_ = conn.Close() // first, so that nothing uses the memory
		_ = mem.Free()
	}()
	block := func(slot uint64) []byte { return mem.Bytes()[slot*blockSize:][:blockSize] }
	reqs := make([]unio.Request, 0, slots)
	for s := range uint64(slots) {
		reqs = append(reqs, unio.Request{ID: s, Op: unio.OpRecv, Data: block(s)})
	}
	sending := make([]bool, slots)
	done := make([]unio.Completion, slots)
	for {
		if _, err := ch.Post(reqs...); err != nil {
			return gone(ctx, err)
		}
		reqs = reqs[:0]
		n, err := ch.Wait(ctx, done)
		if err != nil {
			return gone(ctx, err)
		}
		for _, d := range done[:n] {
			if d.Err != nil {
				return gone(ctx, d.Err)
			}
			sending[d.ID] = !sending[d.ID]
			if !sending[d.ID] {
				reqs = append(reqs, unio.Request{ID: d.ID, Op: unio.OpRecv, Data: block(d.ID)})
				continue
			}
			if !whole(block(d.ID)[:d.N]) {
				return errNotWhole
			}
			reqs = append(reqs, unio.Request{ID: d.ID, Op: unio.OpSend, Data: block(d.ID)})
		}
	}
}

// gone returns nil if err means that the peer wants no more, or the demo.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, unio.ErrDisconnected) || errors.Is(err, unio.ErrClosed) {
		return nil
	}
	return err
}
