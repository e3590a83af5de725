package contest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const tableFormat = "%-38s %-9s %10s  %-22s %22s  %8s  %s\n"

// PrintHead prints the table's heading.
func PrintHead(out io.Writer) {
	head := fmt.Sprintf(tableFormat, "row", "figure", "unio", "baseline", "min / median / max", "bar", "")
	fmt.Fprintf(out, "%s%s\n", head, strings.Repeat("-", len(head)-1))
}

// Print prints a line for each figure of a result.
func (r Result) Print(out io.Writer) {
	if r.Error != "" {
		fmt.Fprintf(out, "%-38s error: %s\n", r.Name, r.Error)
		return
	}
	for _, f := range r.Figures {
		baseline := ""
		if f.Kind != Value {
			baseline = amount(f.Metric, f.Baseline) + " " + cmp.Or(f.Against, r.Best)
		}
		fmt.Fprintf(out, tableFormat, r.Name, label(f.Metric), amount(f.Metric, f.Unio), baseline,
			f.comparison(), f.bar(), f.verdict())
	}
	for _, name := range slices.Sorted(maps.Keys(r.Absent)) {
		fmt.Fprintf(out, "%-38s absent: %s: %s\n", r.Name, name, r.Absent[name])
	}
}

func (f Figure) verdict() string {
	switch {
	case f.NoBar:
		return ""
	case f.Pass:
		return "pass"
	}
	return "MISS"
}

func label(m Metric) string {
	return map[Metric]string{
		IOPS: "IOPS", CPU: "CPU/IO", P50: "p50", P99: "p99", Time: "time", Threads: "threads",
		Allocs: "allocs/op", Syscalls: "calls/op", Memory: "bytes",
		Bandwidth: "bytes/s", Dials: "dials/min", TargetCPU: "target/IO", Descriptors: "fds left", Goroutines: "go left",
	}[m]
}

// amount prints a figure with its unit, in the width of a table's cell.
func amount(m Metric, v float64) string {
	switch m {
	case IOPS:
		if v >= 1e6 {
			return fmt.Sprintf("%.2fM/s", v/1e6)
		}
		return fmt.Sprintf("%.1fk/s", v/1e3)
	case Bandwidth:
		return fmt.Sprintf("%.2fGB/s", v/1e9)
	case Dials:
		return fmt.Sprintf("%.1fk", v/1e3)
	case CPU, TargetCPU, P50, P99:
		return fmt.Sprintf("%.2fus", v/1e3)
	case Time:
		if v >= 1e4 {
			return fmt.Sprintf("%.1fus", v/1e3)
		}
		return fmt.Sprintf("%.1fns", v)
	case Memory:
		return fmt.Sprintf("%.1fKiB", v/1024)
	}
	return fmt.Sprintf("%.3g", v)
}

func (f Figure) comparison() string {
	switch f.Kind {
	case Ratio:
		return fmt.Sprintf("%.2f / %.2f / %.2f x", f.Spread.Min, f.Spread.Median, f.Spread.Max)
	case Difference:
		return fmt.Sprintf("%+.0f / %+.0f / %+.0f ns", f.Spread.Min, f.Spread.Median, f.Spread.Max)
	}
	scale := 1.0
	switch f.Metric {
	case Memory:
		scale = 1024
	case Dials:
		scale = 1000
	}
	return fmt.Sprintf("%.3g / %.3g / %.3g", f.Spread.Min/scale, f.Spread.Median/scale, f.Spread.Max/scale)
}

func (f Figure) bar() string {
	if f.NoBar {
		return "-"
	}
	sign := "<="
	if f.AtLeast {
		sign = ">="
	}
	switch {
	case f.Metric == Memory:
		return fmt.Sprintf("%s %.0fKiB", sign, f.Bar/1024)
	case f.Metric == Dials:
		return fmt.Sprintf("%s %s", sign, amount(Dials, f.Bar))
	}
	return fmt.Sprintf("%s %.3g", sign, f.Bar)
}
