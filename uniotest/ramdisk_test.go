package uniotest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

// A complaintBox is a testing.TB that keeps what it is told.
type complaintBox struct {
	testing.TB
	said []string
}

func (b *complaintBox) Errorf(format string, args ...any) {
	b.said = append(b.said, fmt.Sprintf(format, args...))
}

// TestRAMDiskComplains: what a core must not submit is refused, loudly. The
// core is misled by an Info that promises more than the disk does.
func TestRAMDiskComplains(t *testing.T) {
	whole := RAMDiskConfig{BlockSize: 512, MemoryAlign: 512, ZeroUnit: 512, MaxTransfer: 4096}
	native := whole
	native.Native = unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush)
	data := make([]byte, 16384)
	for _, c := range []struct {
		name string
		cfg  RAMDiskConfig
		info func(*unio.Info)
		req  unio.Request
		want string
	}{
		{"offset", whole, func(i *unio.Info) { i.BlockSize = 1 }, unio.Request{Op: unio.OpRead, Offset: 1, Data: data[:512]}, "not whole units of 512"},
		{"length", whole, func(i *unio.Info) { i.BlockSize = 1 }, unio.Request{Op: unio.OpRead, Data: data[:511]}, "not whole units of 512"},
		{"zeroes", whole, func(i *unio.Info) { i.ZeroUnit = 1 }, unio.Request{Op: unio.OpWriteZeroes, Offset: 8, Length: 512}, "not whole units of 512"},
		{"memory", whole, func(i *unio.Info) { i.MemoryAlign = 1 }, unio.Request{Op: unio.OpRead, Vec: [][]byte{data[1:513], data[600:1112]}}, "not aligned to 512"},
		{"transfer", whole, func(i *unio.Info) { i.MaxTransfer = 1 << 40; i.MemoryAlign = 1 }, unio.Request{Op: unio.OpRead, Data: data}, "longer than 4096"},
		{"native", native, func(i *unio.Info) { i.Native = unio.AllOps }, unio.Request{Op: unio.OpFetchAdd}, "not native"},
		{"durable", whole, func(i *unio.Info) { i.NativeDurable = unio.AllOps }, unio.Request{Op: unio.OpWriteZeroes, Length: 512, Flags: unio.Durable}, "durable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			box := &complaintBox{TB: t}
			disk := NewRAMDisk(box, c.cfg)
			c.info(&disk.info)
			dev := disk.Open()
			defer dev.Close()
			reg, err := dev.Attach(context.Background(), "", unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			ch, err := dev.NewChannel(unio.ChannelConfig{})
			if err != nil {
				t.Fatal(err)
			}
			c.req.Region = reg
			err = ch.Do(context.Background(), c.req)
			if err == nil || len(box.said) == 0 || !strings.Contains(box.said[0], c.want) {
				t.Errorf("error %v, complaints %q; want one that says %q", err, box.said, c.want)
			}
		})
	}
}

// TestRAMDiskKeeps: the bytes belong to the disk, not to the device.
func TestRAMDiskKeeps(t *testing.T) {
	disk := NewRAMDisk(t, RAMDiskConfig{Size: 8192, BlockSize: 512})
	for i := range byte(3) {
		dev := disk.Open()
		reg, err := dev.Attach(context.Background(), "", unio.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := dev.NewChannel(unio.ChannelConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: reg, Offset: int64(i) * 3, Data: []byte{i + 1}}); err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := disk.Image(); got[0] != 1 || got[3] != 2 || got[6] != 3 || len(got) != 8192 {
		t.Errorf("the disk begins with %v and has %d bytes", got[:8], len(got))
	}
}
