package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A runningPeer is a unio peer that a script has started.
type runningPeer struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr strings.Builder // complete when it has ended
}

// peers are those of a script, by name.
type peers map[string]*runningPeer

func setupPeers(env *testscript.Env) error {
	env.Values["peers"] = peers{}
	return nil
}

// startPeer is "peer NAME ARGS...": unio peer runs with these arguments, and
// $NAME is where it listens.
func startPeer(ts *testscript.TestScript, _ bool, args []string) {
	p := &runningPeer{cmd: exec.Command("unio", append([]string{"peer", "--json"}, args[1:]...)...)}
	p.cmd.Dir, p.cmd.Stderr = ts.MkAbs("."), &p.stderr
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // if the script has not ended it
		_ = p.cmd.Wait()
	})
	p.lines = bufio.NewScanner(out)
	var l peerListening
	fmt.Fprintln(ts.Stdout(), p.next(ts, &l))
	if l.Event != "listening" || l.Port == 0 {
		ts.Fatalf("it says %+v", l)
	}
	ts.Setenv(args[0], l.Address)
	ts.Value("peers").(peers)[args[0]] = p
}

// patience is how long a peer may take to say something.
const patience = 20 * time.Second

// next reads a line that the peer prints.
func (p *runningPeer) next(ts *testscript.TestScript, v any) (line string) {
	giveUp := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer giveUp.Stop()
	if !p.lines.Scan() {
		ts.Fatalf("the peer has ended, or said nothing for %v: %v", patience, p.lines.Err())
	}
	ts.Check(json.Unmarshal(p.lines.Bytes(), v))
	return p.lines.Text()
}

// peerStatus is "peerstatus NAME [CONNECTIONS]": what it says at SIGUSR1, once
// it has so many connections.
func peerStatus(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value("peers").(peers)[args[0]]
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		ts.Check(p.cmd.Process.Signal(syscall.SIGUSR1))
		var r peerReport
		line := p.next(ts, &r)
		if len(args) == 1 || strconv.FormatInt(r.Connections, 10) == args[1] {
			fmt.Fprintln(ts.Stdout(), line)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s", line)
		}
	}
}

// endPeer is "endpeer NAME [SIGNAL]": the peer is told to end. Unless it is
// killed, it must do so with status 0; stdout is its last line, stderr all of
// its.
func endPeer(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value("peers").(peers)[args[0]]
	sig := syscall.SIGTERM
	if len(args) > 1 {
		sig = map[string]syscall.Signal{"INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[1]]
	}
	ts.Check(p.cmd.Process.Signal(sig))
	if sig == syscall.SIGKILL {
		_ = p.cmd.Wait()
		return
	}
	fmt.Fprintln(ts.Stdout(), p.next(ts, new(peerReport)))
	err := p.cmd.Wait()
	fmt.Fprint(ts.Stderr(), p.stderr.String())
	ts.Check(err)
}

// foreignPeer is "foreignpeer NAME KIND": a peer that is no unio peer. KIND is
// what it does: nothing, memory (it names some, and promises no echo), or
// reject.
func foreignPeer(ts *testscript.TestScript, _ bool, args []string) {
	buf, err := unio.NewBuffer(4096)
	ts.Check(err)
	domain := rdma.NewDomain()
	exposed, err := domain.Expose(buf, unio.ReadWrite)
	ts.Check(err)
	l, err := rdma.Listen(context.Background(), "127.0.0.1:0", rdma.Config{Domain: domain, Decide: func(*rdma.Incoming) ([]byte, error) {
		switch args[1] {
		case "nothing":
			return nil, nil
		case "reject":
			return nil, errors.New("not today")
		}
		return exposed.Key().AppendBinary(nil)
	}})
	ts.Check(err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			all.Go(func() {
				<-c.Done()
				_ = c.Close()
			})
		}
	})
	ts.Defer(func() {
		_ = l.Close()
		all.Wait()
		_ = buf.Free()
	})
	ts.Setenv(args[0], l.Addr().String())
}

// makeCertificates is "certificates": an authority (ca.pem), another
// (otherca.pem), and what the first has certified: peer.pem and peer.key for
// 127.0.0.1, me.pem and me.key for a client.
func makeCertificates(ts *testscript.TestScript, _ bool, _ []string) {
	issue(ts, "otherca", nil, nil)
	authority, key := issue(ts, "ca", nil, nil)
	issue(ts, "peer", authority, key)
	issue(ts, "me", authority, key)
}

// issue makes a certificate, self-signed without an authority, and its files.
func issue(ts *testscript.TestScript, name string, authority *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if authority == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		authority, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority, &key.PublicKey, by)
	ts.Check(err)
	secret, err := x509.MarshalECPrivateKey(key)
	ts.Check(err)
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(file), pem.EncodeToMemory(block), 0o600))
	}
	return c, key
}

// portOf is "portof NAME ADDRESS": $NAME is the port of the address.
func portOf(ts *testscript.TestScript, _ bool, args []string) {
	_, port, err := net.SplitHostPort(args[1])
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// reach is "reach ADDRESS": it waits until something listens there, and leaves
// without a word.
func reach(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			ts.Check(c.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Check(err)
		}
	}
}
