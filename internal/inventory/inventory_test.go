package inventory

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }

// machine is one with an NVMe disk, a loop device without a file, and a
// mount whose path has a space.
var machine = fstest.MapFS{
	"sys/block/nvme9n1/size":                      file("2048"),
	"sys/block/nvme9n1/device/model":              file("Model X  "),
	"sys/block/nvme9n1/queue/logical_block_size":  file("512"),
	"sys/block/nvme9n1/queue/physical_block_size": file("4096"),
	"sys/block/nvme9n1/queue/rotational":          file("0"),
	"sys/block/nvme9n1/queue/write_cache":         file("write through"),
	"sys/block/nvme9n1/queue/scheduler":           file("[none] mq-deadline"),
	"sys/block/nvme9n1/queue/io_poll":             file("1"),
	"sys/block/loop9/size":                        file("0"),
	"proc/meminfo":                                file("MemTotal:  2048 kB\nMemFree: 7 kB\nMemAvailable: 1024 kB"),
	"proc/self/mountinfo": file("27 1 254:0 / /old rw - ext3 /dev/x rw\n" +
		"27 1 254:0 / /old rw,relatime shared:1 - ext4 /dev/vda rw,discard\n" +
		"28 1 254:0 / /a\\040b rw - xfs /dev/vdb rw\nnonsense\n1 2 3 - x y"),
}

func TestDisks(t *testing.T) {
	want := []Disk{{
		Path: "/dev/nvme9n1", Model: "Model X", Size: 1 << 20, LogicalBlock: 512, PhysicalBlock: 4096,
		WriteCache: "write through", Scheduler: "none", Poll: true, Access: "none: no such file or directory",
	}}
	if diff := cmp.Diff(want, Disks(machine)); diff != "" {
		t.Error(diff)
	}
	if Disks(fstest.MapFS{}) != nil {
		t.Error("disks without sysfs")
	}
}

func TestMounts(t *testing.T) {
	want := []Mount{{Point: "/a b", Type: "xfs", Source: "/dev/vdb"}, {Point: "/old", Type: "ext4", Source: "/dev/vda"}}
	if diff := cmp.Diff(want, Mounts(machine)); diff != "" {
		t.Error(diff)
	}
}

func TestTake(t *testing.T) {
	dir := t.TempDir()
	inv := Take(t.Context(), machine, dir, dir+"/missing")
	want := Memory{Total: 2 << 20, Available: 1 << 20}
	if diff := cmp.Diff(want, inv.Memory, cmpopts.IgnoreFields(Memory{}, "Persist")); diff != "" {
		t.Error(diff)
	}
	if len(inv.Mounts) != 2 {
		t.Fatalf("mounts %+v", inv.Mounts)
	}
	m := inv.Mounts[0]
	if m.Trial == nil || m.Trial.Info.Engine == "" || m.Trial.Info.Reason == "" || m.Free == 0 || m.Trial.Mapped == "" {
		t.Errorf("trial %+v: %s", m.Trial, m.Why)
	}
	if m := inv.Mounts[1]; m.Trial != nil || m.Why != "no such file or directory" {
		t.Errorf("missing directory: %+v", m)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("the trial left %v, %v", left, err)
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add("28 1 254:0 / /a\\040b rw - xfs /dev/vdb rw")
	f.Add("\\04 - \\")
	f.Fuzz(func(_ *testing.T, line string) { parseMount(line) })
}
