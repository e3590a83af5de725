package target

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A clientProcess is this program in one of its roles.
type clientProcess struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
	said  strings.Builder // to its standard error
}

// startClient starts a client of the target at addr. The test's end kills it, if nothing else has.
func startClient(t testing.TB, role, addr string) *clientProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &clientProcess{t: t, cmd: exec.Command(self, role, addr)}
	c.cmd.Stderr, c.cmd.SysProcAttr = &c.said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	t.Cleanup(c.kill)
	return c
}

// next returns the next line that it says; the test's deadline bounds how long that takes.
func (c *clientProcess) next() string {
	c.t.Helper()
	if !c.lines.Scan() {
		_ = c.cmd.Wait()
		c.t.Fatalf("the client says no more: %v, %s", c.cmd.ProcessState, c.said.String())
	}
	return c.lines.Text()
}

// kill is kill -9. It returns when the process is gone, and may be called again.
func (c *clientProcess) kill() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Kill() // unless it has ended already
	_ = c.cmd.Wait()
}

// attached opens a region from afar, with a channel.
func attached(addr, name string, depth int, cfg rdma.Config) (*unio.Device, *unio.Region, *unio.Channel, error) {
	ctx := context.Background()
	dev, err := rdma.OpenRegion(ctx, addr, name, false, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		return dev, nil, nil, err
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: depth})
	return dev, reg, ch, err
}
