package uniocmd

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/process"
)

// A Remote is what unio bench is to do on a unio peer, or on a target. All
// command lines of the three are made in this file.
type Remote struct {
	Binary     string
	Export     string // URL of what a target serves; "" for a peer
	Op         string // read and write, at random; pingpong or fetch-add
	Block      int    // bytes of each; 8 for fetch-add
	Depth      int
	Memory     int64  // bytes that the peer exposes
	CRC        bool   // checksums on the wire
	Spin       bool   // poll, on both sides, never sleep
	Congestion string // congestion control, on both sides; "" is the machine's
	Time       time.Duration
	Place      pair.Place
}

// spinForever is longer than any run.
const spinForever = "1h"

// server is what serves at a port of 127.0.0.1.
func (r Remote) server(port int) process.Command {
	if r.Export == "" {
		return r.peer(port)
	}
	args := []string{"serve", "--listen", address(port), "--export", exportName + "=" + r.Export}
	if r.Congestion != "" {
		args = append(args, "--congestion", r.Congestion)
	}
	return process.Command{Path: r.Binary, Args: args, CPU: r.Place.Server}
}

// exportName is what a target calls its only export.
const exportName = "medium"

// peer serves memory and sends messages back, at a port of 127.0.0.1. It says
// how it is when it gets SIGUSR1: see Status.
func (r Remote) peer(port int) process.Command {
	args := []string{"peer", "--listen", address(port), "--size", strconv.FormatInt(r.Memory, 10), "--json"}
	if r.Congestion != "" {
		args = append(args, "--congestion", r.Congestion)
	}
	if r.Spin {
		args = append(args, "--spin", spinForever)
	}
	return process.Command{Path: r.Binary, Args: args, CPU: r.Place.Server}
}

// bench is the client's command line, without what it is to do.
func (r Remote) bench(port int, what ...string) process.Command {
	query := url.Values{"crc": {onOff(r.CRC)}}
	if r.Congestion != "" {
		query.Set("congestion", r.Congestion)
	}
	target := "rdma://" + address(port)
	if r.Export != "" {
		target += "/" + exportName
	}
	args := append([]string{"bench", target + "?" + query.Encode(), "--json"}, what...)
	return process.Command{Path: r.Binary, Args: args, CPU: r.Place.Client}
}

// operations keeps Depth operations in flight.
func (r Remote) operations(port int) process.Command {
	op := r.Op
	if op == "read" || op == "write" {
		op = "rand" + op // unio's read and write go from one block to the next
	}
	what := []string{"--op", op, "--bs", strconv.Itoa(r.Block), "--depth", strconv.Itoa(r.Depth), "--time", r.Time.String()}
	if r.Spin {
		what = append(what, "--spin", spinForever)
	}
	return r.bench(port, what...)
}

// idle opens n connections and holds them open for the time.
func (r Remote) idle(port, n int) process.Command {
	return r.bench(port, "--idle", strconv.Itoa(n), "--time", r.Time.String())
}

// dials opens and closes n connections, one at a time.
func (r Remote) dials(port, n int) process.Command {
	return r.bench(port, "--dials", strconv.Itoa(n))
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
