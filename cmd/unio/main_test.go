package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/transfer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"unio": func() { os.Exit(run()) }})
}

// TestScripts runs the command as its users do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"json": checkJSON, "status": checkStatus, "makefile": makeFile, "flip": flip, "halfcopy": halfCopy,
			"peer": startPeer, "peerstatus": peerStatus, "endpeer": endPeer, "foreignpeer": foreignPeer, "certificates": makeCertificates, "portof": portOf, "reach": reach,
		},
		Setup: setupPeers,
	})
}

// makeFile is "makefile PATH BYTES": a file of bytes that do not repeat.
func makeFile(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n)
	x := uint64(n) | 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// flip is "flip PATH OFFSET": it changes one byte.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	ts.Check(err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, at)
	ts.Check(errors.Join(err, f.Close()))
}

// checkStatus is "status N COMMAND...": the command must exit with N.
func checkStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// checkJSON is "json PATH-IN-OBJECT [OP VALUE]", of the last standard output:
// the value exists, or compares so. OP is =, > or >=.
func checkJSON(ts *testscript.TestScript, negate bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	found := true
	for key := range strings.SplitSeq(args[0], ".") {
		switch c := v.(type) {
		case map[string]any:
			v, found = c[key]
		case []any:
			i, err := strconv.Atoi(key)
			ts.Check(err)
			if found = i < len(c); found {
				v = c[i]
			}
		default:
			found = false
		}
		if !found {
			break
		}
	}
	if found && len(args) == 3 {
		found = compares(ts, v, args[1], args[2])
	}
	if found == negate {
		ts.Fatalf("%v: the value is %v", args, v)
	}
}

func compares(ts *testscript.TestScript, v any, op, want string) bool {
	if op == "=" {
		if n, isNumber := v.(float64); isNumber {
			return strconv.FormatFloat(n, 'f', -1, 64) == want
		}
		return fmt.Sprint(v) == want
	}
	limit, err := strconv.ParseFloat(want, 64)
	ts.Check(err)
	n, isNumber := v.(float64)
	return isNumber && (n > limit || op == ">=" && n == limit)
}

// halfCopy is "halfcopy SRC DST CHUNKS": what a copy of SRC that was killed
// leaves, after it had noted so many chunks of 64 KiB. The rest of DST is
// garbage.
func halfCopy(ts *testscript.TestScript, _ bool, args []string) {
	const chunk = 64 << 10
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	from, to := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	content, err := os.ReadFile(from)
	ts.Check(err)
	half := make([]byte, (len(content)+pageSize-1)/pageSize*pageSize)
	for i := range half {
		half[i] = 0xa5
	}
	copy(half, content[:n*chunk])
	ts.Check(os.WriteFile(to, half, 0o600))
	src, err := location.Locate(from)
	ts.Check(err)
	dst, err := location.Locate(to)
	ts.Check(err)
	h := transfer.Header{Source: identify(src), Target: identify(dst), Chunk: chunk}
	h.Source.Size, h.Target.ModTime = src.Stat.Size(), 0
	s, why, err := transfer.OpenState(transfer.StatePath(to), h)
	ts.Check(err)
	if why != "" {
		ts.Fatalf("%s", why)
	}
	var sums []uint32
	for i := range n {
		sums = append(sums, transfer.Sum(content[i*chunk:(i+1)*chunk]))
	}
	ts.Check(s.Advance(sums))
	ts.Check(s.Close())
}
