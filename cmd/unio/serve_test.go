package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/transfer"
)

// TestServeScripts runs targets and their clients as their users do.
func TestServeScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/serve",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"json": checkJSON, "status": checkStatus, "makefile": makeFile, "flip": flip, "certificates": makeCertificates, "portof": portOf,
			"peer": startPeer, "endpeer": endPeer,
			"serve": startServe, "reload": reloadServe, "endserve": endPeer, "signal": signalServe, "ended": endedServe, "notifications": takeNotifications, "notified": notified,
			"notes": makeNotes,
		},
		Setup: func(env *testscript.Env) error {
			env.Values["notifications"] = new(*net.UnixConn)
			return setupPeers(env)
		},
	})
}

// startServe is "serve NAME ARGS...": unio serve runs with these arguments at a
// free port, and $NAME is where it listens.
func startServe(ts *testscript.TestScript, _ bool, args []string) {
	p := &runningPeer{cmd: exec.Command("unio", append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args[1:]...)...)}
	p.cmd.Dir, p.cmd.Stderr = ts.MkAbs("."), &p.stderr
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+ts.Getenv("NOTIFY_SOCKET"))
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	ts.Defer(func() {
		if p.cmd.ProcessState != nil {
			return
		}
		_ = p.cmd.Process.Kill() // the script has not ended it
		_ = p.cmd.Wait()
		ts.Logf("%s said: %s", args[0], p.stderr.String())
	})
	p.lines = bufio.NewScanner(out)
	var l serveEvent
	fmt.Fprintln(ts.Stdout(), p.next(ts, &l))
	if l.Event != "listening" || len(l.Addresses) == 0 {
		ts.Fatalf("it says %+v", l)
	}
	ts.Setenv(args[0], l.Addresses[0])
	ts.Value("peers").(peers)[args[0]] = p
}

// reloadServe is "reload NAME": stdout is what it says about that.
func reloadServe(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value("peers").(peers)[args[0]]
	ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
	var l serveEvent
	fmt.Fprintln(ts.Stdout(), p.next(ts, &l))
	if l.Event != "reloaded" {
		ts.Fatalf("it says %+v", l)
	}
}

// signalServe is "signal NAME": SIGTERM, without waiting.
func signalServe(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Value("peers").(peers)[args[0]].cmd.Process.Signal(syscall.SIGTERM))
}

// endedServe is "ended NAME": it ends by itself, with status 0; stdout is its
// last line, stderr all of its.
func endedServe(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value("peers").(peers)[args[0]]
	fmt.Fprintln(ts.Stdout(), p.next(ts, new(serveEvent)))
	err := p.cmd.Wait()
	fmt.Fprint(ts.Stderr(), p.stderr.String())
	ts.Check(err)
}

// takeNotifications is "notifications PATH": what is sent to that socket is
// kept for "notified".
func takeNotifications(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ts.Setenv("NOTIFY_SOCKET", path)
	*ts.Value("notifications").(**net.UnixConn) = c
}

// notified is "notified REGEXP": the next notification is like that.
func notified(ts *testscript.TestScript, _ bool, args []string) {
	c := *ts.Value("notifications").(**net.UnixConn)
	ts.Check(c.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	ts.Check(err)
	if !regexp.MustCompile(args[0]).Match(b[:n]) {
		ts.Fatalf("the notification is %q", b[:n])
	}
}

// makeNotes is "notes CONTENT SRC DST FILE CHUNKS": what a copy from SRC to DST
// that was killed has noted in FILE, after so many chunks of 64 KiB, which are
// as in CONTENT.
func makeNotes(ts *testscript.TestScript, _ bool, args []string) {
	const chunk = 64 << 10
	n, err := strconv.Atoi(args[4])
	ts.Check(err)
	content := []byte(ts.ReadFile(args[0]))
	identity := func(raw string) transfer.Identity {
		if _, err := os.Stat(ts.MkAbs(raw)); err == nil {
			raw = ts.MkAbs(raw)
		}
		l, err := location.Locate(raw)
		ts.Check(err)
		return identify(l)
	}
	h := transfer.Header{Source: identity(args[1]), Target: identity(args[2]), Chunk: chunk}
	h.Source.Size, h.Target.ModTime = int64(len(content)), 0
	s, _, err := transfer.OpenState(ts.MkAbs(args[3]), h)
	ts.Check(err)
	var sums []uint32
	for i := range n {
		sums = append(sums, transfer.Sum(content[i*chunk:(i+1)*chunk]))
	}
	ts.Check(s.Advance(sums))
	ts.Check(s.Close())
}
