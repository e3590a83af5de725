//go:build kernel

package kernelpeer

import (
	"strings"
	"testing"
)

// TestKernelPeer: scripts run in a guest, side by side, and siw talks to itself.
func TestKernelPeer(t *testing.T) {
	g := Start(t, ".")
	if out, status := g.Start(t, "printf '%%s' out; exit 3").End(); out != "out" || status != 3 {
		t.Errorf("printed %q, status %d", out, status)
	}

	waits := g.Start(t, "echo first; until [ -e /run/go ]; do usleep 10000; done; echo last")
	waits.Line("first")
	g.Run(t, "touch /run/go")
	if out := waits.Success(); out != "first\nlast\n" {
		t.Errorf("printed %q", out)
	}

	t.Run("killed with its test", func(t *testing.T) { g.Start(t, "sleep 4321 & echo on; sleep 4321").Line("on") })
	g.Run(t, "while ps | grep -q '[s]leep 4321'; do usleep 10000; done")

	port, _ := g.Port(t)
	server := g.Start(t, "kpverbs serve -p %d", port)
	server.Line("listening")
	client := g.Run(t, "kpverbs client -a 10.0.2.15 -p %d send:5 write:4096 read:4096 send-inv:1", port)
	if out := server.Success(); !strings.Contains(out, "received 5 bytes") || !strings.Contains(client, "send-inv:1: success") {
		t.Errorf("client:\n%s\nserver:\n%s", client, out)
	}
}
