package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"

	"github.com/unio-stack/unio"
)

// serveRPC is what a Go program serves a file with that has no unio: net/rpc,
// with ReadAt and WriteAt behind it. It also serves memory, and an echo.
func serveRPC(ctx context.Context, path string, size int64) error {
	file, err := openMaybeDirect(path, true)
	if errors.Is(err, errors.ErrUnsupported) {
		file, err = openMaybeDirect(path, false)
	}
	if err != nil {
		return err
	}
	defer file.Close() // each write has been waited for
	const blocks = 64  // requests that the file is given at a time
	mem, err := unio.NewBuffer(blocks * blockSize)
	if err != nil {
		return err
	}
	disk := &Disk{file, make(chan []byte, blocks)}
	for i := range blocks {
		disk.spare <- mem.Bytes()[i*blockSize:][:blockSize]
	}
	s := rpc.NewServer()
	if err := errors.Join(s.Register(disk), s.Register(&Memory{make([]byte, size)}), s.Register(Peer{})); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close() // it ends the server
	announce(l.Addr())
	go s.Accept(l)
	<-ctx.Done()
	return nil
}

// ReadArgs say what to read.
type ReadArgs struct {
	Offset int64
	Length int
}

// WriteArgs say what to write.
type WriteArgs struct {
	Offset int64
	Data   []byte
}

// Disk is the service of a file.
type Disk struct {
	file  *os.File
	spare chan []byte // aligned memory, which O_DIRECT wants
}

// aligned calls f with n bytes of aligned memory.
func (d *Disk) aligned(n int, f func(p []byte) error) error {
	p := <-d.spare
	defer func() { d.spare <- p }()
	if n < 0 || n > len(p) {
		return fmt.Errorf("%d bytes are asked for, and at most %d possible", n, len(p))
	}
	return f(p[:n])
}

// ReadAt returns what the file has.
func (d *Disk) ReadAt(args *ReadArgs, reply *[]byte) error {
	return d.aligned(args.Length, func(p []byte) error {
		_, err := d.file.ReadAt(p, args.Offset)
		*reply = append([]byte(nil), p...) // encoded when p is another's already
		return err
	})
}

// WriteAt changes the file.
func (d *Disk) WriteAt(args *WriteArgs, reply *int) error {
	return d.aligned(len(args.Data), func(p []byte) (err error) {
		copy(p, args.Data)
		*reply, err = d.file.WriteAt(p, args.Offset)
		return err
	})
}

// Sync makes what was written durable.
func (d *Disk) Sync(int, *int) error { return d.file.Sync() }

// Memory is the service of memory. Nobody reads what another writes at the time.
type Memory struct{ bytes []byte }

// ReadAt returns what the memory has.
func (m *Memory) ReadAt(args *ReadArgs, reply *[]byte) error {
	*reply = m.bytes[args.Offset:][:args.Length] // encoded from there
	return nil
}

// WriteAt changes the memory.
func (m *Memory) WriteAt(args *WriteArgs, reply *int) error {
	*reply = copy(m.bytes[args.Offset:], args.Data)
	return nil
}

// Sync has nothing to do.
func (m *Memory) Sync(int, *int) error { return nil }

// Peer sends back what it gets.
type Peer struct{}

// Echo checks the block before it returns it.
func (Peer) Echo(block []byte, reply *[]byte) error {
	if !whole(block) {
		return errNotWhole
	}
	*reply = block
	return nil
}
