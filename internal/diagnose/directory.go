package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/inventory"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/provider"
)

// directory tries what a file there gets; a file or device is opened itself.
func (h *Host) directory(ctx context.Context, path string) []Finding {
	topic := "I/O on " + path
	l, err := location.Locate(path)
	if err != nil {
		return []Finding{{topic, Fail, err.Error(), "name a directory, a file or a device"}}
	}
	switch l.Kind {
	case location.Missing:
		return []Finding{{topic, Fail, "there is nothing of that name", "name a directory, a file or a device"}}
	case location.Directory:
		return tryDirectory(ctx, topic, l.Path)
	}
	options := map[string]string{}
	if l.Kind != location.Virtual {
		options["readonly"] = "1"
	}
	dev, err := provider.Open(ctx, l.With(options))
	if err != nil {
		return []Finding{{topic, Fail, err.Error(), access(err)}}
	}
	defer func() { _ = dev.Close() }() // it was only asked what it is
	return []Finding{judge(topic, dev.Info())}
}

func tryDirectory(ctx context.Context, topic, dir string) []Finding {
	t, err := inventory.Try(ctx, dir)
	if err != nil {
		return []Finding{{topic, Warn, "no file can be made here: " + err.Error(), access(err)}}
	}
	return []Finding{judge(topic, t.Info), mapping("mapping in "+dir, t)}
}

func access(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unio.ErrAccess):
		return "check the rights (ls -ld); block devices need root or the group disk"
	case errors.Is(err, os.ErrNotExist):
		return "check the path"
	}
	return "use another place"
}

// judge says whether files there go the fast way: io_uring past the page
// cache.
func judge(topic string, i unio.Info) Finding {
	f := Finding{Topic: topic, Status: OK, Detail: i.Engine + " (" + i.Reason + ")"}
	if i.Provider != "file" {
		return f
	}
	if i.BlockSize > 1 {
		f.Detail += fmt.Sprintf(", direct, blocks of %d bytes, memory aligned to %d", i.BlockSize, i.MemoryAlign)
	} else {
		f.Status = Warn
		f.Detail += ", through the page cache"
		f.Fix = "for speed that is the disk's, use a file system with direct I/O (ext4, XFS, btrfs) or a block device"
	}
	if i.Engine != "io_uring" {
		f.Status = Warn
		if f.Fix == "" {
			f.Fix = "see io_uring above"
		}
	}
	for _, n := range i.Notes {
		f.Detail += "; " + n
	}
	return f
}

// mapping says whether persistent memory is reached by mapping. Ordinary disks
// have none, which is nothing to mend.
func mapping(topic string, t *inventory.Trial) Finding {
	if t.NoMap != "" {
		return Finding{topic, OK, "dax: cannot map files here: " + t.NoMap, ""}
	}
	detail := t.Mapped
	if t.Mapped == "mapped-msync" {
		detail += ": no MAP_SYNC, so this is not persistent memory, or its file system is mounted without dax"
	}
	return Finding{topic, OK, detail, ""}
}
