package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/provider/rdma"
)

// A pingReport is what ping --json prints: what the two ends agreed on, and
// what was measured.
type pingReport struct {
	URL        string          `json:"url"`
	Address    string          `json:"address"`
	Unio       bool            `json:"unio"` // the peer runs this software
	CRC        bool            `json:"crc"`
	TLS        bool            `json:"tls"`
	Revision   int             `json:"mpa_revision"`
	IRD        int             `json:"ird"`
	ORD        int             `json:"ord"`
	MaxMessage int             `json:"max_message"`
	Memory     *int64          `json:"memory_bytes,omitempty"` // nil: the peer has named none
	Echo       bool            `json:"echo"`                   // the peer promises to send messages back
	Method     string          `json:"method,omitempty"`       // echo or read
	Size       int64           `json:"size"`                   // bytes of each
	Sent       int64           `json:"sent"`
	Back       int64           `json:"back"`
	Latency    latency.Summary `json:"latency_ns"` // of whole round trips
	Error      string          `json:"error,omitempty"`

	conn *rdma.Conn
}

func newPingReport(raw string, conn *rdma.Conn) *pingReport {
	i := conn.Peer()
	r := &pingReport{
		URL: raw, Address: conn.RemoteAddr().String(), Unio: i.Unio, CRC: i.CRC, TLS: i.TLS,
		Revision: i.Revision, IRD: i.IRD, ORD: i.ORD, MaxMessage: i.MaxMessage, conn: conn,
	}
	var k rdma.Key
	if data := conn.PeerData(); k.UnmarshalBinary(data) == nil {
		r.Memory = &k.Size
		whole, _ := k.AppendBinary(nil) // never fails
		r.Echo = len(data) >= len(whole) && bytes.HasPrefix(data[len(whole):], []byte(echoPromise))
	}
	return r
}

// printPeer says what the peer is.
func (r *pingReport) printPeer(w io.Writer) {
	what := []string{"a peer of other make"}
	if r.Unio {
		what[0] = "a unio peer"
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{r.CRC, "CRC"}, {r.TLS, "TLS"}} {
		if o.on {
			what = append(what, o.name+" on")
		} else {
			what = append(what, o.name+" off")
		}
	}
	what = append(what, fmt.Sprintf("MPA revision %d", r.Revision), fmt.Sprintf("IRD %d, ORD %d", r.IRD, r.ORD))
	if r.Memory != nil {
		what = append(what, bytesize.Format(*r.Memory)+" of memory")
	}
	fmt.Fprintf(w, "%s: %s\n", r.Address, strings.Join(what, ", "))
}

// print says what was measured.
func (r *pingReport) print(w io.Writer) {
	fmt.Fprintf(w, "%d sent, %d back", r.Sent, r.Back)
	if r.Back > 0 {
		n := func(v int64) string { return console.Nanos(float64(v)) }
		l := &r.Latency
		fmt.Fprintf(w, "; round trips of %s: min %s, avg %s, max %s, p99 %s", bytesize.Format(r.Size), n(l.Min), n(l.Mean), n(l.Max), n(l.P99))
	}
	fmt.Fprintln(w)
}
