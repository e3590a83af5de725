package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"golang.org/x/sys/unix"
)

// A peerTally is what a peer counts.
type peerTally struct {
	open, accepted            atomic.Int64 // connections
	messages, returned, bytes atomic.Int64
}

// peerListening is the first line of peer --json.
type peerListening struct {
	Event   string `json:"event"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Size    int64  `json:"size"`
	Key     string `json:"key"` // of the memory, for rdma.ParseKey
	TLS     bool   `json:"tls"`
}

// peerReport is each further line. CPU time is the process's, since it began.
type peerReport struct {
	Event       string  `json:"event"`
	Seconds     float64 `json:"seconds"`     // since it listens
	Connections int64   `json:"connections"` // open now
	Accepted    int64   `json:"accepted"`
	Refused     int64   `json:"refused"` // came to nothing while they were set up
	LastRefused string  `json:"last_refused,omitempty"`
	Messages    int64   `json:"messages"`
	Returned    int64   `json:"returned"` // messages sent back
	Bytes       int64   `json:"bytes_received"`
	UserCPU     int64   `json:"user_cpu_ns"`
	SystemCPU   int64   `json:"system_cpu_ns"`
	CPUPer      float64 `json:"cpu_ns_per_message,omitempty"`
	footprint
}

func (p *peer) report(event string) {
	t := &p.tally
	r := peerReport{
		Event: event, Seconds: time.Since(p.began).Seconds(), Connections: t.open.Load(), Accepted: t.accepted.Load(),
		Messages: t.messages.Load(), Returned: t.returned.Load(), Bytes: t.bytes.Load(), footprint: takeFootprint(),
	}
	var last error
	if r.Refused, last = p.listener.Failures(); last != nil {
		r.LastRefused = last.Error()
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		r.UserCPU, r.SystemCPU = used.Utime.Nano(), used.Stime.Nano()
	}
	if r.Messages > 0 {
		r.CPUPer = float64(r.UserCPU+r.SystemCPU) / float64(r.Messages)
	}
	if p.flags.json {
		printLine(p.sh.out, r)
	} else {
		r.print(p.sh.out)
	}
}

func (r *peerReport) print(w io.Writer) {
	count := func(n int64) string { return console.Count(float64(n)) }
	fmt.Fprintf(w, "%s connections in %v, %s of them open", count(r.Accepted), time.Duration(r.Seconds*1e9).Round(time.Millisecond), count(r.Connections))
	if r.Refused > 0 {
		fmt.Fprintf(w, ", and %s came to nothing", count(r.Refused))
	}
	fmt.Fprintf(w, "; %s messages, %s sent back, %s received; CPU %s user, %s system\n", count(r.Messages), count(r.Returned),
		bytesize.Format(r.Bytes), console.Nanos(float64(r.UserCPU)), console.Nanos(float64(r.SystemCPU)))
	if r.LastRefused != "" {
		fmt.Fprintf(w, "the last that came to nothing: %s\n", r.LastRefused)
	}
}

// printLine writes v as one line of JSON. Nobody is left to be told if that
// fails.
func printLine(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}
