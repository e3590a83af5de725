package rdma

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// short is a time for a handshake that a test waits out.
const shortHandshake = 300 * time.Millisecond

// mpa is a Request or Reply made by hand.
func mpa(key string, flags, revision byte, private int) []byte {
	b := append([]byte(key), flags, revision, byte(private>>8), byte(private))
	return append(b, make([]byte, private)...)
}

const (
	requestKey = "MPA ID Req Frame"
	replyKey   = "MPA ID Rep Frame"
)

// TestBadRequests has a peer begin as it may not. It gets a Reply that rejects it, or the end; the Listener says why.
func TestBadRequests(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		octets []byte
		want   error  // that the Listener counts
		reply  bool   // that rejects
		flags  byte   // of it
		says   string // the error
	}{
		{name: "garbage", octets: []byte("GET / HTTP/1.1\r\n\r\n"), want: iwarp.ErrFrame, says: "GET"},
		{name: "garbage in its middle", octets: []byte("MPA ID Req Brame"), want: iwarp.ErrFrame},
		{name: "a Reply", octets: mpa(replyKey, 0, 1, 0), want: iwarp.ErrFrame, says: "responder"},
		{name: "revision 0", octets: mpa(requestKey, 0, 0, 0), want: iwarp.ErrRevision, says: "0"},
		{name: "revision 3", octets: mpa(requestKey, 0x10, 3, 4), want: iwarp.ErrRevision, says: "3"},
		{name: "markers", octets: mpa(requestKey, 0x80, 1, 0), want: iwarp.ErrMarkers, reply: true, flags: 0x20},
		{name: "markers, enhanced", octets: mpa(requestKey, 0x90, 2, 4), want: iwarp.ErrMarkers, reply: true, flags: 0x30},
		{name: "CRC where there is none", cfg: Config{CRC: CRCOff}, octets: mpa(requestKey, 0x40, 1, 0), want: iwarp.ErrCRC, reply: true, flags: 0x20},
		{name: "too much private data", octets: mpa(requestKey, 0, 1, 513), want: iwarp.ErrFrame, says: "513"},
		{name: "private data without end", octets: mpa(requestKey, 0, 1, 65535), want: iwarp.ErrFrame, says: "65535"},
		{name: "enhanced without IRD and ORD", octets: mpa(requestKey, 0x10, 2, 0), want: iwarp.ErrFrame},
		{name: "enhanced with half of them", octets: mpa(requestKey, 0x10, 2, 3), want: iwarp.ErrFrame},
		{name: "octets behind", octets: append(mpa(requestKey, 0, 1, 0), 0), want: iwarp.ErrEarly, says: "1 octet"},
		{name: "an FPDU behind", octets: append(mpa(requestKey, 0, 1, 0), frame(message(iwarp.OpSend, 0), 18, false)...), want: iwarp.ErrEarly},
		{name: "half a Request", octets: mpa(requestKey, 0, 1, 8)[:20], want: iwarp.ErrTimeout, says: "no Request"},
		{name: "nothing", want: iwarp.ErrTimeout, says: "no Request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.HandshakeTimeout = shortHandshake
			h := newHost(t, c.cfg, Config{CRC: c.cfg.CRC})
			before := heap()
			p := rawConnect(t, h.addr())
			if len(c.octets) > 0 {
				p.write(c.octets)
			}
			begun := time.Now()
			got, err := io.ReadAll(p.conn) // to the end; the test's own patience bounds it
			if took := time.Since(begun); took > patience {
				t.Errorf("the connection was held for %v", took)
			}
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if c.reply {
				f, n, err := iwarp.ParseFrame(got)
				if err != nil || n != len(got) || !f.Reply || !f.Reject || got[16] != c.flags {
					t.Errorf("Reply: %x, %v; want one that rejects, with flags %#x", got, err, c.flags)
				}
			} else if len(got) > 0 {
				t.Errorf("%d octets came: %x", len(got), got)
			}
			h.failed(1, c.want, p.conn.LocalAddr().String(), c.says)
			if errors.Is(c.want, iwarp.ErrTimeout) {
				h.failed(1, unio.ErrTimeout)
			}
			_ = p.conn.Close()
			h.check()
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("%d bytes of memory are in use that were not", grown)
			}
		})
	}
}

// failed checks how many handshakes came to nothing, and why the last one did.
func (h *host) failed(n int64, want error, says ...string) {
	h.t.Helper()
	becomes(h.t, "the Listener counts the failure", func() bool {
		k, _ := h.listener.Failures()
		return k >= n
	})
	k, err := h.listener.Failures()
	if k != n || !errors.Is(err, want) {
		h.t.Errorf("%d handshakes failed, the last one with %v; want %d, %v", k, err, n, want)
	}
	for _, s := range says {
		if err != nil && !strings.Contains(err.Error(), s) {
			h.t.Errorf("error %q does not say %q", err, s)
		}
	}
}

// TestSlowRequest sends the Request octet by octet: fast enough, it is taken; otherwise the time is over when it is over.
func TestSlowRequest(t *testing.T) {
	h := newHost(t, Config{HandshakeTimeout: 2 * time.Second}, Config{})
	p := rawConnect(t, h.addr())
	for _, b := range mpa(requestKey, 0, 1, 0) {
		p.write([]byte{b})
		time.Sleep(time.Millisecond) // the peer is slow
	}
	if f, _, err := iwarp.ParseFrame(p.more()); err != nil || f.Reject {
		t.Errorf("%+v, %v", f, err)
	}
	c := h.accept()
	_ = p.conn.Close()
	ended(t, c)

	h = newHost(t, Config{HandshakeTimeout: shortHandshake}, Config{})
	p = rawConnect(t, h.addr())
	begun := time.Now()
	for i := 0; ; i++ { // some of it every now and then must not buy time
		if _, err := p.conn.Write([]byte(requestKey)[min(i, 15) : min(i, 15)+1]); err != nil || i == 16 {
			break
		}
		time.Sleep(shortHandshake / 8)
	}
	if _, err := io.ReadAll(p.conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if took := time.Since(begun); took < shortHandshake/2 {
		t.Errorf("the end came after %v", took)
	}
	h.failed(1, unio.ErrTimeout)
	h.check()
}

// TestBadReplies has a listener that answers Dial as it may not: Dial fails, within its time, and says why.
func TestBadReplies(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   Config
		reply []byte
		end   string // what the listener does then: close, reset or nothing
		want  error
		says  string
		last  iwarp.Cause // of a Terminate that comes as the last word
	}{
		{name: "garbage", reply: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), want: iwarp.ErrFrame, says: "HTTP"},
		{name: "a Request", reply: mpa(requestKey, 0, 2, 0), want: iwarp.ErrFrame, says: "initiator"},
		{name: "revision 0", reply: mpa(replyKey, 0, 0, 0), want: iwarp.ErrRevision},
		{name: "revision 3", reply: mpa(replyKey, 0x10, 3, 4), want: iwarp.ErrRevision},
		{name: "revision 2 to 1", cfg: Config{Plain: true}, reply: mpa(replyKey, 0x10, 2, 4), want: iwarp.ErrRevision},
		{name: "plain to enhanced", reply: mpa(replyKey, 0, 1, 0), want: iwarp.ErrEnhanced},
		{name: "markers", reply: mpa(replyKey, 0x90, 2, 4), want: iwarp.ErrMarkers},
		{name: "CRC where there is none", cfg: Config{CRC: CRCOff}, reply: mpa(replyKey, 0x50, 2, 4), want: iwarp.ErrCRC, last: iwarp.CauseMPACatastrophic},
		{name: "no RTR", reply: mpa(replyKey, 0x10, 2, 4), want: iwarp.ErrRTR, last: iwarp.CauseRTR},
		{name: "ORD above our IRD", cfg: Config{IRD: 1}, reply: append(mpa(replyKey, 0x10, 2, 4)[:20], 0x80, 4, 0x80, 4), want: iwarp.ErrDepth, last: iwarp.CauseIRD},
		{name: "too much private data", reply: mpa(replyKey, 0, 2, 513), want: iwarp.ErrFrame, says: "513"},
		{name: "enhanced without IRD and ORD", reply: mpa(replyKey, 0x10, 2, 0), want: iwarp.ErrFrame},
		{name: "rejected without a reason", reply: mpa(replyKey, 0x30, 2, 4), want: unio.ErrAccess, says: "rejected"},
		{name: "rejected", reply: append(mpa(replyKey, 0x30, 2, 8)[:24], "full"...), want: unio.ErrAccess, says: "full"},
		{name: "half a Reply and the end", reply: []byte(replyKey), end: "close", want: iwarp.ErrClosed},
		{name: "the end", end: "close", want: iwarp.ErrClosed, says: "may not know iWARP"},
		{name: "reset", end: "reset", want: syscall.ECONNRESET},
		{name: "half a Reply", reply: []byte(replyKey), end: "nothing", want: unio.ErrTimeout},
		{name: "nothing", end: "nothing", want: unio.ErrTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := rawListen(t)
			heard := make(chan []byte, 1)
			go func() {
				p, err := l.accept()
				if err != nil {
					heard <- nil
					return
				}
				_, _ = p.read()
				p.in = nil
				_, _ = p.conn.Write(c.reply)
				switch c.end {
				case "reset":
					_ = p.tcp.SetLinger(0)
					_ = p.conn.Close()
				case "close":
					_ = p.conn.Close()
				}
				for err == nil {
					_, err = p.read()
				}
				heard <- p.in
			}()
			c.cfg.HandshakeTimeout = shortHandshake
			if c.end == "" {
				c.cfg.HandshakeTimeout = patience
			}
			begun := time.Now()
			conn, err := Dial(t.Context(), l.addr(), c.cfg)
			if err == nil {
				_ = conn.Close()
				t.Fatal("Dial succeeded")
			}
			if took := time.Since(begun); took > patience/2 {
				t.Errorf("Dial took %v", took)
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), l.addr()) {
				t.Errorf("Dial: %v; want %v, and that it says %q", err, c.want, c.says)
			}
			if last := <-heard; c.last != 0 && !bytes.Contains(last, []byte{byte(c.last >> 8), byte(c.last)}) {
				t.Errorf("last word: %x; want a Terminate with %v", last, c.last)
			} else if c.last == 0 && len(last) > 0 {
				t.Errorf("%d octets behind the Request: %x", len(last), last)
			}
		})
	}
}

// TestDialContext ends a Dial by its context in each of its phases: the error is the context's.
func TestDialContext(t *testing.T) {
	a := newAuthority(t)
	for name, cfg := range map[string]Config{"MPA": {}, "TLS": {TLS: a.client()}} {
		t.Run(name, func(t *testing.T) {
			l := rawListen(t) // whose backlog takes the connection
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			if _, err := Dial(ctx, l.addr(), cfg); !errors.Is(err, context.Canceled) || errors.Is(err, unio.ErrTimeout) {
				t.Errorf("cancelled: %v", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := Dial(ctx, l.addr(), cfg); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("at its deadline: %v", err)
			}
			cfg.HandshakeTimeout = 20 * time.Millisecond
			if _, err := Dial(t.Context(), l.addr(), cfg); !errors.Is(err, unio.ErrTimeout) {
				t.Errorf("at the handshake's end: %v", err)
			}
		})
	}
}

// TestRejection: who is rejected learns why, and the next one is heard.
func TestRejection(t *testing.T) {
	no := true
	reason := strings.Repeat("you are not on the list; ", 20)
	var decide func(in *Incoming) ([]byte, error)
	h := newHost(t, Config{Decide: func(in *Incoming) ([]byte, error) {
		if decide == nil {
			return nil, nil
		}
		return decide(in)
	}}, Config{})
	decide = func(in *Incoming) ([]byte, error) {
		if string(in.PrivateData) != "me" || !in.Unio || in.TLS != nil || in.RemoteAddr == nil {
			t.Errorf("%+v", in)
		}
		if no {
			return nil, errors.New(reason)
		}
		return make([]byte, 1000), nil
	}
	_, err := Dial(t.Context(), h.addr(), Config{PrivateData: []byte("me")})
	var rejected *RejectedError
	if !errors.As(err, &rejected) || !errors.Is(err, unio.ErrAccess) || string(rejected.PrivateData) != reason[:iwarp.SafePrivateData] {
		t.Errorf("%v", err)
	}
	h.failed(1, unio.ErrAccess, "not on the list")
	no = false
	if _, err = Dial(t.Context(), h.addr(), Config{PrivateData: []byte("me")}); !errors.As(err, &rejected) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("too much private data in the Reply: %v", err)
	}
	h.failed(2, unio.ErrInvalid, "1000")
	h.check()
}

// TestPrivateData goes both ways, at every size that fits.
func TestPrivateData(t *testing.T) {
	for _, c := range []struct {
		listen, dial Config
		most         int
	}{
		{most: iwarp.SafePrivateData - trailerSize},
		{listen: Config{Verbs: true}, dial: Config{Verbs: true}, most: iwarp.SafePrivateData},
		{dial: Config{Plain: true}, most: iwarp.SafePrivateData - trailerSize},
	} {
		for _, n := range []int{0, 1, 15, 16, c.most - 1, c.most} {
			t.Run(fmt.Sprintf("%d of %d", n, c.most), func(t *testing.T) {
				data := bytes.Repeat([]byte{7}, n)
				c.listen.Decide = func(in *Incoming) ([]byte, error) { return append([]byte{}, in.PrivateData...), nil }
				h := newHost(t, c.listen, Config{})
				c.dial.PrivateData = data
				conn, served := h.pair(c.dial)
				if !bytes.Equal(conn.PeerData(), data) || !bytes.Equal(served.PeerData(), data) {
					t.Errorf("%d and %d octets of private data; want %d", len(conn.PeerData()), len(served.PeerData()), n)
				}
			})
		}
		c.dial.PrivateData = make([]byte, c.most+1)
		if _, err := Dial(t.Context(), "127.0.0.1:1", c.dial); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%d octets of private data: %v", c.most+1, err)
		}
	}
}
