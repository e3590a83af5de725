package evaluation

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
)

// Markdown writes the report for people. version says which unio it is of.
func (r *Report) Markdown(w io.Writer, version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What unio does on this machine\n\n")
	table(&b, []string{"", ""}, [][]string{
		{"date", r.Date.Format(time.RFC3339)},
		{"unio", version + ", " + r.Go},
		{"kernel", r.Kernel},
		{"processor", fmt.Sprintf("%s, %d used", r.Processor, r.Cores)},
		{"measured", fmt.Sprintf("%v each, on %s", time.Duration(r.Seconds*float64(time.Second)), bytesize.Format(r.Size))},
		{"system calls", r.SyscallsFrom},
	})
	r.ways(&b)
	r.checks(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// ways writes what each way costs.
func (r *Report) ways(b *strings.Builder) {
	fmt.Fprintf(b, "\n## What an I/O costs\n\n"+
		"Random 4 KiB, %d%% reads and the rest writes; messages of 4 KiB, there and back. Where there are two\n"+
		"figures, the second is of the target or peer, a process of its own.\n\n", readPercent)
	var speed, cost [][]string
	for _, w := range r.Ways {
		name := []string{w.Name, fmt.Sprint(w.Depth)}
		if w.Absent != "" || w.Failure != "" {
			speed = append(speed, append(name, "not measured: "+w.Absent+w.Failure))
			continue
		}
		speed = append(speed, append(name, w.Engine, console.Count(w.IOPS), console.Nanos(float64(w.P50)), console.Nanos(float64(w.P99)), w.cpu()))
		cost = append(cost, append(name, w.calls(), w.ours(perIO(w.Own)), w.ours(console.Count(w.Batch)), w.switches(), perIO(w.Allocations), perIO(w.Bounced), w.Copies))
	}
	table(b, []string{"way", "depth", "engine", "I/O per second", "p50", "p99", "CPU per I/O"}, speed)
	b.WriteString("\nPer I/O:\n\n")
	table(b, []string{"way", "depth", "system calls", "of which the stack's", "requests per doorbell", "context switches", "allocations", "bytes bounced", "copies of each byte (known, not counted)"}, cost)
	notes := map[string]bool{}
	for _, w := range r.Ways {
		for _, n := range w.Notes {
			if line := w.Name + ": " + n; !notes[line] {
				notes[line] = true
				fmt.Fprintf(b, "\n%s.\n", line)
			}
		}
	}
}

// ours is a figure that only unio counts: 0 requests at a time are none of it.
func (w *Way) ours(figure string) string {
	if w.Batch == 0 {
		return ""
	}
	return figure
}

func (w *Way) cpu() string {
	if w.Server == nil {
		return console.Nanos(w.CPU)
	}
	return console.Nanos(w.CPU) + " + " + console.Nanos(w.Server.CPU)
}

func (w *Way) switches() string {
	if w.Server == nil {
		return perIO(w.Switches)
	}
	return perIO(w.Switches) + " + " + perIO(w.Server.Switches)
}

func (w *Way) calls() string {
	if w.Server == nil || w.Server.Syscalls == nil {
		return perIO(w.Syscalls)
	}
	return perIO(w.Syscalls) + " + " + perIO(*w.Server.Syscalls)
}

// checks writes what was tried, property by property.
func (r *Report) checks(b *strings.Builder) {
	b.WriteString("\n## What holds\n\nEach answer is what came of trying it in this run.\n\n")
	var rows [][]string
	for _, c := range r.Checks {
		answer := string(c.Answer)
		if c.Broken {
			answer = "**no**"
		}
		found := c.Figure
		if c.Answer != Yes {
			found = c.Reason
		}
		rows = append(rows, []string{c.Property, c.Claim, answer, found, c.Tried})
	}
	table(b, []string{"property", "claim", "holds", "found", "tried"}, rows)
}

// table writes a table. Rows may be shorter than the head.
func table(b *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) {
		for i := range head {
			cell := ""
			if i < len(cells) {
				cell = strings.Join(strings.Fields(strings.ReplaceAll(cells[i], "|", `\|`)), " ")
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
}

// perIO prints how much there was of something for each I/O.
func perIO(v float64) string {
	switch {
	case v <= 0: // what ended during the run is not counted at its end
		return "0"
	case v < 0.001:
		return "< 0.001"
	}
	return fmt.Sprintf("%.3g", v)
}
