package uniotest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

// TestPairComplains: what a core must not submit is refused, loudly. The core is
// misled by an Info that promises more than the peer does.
func TestPairComplains(t *testing.T) {
	for _, c := range []struct {
		name string
		less func(*unio.Info)
		req  unio.Request
		want string
	}{
		{"native", func(i *unio.Info) { i.Native = 0 }, unio.Request{Op: unio.OpSend}, "not native"},
		{"length", func(i *unio.Info) { i.MaxMessage = 10 }, unio.Request{Op: unio.OpSend, Data: make([]byte, 11)}, "longer than 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			box := &complaintBox{TB: t}
			p := NewPair(box, PairConfig{})
			defer p.A.Device.Close()
			defer p.B.Device.Close()
			c.less(&p.ends[0].info)
			err := p.A.Channel.Do(context.Background(), c.req)
			if err == nil || len(box.said) == 0 || !strings.Contains(box.said[0], c.want) {
				t.Errorf("error %v, complaints %q; want one that says %q", err, box.said, c.want)
			}
		})
	}
}

// TestPairRefuses: a peer has one channel, and the regions that the other side
// has exposed, as it has exposed them.
func TestPairRefuses(t *testing.T) {
	p := NewPair(t, PairConfig{})
	defer p.A.Device.Close()
	defer p.B.Device.Close()
	if _, err := p.A.Device.NewChannel(unio.ChannelConfig{}); !errors.Is(err, unio.ErrBusy) {
		t.Errorf("a second channel: %v, want ErrBusy", err)
	}
	if _, err := p.A.Device.Attach(context.Background(), "", unio.ReadOnly); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("a region that nobody has exposed: %v, want ErrInvalid", err)
	}
	x := p.B.Expose(t, 100, unio.ReadOnly)
	if _, err := x.Attach(unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("more rights than exposed: %v, want ErrAccess", err)
	}
	reg, err := x.Attach(unio.ReadOnly)
	if err != nil || reg.Device() != p.A.Device || reg.Size() != 100 {
		t.Fatalf("%v, %v", reg, err)
	}
	if err := errors.Join(x.Revoke(), reg.Close()); err != nil {
		t.Error(err)
	}
	if _, err := x.Attach(unio.ReadOnly); !errors.Is(err, unio.ErrRevoked) {
		t.Errorf("what is revoked: %v, want ErrRevoked", err)
	}
}
