package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

// cpuTime is what the process has used so far, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// printTable prints a line for each contender, in two groups, each beside its
// own os.File.
func printTable(out io.Writer, rows []row) {
	const format = "%-22s %9s %8s %9s %9s %9s %8s %9s\n"
	head := fmt.Sprintf(format, "", "IOPS", "", "p50", "p99", "p99.9", "CPU/IO", "calls/IO")
	fmt.Fprintf(out, "\n%s%s\n", head, strings.Repeat("-", len(head)-1))
	for i, r := range rows {
		if i > 0 && r.group != rows[i-1].group {
			fmt.Fprintln(out)
		}
		switch {
		case r.skipped != "":
			fmt.Fprintf(out, "%-22s not available here\n", r.name)
		case r.err != nil:
			fmt.Fprintf(out, "%-22s FAILED\n", r.name)
		default:
			fmt.Fprintf(out, format, r.name, count(r.iops()), r.beside(rows),
				micro(r.latency.Quantile(0.5)), micro(r.latency.Quantile(0.99)), micro(r.latency.Quantile(0.999)),
				micro(time.Duration(r.perJob(float64(r.cpu)))), fmt.Sprintf("%.2f", r.perJob(float64(r.calls))))
		}
	}
	fmt.Fprintln(out, "\nTimes include making and checking the stamps, which is the same work for all. CPU/IO is the")
	fmt.Fprintln(out, "process's user and system time; calls/IO are system calls for the data, as each side counts them.")
}

func (r row) iops() float64 { return float64(r.jobs) / r.elapsed.Seconds() }

func (r row) perJob(sum float64) float64 { return sum / float64(max(r.jobs, 1)) }

// beside compares the row's IOPS with its group's os.File.
func (r row) beside(rows []row) string {
	if r.baseline {
		return ""
	}
	for _, b := range rows {
		if b.group == r.group && b.baseline && b.err == nil && b.skipped == "" {
			return fmt.Sprintf("(%.2fx)", r.iops()/b.iops())
		}
	}
	return ""
}

func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}

func micro(d time.Duration) string {
	us := float64(d) / float64(time.Microsecond)
	if us >= 100 {
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.1f us", us)
}
