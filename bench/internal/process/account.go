package process

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The accounts of a server that runs are read from outside, so that they are
// the same for every program. They need Linux.

// CPU returns the user and system time that the server has used so far, or in
// all if it has ended.
func (s *Server) CPU() (time.Duration, error) {
	used, err := processTime(s.cmd.Process.Pid)
	if err == nil {
		return used, nil
	}
	select {
	case <-s.ended:
		return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime(), nil
	case <-time.After(endPatience):
		return 0, err
	}
}

// endPatience is how long it may take to notice that a server has ended.
const endPatience = time.Second

// Descriptors returns how many the server has open.
func (s *Server) Descriptors() (int, error) {
	open, err := os.ReadDir(s.proc("fd"))
	return len(open), err
}

// Resident returns how many bytes of memory the server has, exactly: the
// figure of /proc/PID/status lags behind.
func (s *Server) Resident() (int64, error) {
	f, err := os.Open(s.proc("smaps_rollup"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for in := bufio.NewScanner(f); in.Scan(); {
		if fields := strings.Fields(in.Text()); len(fields) == 3 && fields[0] == "Rss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no Rss in %s", f.Name())
}

func (s *Server) proc(name string) string {
	return "/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/" + name
}

// stateListen is the state of a socket that listens, in the kernel's tables
// (TCP_LISTEN of include/net/tcp_states.h).
const stateListen = "0A"

// listening reports whether a socket of this machine listens on a TCP port.
func listening(port int) (bool, error) {
	want := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if os.IsNotExist(err) && table == "/proc/net/tcp6" {
			continue // no IPv6
		}
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], want) && f[3] == stateListen {
				return true, nil
			}
		}
	}
	return false, nil
}
