package main

import (
	"fmt"
	"strings"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/target"
)

// serveEvent is a line of serve --json.
type serveEvent struct {
	Event     string         `json:"event"`               // listening, reloaded or end
	Addresses []string       `json:"addresses,omitempty"` // of listening
	TLS       bool           `json:"tls"`
	Exports   []servedExport `json:"exports,omitempty"` // of listening and reloaded
	Error     string         `json:"error,omitempty"`   // of reloaded: all stays as it was; of end: what did not close cleanly
	Stats     *target.Stats  `json:"stats,omitempty"`   // of end
}

// A servedExport is an export as it is announced.
type servedExport struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	ReadOnly bool   `json:"read_only"`
}

func (s *server) served() (all []servedExport) {
	for _, x := range s.target.Stats().Exports {
		all = append(all, servedExport{x.Name, x.URL, x.ReadOnly})
	}
	return all
}

// announce says where it listens.
func (s *server) announce() {
	e := serveEvent{Event: "listening", Addresses: s.addresses, TLS: s.secret != nil, Exports: s.served()}
	if s.flags.json {
		printLine(s.sh.out, e)
		return
	}
	how := "without TLS"
	if e.TLS {
		how = "with TLS"
	}
	fmt.Fprintf(s.sh.out, "listening at %s, %s\n", strings.Join(e.Addresses, ", "), how)
	e.print(s)
}

// print prints what is served, as URLs.
func (e *serveEvent) print(s *server) {
	for _, x := range e.Exports {
		fmt.Fprintf(s.sh.out, "  %s: %s, %s\n", regionURL(s.addresses[0], x.Name), x.URL, rightsOf(x.ReadOnly))
	}
}

func (s *server) announceReload(err error) {
	e := serveEvent{Event: "reloaded", TLS: s.secret != nil, Exports: s.served()}
	if err != nil {
		e.Error = err.Error()
	}
	switch {
	case s.flags.json:
		printLine(s.sh.out, e)
	case err == nil:
		fmt.Fprintln(s.sh.out, "reloaded")
		e.print(s)
	}
}

func (s *server) announceEnd(stats *target.Stats, err error) {
	e := serveEvent{Event: "end", TLS: s.secret != nil, Stats: stats}
	if err != nil {
		e.Error = err.Error()
	}
	if s.flags.json {
		printLine(s.sh.out, e)
		return
	}
	var read, written int64
	for _, x := range stats.Exports {
		read, written = read+x.BytesRead, written+x.BytesWritten
	}
	fmt.Fprintf(s.sh.out, "%d connections, %d not let in, %d failed handshakes; %s read, %s written\n",
		stats.Admitted, stats.Rejected, stats.Failed, bytesize.Format(read), bytesize.Format(written))
}
