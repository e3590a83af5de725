package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

// servers are the processes beside the demo.
type servers struct {
	unio   string // path of the command
	path   string // of the file that is served
	size   int64  // of the memory that is served
	target *process
	rpc    *process
	peer   *process
}

// startServers starts all of them. Stop them in any case.
func startServers(ctx context.Context, unio, path string, size int64, out io.Writer) (s *servers, err error) {
	s = &servers{unio: unio, path: path, size: size}
	if s.target, err = s.startTarget(ctx, "127.0.0.1:0"); err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	if s.rpc, err = startProcess(ctx, "net/rpc server", self, roleRPC, path, strconv.FormatInt(size, 10)); err != nil {
		return s, err
	}
	if s.peer, err = startProcess(ctx, "peer", self, rolePeer, path, strconv.FormatInt(size, 10)); err != nil {
		return s, err
	}
	fmt.Fprintf(out, "Running beside the demo:\n")
	fmt.Fprintf(out, "  %-26s %s (process %d): the file as \"disk\", memory as \"mem\"\n", "target: unio serve", s.target.addr, s.target.pid())
	fmt.Fprintf(out, "  %-26s %s (process %d): the same file, memory, an echo\n", s.rpc.name, s.rpc.addr, s.rpc.pid())
	fmt.Fprintf(out, "  %-26s %s (process %d): memory that it exposes, an echo\n", s.peer.name, s.peer.addr, s.peer.pid())
	return s, nil
}

// startTarget starts unio serve, as a user would.
func (s *servers) startTarget(ctx context.Context, addr string) (*process, error) {
	return startProcess(ctx, "unio serve", s.unio, "serve", "--listen", addr, "--json", "--log-level", "warn",
		"--export", "disk=file://"+s.path, "--export", fmt.Sprintf("mem=mem:?size=%d", s.size))
}

// stop ends what still runs.
func (s *servers) stop() (err error) {
	for _, p := range []*process{s.target, s.rpc, s.peer} {
		if p != nil {
			err = errors.Join(err, p.kill())
		}
	}
	return err
}

// buildUnio puts the command into dir and returns its path.
func buildUnio(ctx context.Context, dir string, out io.Writer) (string, error) {
	fmt.Fprintln(out, "Building the command unio.")
	path := filepath.Join(dir, "unio")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/unio-stack/unio/cmd/unio")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of the command unio (or give its path with -unio): %w\n%s", err, said)
	}
	return path, nil
}

// The hidden first argument that makes the demo one of its own servers. Two
// more say which file and how much memory it serves.
const (
	roleRPC  = "serve-rpc"
	rolePeer = "serve-peer"
)

// serveInstead is the demo as one of its servers, until SIGTERM comes or the
// demo ends, which closes our standard input. It reports whether args ask for
// one.
func serveInstead(args []string) (asked bool, err error) {
	if len(args) != 3 || args[0] != roleRPC && args[0] != rolePeer {
		return false, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	size, err := strconv.ParseInt(args[2], 10, 64)
	switch {
	case err != nil:
	case args[0] == roleRPC:
		err = serveRPC(ctx, args[1], size)
	default:
		err = servePeer(ctx, size)
	}
	return true, err
}
