package inventory

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// A Disk is a block device of the kernel's.
type Disk struct {
	Path          string `json:"path"`
	Model         string `json:"model,omitempty"`
	Size          int64  `json:"size_bytes"`
	LogicalBlock  int64  `json:"logical_block"`  // bytes: the least that is read or written
	PhysicalBlock int64  `json:"physical_block"` // bytes
	Rotational    bool   `json:"rotational"`
	WriteCache    string `json:"write_cache"` // "write back": a flush is needed, and costs; "write through"
	Scheduler     string `json:"scheduler"`
	Poll          bool   `json:"io_poll"` // has queues for iopoll
	DAX           bool   `json:"dax"`
	Access        string `json:"access"` // "read-write", "read-only", or why not
}

// Disks lists the block devices that have a size, by path.
func Disks(root fs.FS) []Disk {
	entries, err := fs.ReadDir(root, "sys/block")
	if err != nil {
		return nil
	}
	var all []Disk
	for _, e := range entries {
		dir := "sys/block/" + e.Name()
		size := number(root, dir+"/size") * 512 // sysfs counts in 512 bytes, whatever the block
		if size == 0 {
			continue
		}
		queue := dir + "/queue/"
		all = append(all, Disk{
			Path:          "/dev/" + strings.ReplaceAll(e.Name(), "!", "/"),
			Model:         text(root, dir+"/device/model"),
			Size:          size,
			LogicalBlock:  number(root, queue+"logical_block_size"),
			PhysicalBlock: number(root, queue+"physical_block_size"),
			Rotational:    text(root, queue+"rotational") == "1",
			WriteCache:    text(root, queue+"write_cache"),
			Scheduler:     chosen(text(root, queue+"scheduler")),
			Poll:          text(root, queue+"io_poll") == "1",
			DAX:           text(root, queue+"dax") == "1",
			Access:        accessTo("/dev/" + strings.ReplaceAll(e.Name(), "!", "/")),
		})
	}
	sortBy(all, func(d Disk) string { return d.Path })
	return all
}

// chosen returns the word in brackets: "none [mq-deadline]" is mq-deadline.
func chosen(s string) string {
	_, s, found := strings.Cut(s, "[")
	if !found {
		return ""
	}
	s, _, _ = strings.Cut(s, "]")
	return s
}

// accessTo says what this process may do with a device.
func accessTo(path string) string {
	for _, try := range []struct {
		flag int
		name string
	}{{os.O_RDWR, "read-write"}, {os.O_RDONLY, "read-only"}} {
		f, err := os.OpenFile(path, try.flag, 0)
		if err == nil {
			_ = f.Close()
			return try.name
		}
		if try.flag == os.O_RDONLY {
			return "none: " + cause(err)
		}
	}
	return ""
}

// cause returns what the system said, without the path.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
