package rdma

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
)

// asked returns a target that turns everybody away with no, and what it was asked for.
func asked(t *testing.T, no error) (addr string, in func() *Incoming) {
	var mu sync.Mutex
	var last *Incoming
	l, err := Listen(t.Context(), "127.0.0.1:0", Config{Serve: func(in *Incoming) (*Service, error) {
		mu.Lock()
		defer mu.Unlock()
		last = in
		return nil, no
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), func() *Incoming {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// TestHintsArrive: a target learns what a client says, and nothing from peers that cannot say it.
func TestHintsArrive(t *testing.T) {
	addr, in := asked(t, errors.New("no"))
	hints := Hints{InFlight: 1 << 20, Pattern: PatternSequential}
	_, _ = OpenRegion(t.Context(), addr, "disk", false, Config{Hints: hints})
	if got := in().Hints; got != hints {
		t.Errorf("the target learns %+v, want %+v", got, hints)
	}
	_, _ = Dial(t.Context(), addr, Config{Hints: hints}) // which asks for no region
	if got := in().Hints; got != (Hints{}) {
		t.Errorf("from a peer that asks for no region: %+v", got)
	}
	_, err := OpenRegion(t.Context(), addr, "disk", false, Config{Hints: Hints{InFlight: -1}})
	if !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("less than nothing in flight: %v", err)
	}
	for _, c := range []struct {
		name string
		tail trailer
		want Hints
	}{
		{"a client that knows no hints", trailer{version: 1, message: 1, features: featureStorage}, Hints{}},
		{"a peer that asks for no region", trailer{version: 1, message: 1, word: 77}, Hints{}},
		{"a pattern of the future", trailer{version: 1, message: 1, features: featureStorage, word: 0x80000002}, Hints{InFlight: 8192}},
		{"a version of the future", trailer{version: 2, message: 1, features: featureStorage, word: 77}, Hints{}},
	} {
		p := rawConnect(t, addr)
		request := mpa(requestKey, 0, 1, 0)
		private := c.tail.append([]byte("disk"))
		request[len(request)-1] = byte(len(private))
		p.write(append(request, private...))
		p.more()
		if got := in().Hints; got != c.want || in().Region == "" {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestRejectionHasItsCause: what a target rejects with comes out at the client, with all the text; others get the text.
func TestRejectionHasItsCause(t *testing.T) {
	addr, _ := asked(t, fmt.Errorf("%w: 3 MiB are left", unio.ErrBusy))
	_, err := OpenRegion(t.Context(), addr, "disk", false, Config{})
	var rejected *RejectedError
	if !errors.Is(err, unio.ErrBusy) || !errors.Is(err, unio.ErrAccess) || !errors.As(err, &rejected) || string(rejected.PrivateData) != "busy: 3 MiB are left" {
		t.Errorf("%v", err)
	}
	_, err = Dial(t.Context(), addr, Config{Verbs: true, PrivateData: []byte("disk")})
	if errors.Is(err, unio.ErrBusy) || !errors.As(err, &rejected) || string(rejected.PrivateData) != "busy: 3 MiB are left" {
		t.Errorf("plain verbs: %v", err)
	}
	addr, _ = asked(t, fmt.Errorf("%w: %s", unio.ErrBusy, strings.Repeat("x", 300)))
	_, err = OpenRegion(t.Context(), addr, "disk", false, Config{})
	if !errors.Is(err, unio.ErrBusy) || !errors.As(err, &rejected) || len(rejected.PrivateData) != 248-trailerSize {
		t.Errorf("a long reason: %v", err)
	}
	addr, _ = asked(t, errors.New("no"))
	_, err = OpenRegion(t.Context(), addr, "disk", false, Config{})
	if !errors.As(err, &rejected) || rejected.Cause != nil || !errors.Is(err, unio.ErrAccess) {
		t.Errorf("no cause: %v", err)
	}
}

// TestFailuresAreTold: who has not set a connection up is told of with his address, but not who was turned away.
func TestFailuresAreTold(t *testing.T) {
	type failed struct {
		peer net.Addr
		err  error
	}
	told := make(chan failed, 10)
	l, err := Listen(t.Context(), "127.0.0.1:0", Config{
		Serve:     func(*Incoming) (*Service, error) { return nil, unio.ErrBusy },
		OnFailure: func(peer net.Addr, err error) { told <- failed{peer, err} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := OpenRegion(t.Context(), l.Addr().String(), "disk", false, Config{}); !errors.Is(err, unio.ErrBusy) {
		t.Error(err)
	}
	p := rawConnect(t, l.Addr().String())
	p.write([]byte("GET / HTTP/1.1\r\n\r\n"))
	f := <-told
	if f.peer.String() != p.conn.LocalAddr().String() || !strings.Contains(f.err.Error(), "GET") {
		t.Errorf("%+v, want the peer %v", f, p.conn.LocalAddr())
	}
	becomes(t, "both are counted", func() bool { n, _ := l.Failures(); return n == 2 })
	rawConnect(t, l.Addr().String()) // whose handshake the end of the Listener cuts off
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Errorf("told of %+v", <-told)
	}
}
