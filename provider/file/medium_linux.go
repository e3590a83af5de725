package file

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

// nativeDurable: RWF_DSYNC makes a single write durable; fallocate(2) has no
// such flag.
var nativeDurable = unio.Ops(unio.OpWrite)

// zeroRange are the file systems that implement FALLOC_FL_ZERO_RANGE.
var zeroRange = map[string]bool{"ext4": true, "xfs": true, "btrfs": true, "f2fs": true}

var fsNames = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse",
}

// inspect finds out what the medium is.
func (m *medium) inspect() {
	m.sector, m.zeroUnit = defaultSector, 1
	if m.block {
		m.inspectBlock()
		return
	}
	var st unix.Statfs_t
	if unix.Fstatfs(m.fd, &st) == nil {
		m.fs = fsNames[int64(st.Type)]
	}
	m.inMemory = m.fs == "tmpfs" || m.fs == "ramfs"
	m.blocks = m.fs == "fuse"
	m.canZero = zeroRange[m.fs]
	m.canDiscard = m.punches()
}

// defaultSector is the smallest unit disks write whole.
const defaultSector = 512

// punches reports whether the file system can free a range, by freeing one far
// beyond the end of the file.
func (m *medium) punches() bool {
	if m.readOnly {
		return false
	}
	far := (m.size.Load() + 1<<30) &^ 4095
	return unix.Fallocate(m.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, far, 4096) == nil
}

// inspectBlock finds out what a block device is, from its ioctls and sysfs.
func (m *medium) inspectBlock() {
	if n, err := unix.IoctlGetInt(m.fd, unix.BLKSSZGET); err == nil && n > 0 {
		m.sector = n
	}
	m.zeroUnit = m.sector
	m.canZero = true // the kernel writes zeroes where the device cannot
	m.canDiscard = m.queueLimit("write_zeroes_max_bytes") > 0
}

// writeProtected reports whether the block device refuses writes, which the
// kernel lets everybody open for writing all the same.
func (m *medium) writeProtected() bool {
	ro, err := unix.IoctlGetInt(m.fd, unix.BLKROGET)
	return err == nil && ro != 0
}

// queueLimit reads a number of the block device's queue from sysfs, or 0.
func (m *medium) queueLimit(name string) int64 {
	var st unix.Stat_t
	if unix.Fstat(m.fd, &st) != nil {
		return 0
	}
	dev := st.Dev
	if m.block {
		dev = st.Rdev
	}
	dir := fmt.Sprintf("/sys/dev/block/%d:%d/", unix.Major(dev), unix.Minor(dev))
	for _, queue := range []string{"queue/", "../queue/"} { // a partition's is its disk's
		if b, err := os.ReadFile(dir + queue + name); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			return n
		}
	}
	return 0
}

// directUnits returns the alignments that O_DIRECT asks for, of offsets and
// lengths and of memory; 0 where the file does not take it.
func (m *medium) directUnits() (offset, memory int) {
	var st unix.Statx_t
	err := unix.Statx(m.fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		return int(st.Dio_offset_align), int(max(st.Dio_mem_align, 1))
	}
	if m.block { // before Linux 6.1
		return m.sector, m.sector
	}
	return 4096, 4096 // before Linux 6.1, or a file system that does not say
}

func openDirect(path string, readOnly bool) (*os.File, error) {
	flags := os.O_RDWR
	if readOnly {
		flags = os.O_RDONLY
	}
	return os.OpenFile(path, flags|unix.O_DIRECT, 0)
}

// reserve gives the file n more bytes at off, allocated.
func reserve(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, n)
		if err != unix.EINTR {
			return err
		}
	}
}
