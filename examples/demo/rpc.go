package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"syscall"
)

// openRPC runs on a service of the RPC server ("Disk" or "Memory"), through one
// connection that all slots share, as net/rpc is made for.
func openRPC(ctx context.Context, addr, service string, slots int) (runner, error) {
	return openRPCRunner(ctx, addr, slots, func(client *rpc.Client, g *goroutineRunner) {
		g.do = func(j job, l *ledger, buf []byte) error {
			if j.write {
				l.stamp(j, buf)
				if err := client.Call(service+".WriteAt", &WriteArgs{j.block * blockSize, buf}, new(int)); err != nil {
					return err
				}
				l.written(j)
				return nil
			}
			var reply []byte
			if err := client.Call(service+".ReadAt", &ReadArgs{j.block * blockSize, blockSize}, &reply); err != nil {
				return err
			}
			return l.check(j, reply)
		}
		g.sync = func() error { return client.Call(service+".Sync", 0, new(int)) }
	})
}

// openRPCEcho sends blocks to the RPC server, which sends them back.
func openRPCEcho(ctx context.Context, addr string, slots int) (runner, error) {
	return openRPCRunner(ctx, addr, slots, func(client *rpc.Client, g *goroutineRunner) {
		g.do = func(j job, l *ledger, buf []byte) error {
			l.stamp(j, buf)
			l.written(j)
			var reply []byte
			if err := client.Call("Peer.Echo", buf, &reply); err != nil {
				return err
			}
			return l.check(j, reply)
		}
		g.sync = func() error { return nil }
	})
}

func openRPCRunner(ctx context.Context, addr string, slots int, jobs func(*rpc.Client, *goroutineRunner)) (runner, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	counted := &countedConn{TCPConn: tcp, raw: raw}
	client := rpc.NewClient(counted)
	g, err := newGoroutines(slots)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	jobs(client, g)
	stop := context.AfterFunc(ctx, func() { _ = client.Close() }) // a call knows of no context
	g.calls = counted.calls.Load
	g.close = func() error {
		if !stop() {
			return nil // closed above
		}
		return client.Close()
	}
	return g, nil
}

// A countedConn reads and writes as the connection does, and counts the system
// calls for it.
type countedConn struct {
	*net.TCPConn
	raw   syscall.RawConn
	calls atomic.Int64
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (n int, err error) {
	waited := c.raw.Read(func(fd uintptr) bool {
		for again := true; again; again = err == syscall.EINTR {
			n, err = syscall.Read(int(fd), b)
			c.calls.Add(1)
		}
		return err != syscall.EAGAIN
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (n int, err error) {
	waited := c.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			var m int
			m, err = syscall.Write(int(fd), b[n:])
			c.calls.Add(1)
			if err == nil {
				n += m
			} else if err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
		return true
	})
	if waited != nil {
		err = waited
	}
	return n, err
}
