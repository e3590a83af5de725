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

// A section is a group's title and what its contenders achieved.
type section struct {
	title string
	rows  []row
}

const tableFormat = "%-26s %6s %7s %8s %7s %7s %7s %6s %6s %6s\n"

const tableNotes = `
p50, p99, p99.9 and CPU are in microseconds; "of 1st" is the IOPS beside those of the first line of
the group. CPU/IO is user and system time per operation, here and in the server's process. calls/IO
are system calls for the data, here, and count reads of a socket that has nothing yet. Times include
making and checking the stamps, which is the same work for all.
`

// printTable prints a line for each contender, beside the baseline of its group.
func printTable(out io.Writer, sections []section) {
	head := fmt.Sprintf(tableFormat, "", "", "", "", "", "", "", "CPU/IO", "CPU/IO", "calls") +
		fmt.Sprintf(tableFormat, "", "ops", "IOPS", "of 1st", "p50", "p99", "p99.9", "here", "server", "/IO")
	fmt.Fprintf(out, "\n%s%s\n", head, strings.Repeat("-", strings.Index(head, "\n")))
	for i, s := range sections {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, s.title)
		for _, r := range s.rows {
			r.print(out, s.baseline())
		}
	}
	fmt.Fprint(out, tableNotes)
}

// baseline returns the row that the others are compared with, or nil.
func (s section) baseline() *row {
	for i := range s.rows {
		if r := &s.rows[i]; r.baseline && r.err == nil && r.skipped == "" {
			return r
		}
	}
	return nil
}

func (r row) print(out io.Writer, baseline *row) {
	name := "  " + r.name
	switch {
	case r.skipped != "":
		fmt.Fprintf(out, "%-26s not available here\n", name)
		return
	case r.err != nil:
		fmt.Fprintf(out, "%-26s FAILED\n", name)
		return
	}
	beside, there := "", ""
	if baseline != nil && !r.baseline {
		beside = fmt.Sprintf("%.2f x", r.iops()/baseline.iops())
	}
	if r.there > 0 {
		there = micro(r.perJob(float64(r.there)))
	}
	quantile := func(q float64) string { return micro(float64(r.latency.Quantile(q))) }
	fmt.Fprintf(out, tableFormat, name, count(float64(r.jobs)), count(r.iops()), beside,
		quantile(0.5), quantile(0.99), quantile(0.999),
		micro(r.perJob(float64(r.here))), there, fmt.Sprintf("%.2f", r.perJob(float64(r.calls))))
}

func (r row) iops() float64 { return float64(r.jobs) / r.elapsed.Seconds() }

func (r row) perJob(sum float64) float64 { return sum / float64(max(r.jobs, 1)) }

func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}

// micro prints nanoseconds as microseconds.
func micro(ns float64) string {
	if us := ns / 1e3; us >= 100 {
		return fmt.Sprintf("%.0f", us)
	}
	return fmt.Sprintf("%.1f", ns/1e3)
}
