// Package standin stands in for the unio command in tests of what runs it: it
// understands the command lines of unio peer, unio serve and unio bench,
// connects as often as it is told, and makes up the figures.
package standin

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// variable, if set, makes a test's program the command.
	variable = "UNIO_BENCH_STANDIN"
	// Leaking is a value of the variable that makes the peer keep a descriptor
	// and a goroutine of each connection.
	Leaking = "leaking"
	// Working is the other value.
	Working = "working"
)

// IOPS is what every bench reports.
const IOPS = 12345.0

// TestMain runs the tests, or is the command if the program was started by Use.
func TestMain(m *testing.M) {
	if os.Getenv(variable) == "" {
		os.Exit(m.Run())
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "unio stand-in:", err)
		os.Exit(1)
	}
}

// Use returns the path of the stand-in, which works as said until the test ends.
func Use(t *testing.T, how string) string {
	t.Helper()
	t.Setenv(variable, how)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// options are those of both commands.
type options struct {
	listen, op, congestion string
	size, block, depth     int
	idle, dials            int
	time, spin             time.Duration
	json                   bool
}

func run(args []string, out io.Writer) error {
	if len(args) < 1 {
		return fmt.Errorf("no command")
	}
	command, args := args[0], args[1:]
	target := ""
	if command == "bench" && len(args) > 0 {
		target, args = args[0], args[1:]
	}
	var o options
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.StringVar(&o.listen, "listen", "", "")
	fs.StringVar(&o.op, "op", "read", "")
	fs.StringVar(&o.congestion, "congestion", "", "")
	fs.String("export", "", "")
	fs.String("rw", "", "")
	fs.IntVar(&o.size, "size", 0, "")
	fs.IntVar(&o.block, "bs", 4096, "")
	fs.IntVar(&o.depth, "depth", 1, "")
	fs.IntVar(&o.idle, "idle", 0, "")
	fs.IntVar(&o.dials, "dials", 0, "")
	fs.DurationVar(&o.time, "time", 0, "")
	fs.DurationVar(&o.spin, "spin", 0, "")
	fs.BoolVar(&o.json, "json", false, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if !o.json && command != "serve" || fs.NArg() > 0 {
		return fmt.Errorf("arguments %q", args)
	}
	switch command {
	case "peer", "serve":
		return o.peer(out)
	case "bench":
		return o.bench(target, out)
	}
	return fmt.Errorf("no command %s", command)
}

// peer accepts connections and says how it is at SIGUSR1, until it is killed.
func (o options) peer(out io.Writer) error {
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "{\"listening\": %q}\n", o.listen)
	var open atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Write([]byte{1}) // bench has a connection only once it is counted
				_, _ = io.Copy(io.Discard, c)
				open.Add(-1)
				if os.Getenv(variable) == Leaking {
					select {}
				}
			}()
		}
	}()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for range asked {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		fmt.Fprintf(out, "{\"connections\": %d, \"goroutines\": %d, \"heap_bytes\": %d}\n",
			open.Load(), runtime.NumGoroutine(), m.HeapAlloc)
	}
	return nil
}

// bench connects and reports.
func (o options) bench(target string, out io.Writer) error {
	u, err := url.Parse(target)
	local := err == nil && u.Scheme == "file"
	if err != nil || !local && (u.Scheme != "rdma" || u.Query().Get("crc") == "") {
		return fmt.Errorf("target %q (%v)", target, err)
	}
	n, hold := max(o.idle, o.dials, 1), o.dials == 0
	if local {
		n = 0
	}
	for range n {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return err
		}
		if hold {
			defer func() { _ = c.Close() }()
		} else {
			_ = c.Close()
		}
	}
	time.Sleep(o.time) // the run, or the connections' idle time
	fmt.Fprintf(out, `{"operations": %s, "iops": %g, "latency_ns": {"p50": 7000, "p99": 9000}, "syscalls_per_io": 0.5, "errors": 0}`+"\n",
		strconv.Itoa(cmp.Or(o.dials, 1000)), IOPS)
	return nil
}
