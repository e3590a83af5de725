package unio_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// A pairListener is a net.Listener whose connections are pairs.
type pairListener struct {
	t      testing.TB
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Int64
}

func newPairListener(t testing.TB) *pairListener {
	return &pairListener{t: t, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pairListener) Addr() net.Addr { return &net.UnixAddr{Name: "pairs", Net: "unio"} }

func (l *pairListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pairListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// dial makes a pair, and gives the listener one end of it.
func (l *pairListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	pair := uniotest.NewPair(l.t, uniotest.PairConfig{})
	var ends [2]*unio.Stream
	for i, p := range []*uniotest.Peer{pair.A, pair.B} {
		var err error
		if ends[i], err = unio.NewStream(p.Channel, unio.StreamConfig{OnClose: p.Device.Close}); err != nil {
			return nil, err
		}
	}
	l.dialed.Add(1)
	select {
	case l.conns <- ends[1]:
		return ends[0], nil
	case <-l.closed:
	case <-ctx.Done():
	}
	_, _ = ends[0].Close(), ends[1].Close()
	return nil, net.ErrClosed
}

// serveHTTP serves handler on streams, and returns a client of it.
func serveHTTP(t *testing.T, handler http.Handler) (*http.Client, *pairListener, *http.Server) {
	t.Helper()
	l := newPairListener(t)
	server := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	transport := &http.Transport{DialContext: l.dial, MaxConnsPerHost: 6, MaxIdleConnsPerHost: 6}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport, Timeout: time.Minute}, l, server
}

func TestStreamHTTP(t *testing.T) {
	const large = 5 << 20
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.PathValue("name"))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		src, _ := counted(large, 9)
		_, _ = io.Copy(w, src)
	})
	client, l, _ := serveHTTP(t, mux)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("%d-%d", g, i)
				if got := fetch(t, client, http.MethodGet, "/hello/"+name, nil); string(got) != "hello "+name {
					t.Errorf("%s: %q", name, got)
				}
			}
			body := bytes.Repeat([]byte{byte(g)}, 1<<20)
			if got := fetch(t, client, http.MethodPost, "/echo", body); !bytes.Equal(got, body) {
				t.Errorf("an echo of %d bytes has %d, or others", len(body), len(got))
			}
		})
	}
	wg.Wait()
	if n := l.dialed.Load(); n > 20 {
		t.Errorf("%d connections for 66 requests of 6 clients: they are not used again", n)
	}
	src, sum := counted(large, 9)
	_, _ = io.Copy(io.Discard, src)
	if got := sha256.Sum256(fetch(t, client, http.MethodGet, "/large", nil)); got != sum() {
		t.Error("a large body is not what was sent")
	}
}

func fetch(t *testing.T, client *http.Client, method, path string, body []byte) []byte {
	req, err := http.NewRequest(method, "http://pairs"+path, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", path, resp.Status, err)
	}
	return got
}

// A client that gives up ends its request on both sides.
func TestStreamHTTPClientGivesUp(t *testing.T) {
	ended := make(chan error, 1)
	client, _, _ := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		ended <- r.Context().Err()
	}))
	ctx, stop := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pairs/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the server: %v", err)
	}
}

// A server that shuts down ends what it has begun, and idle connections.
func TestStreamHTTPShutdown(t *testing.T) {
	begun := make(chan struct{})
	client, _, server := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		time.Sleep(10 * time.Millisecond)
		_, _ = io.WriteString(w, strings.Repeat("end", 100000))
	}))
	got := make(chan []byte, 1)
	go func() { got <- fetch(t, client, http.MethodGet, "/", nil) }()
	<-begun
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if p := <-got; len(p) != 300000 {
		t.Errorf("%d bytes", len(p))
	}
}
