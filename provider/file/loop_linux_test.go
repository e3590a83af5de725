package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// newLoop makes a block device of the file at path, with blocks of blockSize
// bytes, for the length of the test.
func newLoop(t testing.TB, path string, blockSize uint32, flags uint32) string {
	t.Helper()
	needRoot(t)
	flag := os.O_RDWR
	if flags&unix.LO_FLAGS_READ_ONLY != 0 {
		flag = os.O_RDONLY
	}
	backing, err := os.OpenFile(path, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	for range 100 {
		name, err := configureLoop(backing, blockSize, flags)
		if err == nil {
			t.Cleanup(func() { freeLoop(t, name) })
			return name
		}
		if !errors.Is(err, unix.EBUSY) { // another process was faster
			t.Fatal(err)
		}
	}
	t.Fatal("no loop device is free")
	return ""
}

func configureLoop(backing *os.File, blockSize, flags uint32) (string, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", fmt.Errorf("LOOP_CTL_GET_FREE: %w", err)
	}
	name := fmt.Sprintf("/dev/loop%d", n)
	dev, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer dev.Close()
	cfg := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: blockSize, Info: unix.LoopInfo64{Flags: flags}}
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &cfg); err != nil {
		return "", fmt.Errorf("LOOP_CONFIGURE: %w", err)
	}
	return name, nil
}

// freeLoop takes the device down, at the latest when its last user is gone.
func freeLoop(t testing.TB, name string) {
	dev, err := os.Open(name)
	if err == nil {
		err = unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0)
		_ = dev.Close()
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// newDisk makes a block device of n zero bytes on a file in dir.
func newDisk(t testing.TB, dir string, n int64, blockSize uint32) (device, backing string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "backing")
	if err == nil {
		err = f.Truncate(n)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return newLoop(t, f.Name(), blockSize, 0), f.Name()
}

func newTempDisk(t testing.TB, n int64, blockSize uint32) string {
	t.Helper()
	device, _ := newDisk(t, t.TempDir(), n, blockSize)
	return device
}

// newExt4 mounts an ext4 of n bytes and returns where.
func newExt4(t *testing.T, n int64) string {
	t.Helper()
	device := newTempDisk(t, n, 512)
	makeExt4(t, device)
	dir := filepath.Join(t.TempDir(), "ext4")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, device, dir, "ext4", "")
	return dir
}
