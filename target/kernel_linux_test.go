//go:build kernel

package target_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma/kernelpeer"
	"github.com/unio-stack/unio/target"
)

// TestKernelTarget: programs on plain verbs, on Linux's own RDMA stack, reach files and memory through a target.
func TestKernelTarget(t *testing.T) {
	g := kernelpeer.Start(t, "../provider/rdma/kernelpeer")
	for _, url := range []string{"file", "mem"} {
		t.Run(url, func(t *testing.T) { kernelTarget(t, g, url) })
	}
}

const kernelRegion = 4 << 20

func kernelTarget(t *testing.T, g *kernelpeer.Guest, scheme string) {
	path := filepath.Join(t.TempDir(), "disk.img")
	url := fmt.Sprintf("mem:?size=%d", kernelRegion)
	if scheme == "file" {
		url = fmt.Sprintf("file://%s?size=%d&create=1", path, kernelRegion)
	}
	dev, err := provider.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	old := kernelPattern(kernelRegion, 200)
	if err := ch.Do(t.Context(), unio.Request{Op: unio.OpWrite, Region: reg, Data: old}); err != nil {
		t.Fatal(err)
	}
	tg, err := target.New(target.Config{
		Exports: []target.Export{{Name: "disk", Device: dev}, {Name: "shelf", Device: dev, ReadOnly: true}}, VerbsDefault: "disk",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	addr, err := tg.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := addr.(*net.TCPAddr).Port

	// kpverbs names no region, so it gets the default one; what it reads behind a Write is what it wrote.
	out := g.Start(t, "kpverbs client -a %s -p %d read:200000@3 write:4096@8192 write:70000@100001 read:70000@100001 write:5 read:300@%d",
		kernelpeer.Host, port, kernelRegion-300).Success()
	for _, want := range []string{
		"read:200000@3: success fnv " + kernelSum(old[3:200003]),
		"read:70000@100001: success fnv " + kernelSum(kernelPattern(70000, 3)),
		fmt.Sprintf("read:300@%d: success fnv %s", kernelRegion-300, kernelSum(old[kernelRegion-300:])),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	// The example of the documents names its region.
	out = g.Start(t, "verbs-client %s %d disk write 1000000 'written by verbs' && verbs-client %s %d shelf read 1000008 8",
		kernelpeer.Host, port, kernelpeer.Host, port).Success()
	if !strings.Contains(out, "written by verbs\n") || !strings.Contains(out, "by verbs\n") {
		t.Errorf("the example printed:\n%s", out)
	}
	if out, status := g.Start(t, "verbs-client %s %d nothing read 0 8", kernelpeer.Host, port).End(); status == 0 {
		t.Errorf("there is no such region, but:\n%s", out)
	}

	want := bytes.Clone(old)
	copy(want[8192:], kernelPattern(4096, 2))
	copy(want[100001:], kernelPattern(70000, 3))
	copy(want, kernelPattern(5, 5))
	copy(want[1000000:], "written by verbs")
	got := make([]byte, kernelRegion)
	if err := ch.Do(t.Context(), unio.Request{Op: unio.OpRead, Region: reg, Data: got}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the region does not have what the guest wrote")
	}
	if scheme == "file" {
		if err := ch.Do(t.Context(), unio.Request{Op: unio.OpFlush, Region: reg}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Error("the file does not have what the guest wrote", err)
		}
	}
}

// kernelPattern is what kpverbs writes in its operation number k.
func kernelPattern(n, k int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i + i>>8 + 31*k)
	}
	return p
}

// kernelSum is how kpverbs prints what it has read.
func kernelSum(p []byte) string {
	h := fnv.New32a()
	_, _ = h.Write(p)
	return fmt.Sprintf("%08x", h.Sum32())
}
