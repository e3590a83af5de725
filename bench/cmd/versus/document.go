package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
)

// A document is what is kept of a run.
type document struct {
	Time    time.Time        `json:"time"`
	Machine machine          `json:"machine"`
	Rounds  int              `json:"rounds"`
	Seconds float64          `json:"seconds_per_run"`
	Remote  remote           `json:"remote"`
	Rows    []contest.Result `json:"rows"`
}

// A machine says where a run was.
type machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Fio    string `json:"fio,omitempty"`
	UCX    string `json:"ucx,omitempty"`
}

// A remote says how the remote contestants were run.
type remote struct {
	Congestion string `json:"congestion"` // "" is the machine's
	Spin       bool   `json:"spin"`
	Huge       bool   `json:"huge"` // the bound's memory
}

func newDocument(o options) *document {
	return &document{
		Time: time.Now().UTC(), Rounds: o.rounds, Seconds: o.rows.Time.Seconds(),
		Machine: machine{
			OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: firstLine("/proc/sys/kernel/osrelease"),
			CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version(), Fio: version("", "fio", "--version"), UCX: version("ucx-", "ucx_info", "-v"),
		},
		Remote: remote{Congestion: o.rows.Congestion, Spin: o.rows.Spin, Huge: o.rows.Huge},
	}
}

func (m machine) String() string {
	parts := []string{m.OS + "/" + m.Arch, m.Kernel, m.CPU, fmt.Sprintf("%d cores", m.Cores), m.Go, m.Fio, m.UCX}
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, ", ")
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// version returns the last word of the first line that a program says of its
// version, after a prefix; "" if it is not there.
func version(prefix, program, option string) string {
	out, err := exec.Command(program, option).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	return prefix + words[len(words)-1]
}

// summary counts the bars met.
func (d *document) summary() string {
	met, all := 0, 0
	for _, r := range d.Rows {
		for _, f := range r.Figures {
			if f.NoBar {
				continue
			}
			all++
			if f.Pass {
				met++
			}
		}
	}
	return fmt.Sprintf("%d of %d bars met", met, all)
}

// write stores the document in dir, under the time of the run.
func (d *document) write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, d.Time.Format("20060102T150405Z")+".json")
	return path, os.WriteFile(path, append(text, '\n'), 0o644)
}
