package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/internal/plot"
	"github.com/unio-stack/unio/internal/workload"
)

// A benchReport is what bench --json prints: what was asked, of what, and the
// fields of the Result beside them.
type benchReport struct {
	URL       string   `json:"url"`
	Device    string   `json:"device"`
	Provider  string   `json:"provider"`
	Engine    string   `json:"engine"`
	Reason    string   `json:"reason"`
	Notes     []string `json:"notes,omitempty"`
	Access    string   `json:"rw"`
	Mix       *int     `json:"rwmix,omitempty"` // percentage of reads
	BlockSize int64    `json:"block_size"`
	Depth     int      `json:"depth"`
	Channels  int      `json:"channels"`
	Size      int64    `json:"size"`
	Pinned    bool     `json:"pinned"`
	Durable   bool     `json:"durable"`
	FlushEach int      `json:"fsync"`
	Ramp      float64  `json:"ramp_seconds"`
	Seed      uint64   `json:"seed"`
	Created   bool     `json:"created"` // a file was made, and left in place
	// LatencyOf says what latency_ns is the time of, where that is not one request.
	LatencyOf string `json:"latency_of,omitempty"`
	*workload.Result

	words benchWords
}

func newBenchReport(t *benchTarget, f benchFlags, res *workload.Result) *benchReport {
	info := t.dev.Info()
	r := &benchReport{
		URL: t.raw, Device: info.Name, Provider: info.Provider, Engine: info.Engine, Reason: info.Reason, Notes: info.Notes,
		Access: f.op, BlockSize: f.block, Depth: f.depth, Channels: f.channels,
		Pinned: f.pin, Durable: f.durable, FlushEach: f.flush,
		Ramp: f.ramp.Seconds(), Seed: f.seed, Created: t.plan.made, Result: res, words: wordsFor(f),
	}
	if t.reg != nil {
		r.Size = cmp.Or(f.size, t.reg.Size())
	}
	if f.op == "randrw" || f.op == "rw" {
		r.Mix = &f.mix
	}
	switch {
	case f.dials > 0:
		r.Access, r.BlockSize, r.Seed, r.LatencyOf = "dials", 0, 0, "opening and closing a connection"
	case f.op == "pingpong":
		r.LatencyOf = r.words.latency
	}
	return r
}

// report prints and draws the result, and turns what went wrong into an exit
// status.
func report(sh *shell, f benchFlags, r *benchReport) error {
	var err error
	if f.json {
		err = printJSON(sh.out, r)
	} else {
		r.print(sh.out, sh.outStyle)
	}
	if err == nil && f.plot != "" {
		err = r.plot(f.plot)
	}
	switch v := r.Verify; {
	case err != nil:
		return err
	case v != nil && v.Mismatches > 0:
		fmt.Fprint(sh.err, mismatches(v))
		return &exitError{status: exitMismatch}
	case r.Errors > 0:
		return &exitError{status: exitFailed, err: fmt.Errorf("%d requests failed, first: %s", r.Errors, r.Failure[0])}
	case r.Interrupted:
		return &exitError{status: exitInterrupted}
	}
	return nil
}

// mismatches describes the first of them.
func mismatches(v *workload.Verified) string {
	var b strings.Builder
	fmt.Fprintf(&b, "unio: %d of %d blocks checked are not what was written there\n", v.Mismatches, v.Checked)
	for _, m := range v.First {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	if more := v.Mismatches - int64(len(v.First)); more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	return b.String()
}

// benchWords are what people call what was measured.
type benchWords struct {
	what    string // each of it; "" where that goes without saying
	rate    string
	latency string
}

func wordsFor(f benchFlags) benchWords {
	switch {
	case f.dials > 0:
		return benchWords{"", "connections/s", "each"}
	case f.op == "pingpong":
		return benchWords{"messages", "round trips/s", "round trip"}
	case f.op == "send":
		return benchWords{"messages", "messages/s", "latency"}
	case f.op == "fetch-add", f.op == "compare-swap":
		return benchWords{"words", "IOPS", "latency"}
	}
	return benchWords{"blocks", "IOPS", "latency"}
}

// heading is the run in one line.
func (r *benchReport) heading() string {
	var s strings.Builder
	s.WriteString(r.Access)
	if r.Mix != nil {
		s.WriteString(fmt.Sprintf(" (%d%% reads)", *r.Mix))
	}
	if r.words.what != "" {
		s.WriteString(fmt.Sprintf(", %s %s", bytesize.Format(r.BlockSize), r.words.what))
	}
	s.WriteString(fmt.Sprintf(", depth %d", r.Depth))
	if r.Channels > 1 {
		s.WriteString(fmt.Sprintf(", %d channels", r.Channels))
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{r.Pinned, "pinned"}, {r.Durable, "durable"}, {r.Verify != nil, "verified"}, {r.Interrupted, "interrupted"}} {
		if o.on {
			s.WriteString(", " + o.name)
		}
	}
	return s.String() + fmt.Sprintf(", %.2f s", r.Seconds)
}

func (r *benchReport) print(w io.Writer, st console.Style) {
	fmt.Fprintln(w, st.Bold(r.heading()))
	fmt.Fprintf(w, "%s\n", st.Dim(fmt.Sprintf("%s, %s: %s", r.where(), r.Engine, r.Reason)))
	for _, n := range r.Notes {
		fmt.Fprintln(w, st.Dim("note: "+n))
	}
	fmt.Fprintf(w, "\n  rate      %s\n", r.rate(st))
	printLatency(w, r.words.latency, &r.Latency)
	if r.Read != nil && r.Write != nil {
		printPart(w, "reads", r.Read)
		printPart(w, "writes", r.Write)
	}
	if r.Flush != nil {
		printPart(w, "flushes", r.Flush)
	}
	fmt.Fprintf(w, "  CPU       %s per I/O (%s user, %s system)\n",
		console.Nanos(r.CPUPerIO), console.Nanos(r.UserCPUPerIO), console.Nanos(r.SystemCPUPerIO))
	fmt.Fprintf(w, "  per I/O   %s system calls, %s context switches; %s I/O per doorbell\n",
		console.Count(r.SyscallsPerIO), console.Count(r.SwitchesPerIO), console.Count(r.BatchSize))
	fmt.Fprintf(w, "  bounced   %s\n", bytesize.Format(r.BouncedBytes))
	r.printOutcome(w, st)
}

// where is what was measured, and how much of it.
func (r *benchReport) where() string {
	if r.Size == 0 {
		return r.Device
	}
	return bytesize.Format(r.Size) + " of " + r.Device
}

// rate is in operations, and in bytes if they have any.
func (r *benchReport) rate(st console.Style) string {
	s := st.Bold(console.Count(r.IOPS)) + " " + r.words.rate
	if r.BytesPerSecond > 0 {
		s += ", " + bytesize.Format(int64(r.BytesPerSecond)) + "/s"
	}
	if r.Access == "pingpong" {
		s += " each way"
	}
	return s
}

func (r *benchReport) printOutcome(w io.Writer, st console.Style) {
	errors := fmt.Sprint(r.Errors)
	if r.Errors > 0 {
		errors = st.Red(errors)
	}
	fmt.Fprintf(w, "  errors    %s\n", errors)
	for _, e := range r.Failure {
		fmt.Fprintf(w, "            %s\n", e)
	}
	if r.GaveUp {
		fmt.Fprintln(w, "            a channel met too many errors and stopped early")
	}
	if v := r.Verify; v != nil {
		found := st.Green("all as written")
		if v.Mismatches > 0 {
			found = st.Red(fmt.Sprintf("%d mismatches", v.Mismatches))
		}
		fmt.Fprintf(w, "  verified  %d blocks: %s\n", v.Checked, found)
	}
	if r.Created {
		fmt.Fprintf(w, "\n%s was made for this and is left in place.\n", r.Device)
	}
}

func printLatency(w io.Writer, name string, s *latency.Summary) {
	n := func(v int64) string { return console.Nanos(float64(v)) }
	fmt.Fprintf(w, "  %-9s mean %s, p50 %s, p99 %s, p99.9 %s, max %s\n", name, n(s.Mean), n(s.P50), n(s.P99), n(s.P999), n(s.Max))
}

func printPart(w io.Writer, name string, p *workload.Part) {
	rate := console.Count(p.IOPS) + "/s"
	if p.BytesPerSecond > 0 {
		rate = console.Count(p.IOPS) + " IOPS, " + bytesize.Format(int64(p.BytesPerSecond)) + "/s"
	}
	fmt.Fprintf(w, "  %-9s %s\n", name, rate)
	printLatency(w, "", &p.Latency)
}

// plot draws the result to a file.
func (r *benchReport) plot(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	rep := plot.Report{
		Title: r.heading(), Histogram: r.Histogram,
		Subtitle: fmt.Sprintf("%s (%s); %s, %s CPU per I/O", r.where(), r.Engine, r.rate(console.Style{}), console.Nanos(r.CPUPerIO)),
	}
	for _, t := range r.Timeline {
		rep.Timeline = append(rep.Timeline, plot.Point{At: t.Start + t.Width/2, IOPS: t.IOPS, P50: t.P50, P99: t.P99})
	}
	if err := plot.WriteSVG(f, rep); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
