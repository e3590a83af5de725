package provider

import (
	"context"
	"net/url"
	"slices"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/provider/rdma"
)

// A Scheme describes one kind of URL, for help and documentation.
type Scheme struct {
	Name     string   `json:"name"`     // as in "file"
	Help     string   `json:"help"`     // one line
	Examples []string `json:"examples"` // whole URLs
	Options  []Option `json:"options"`  // of the query

	open func(context.Context, *url.URL) (*unio.Device, error)
}

// An Option is one that a URL's query may have.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"` // what it may be, with the default first
	Help  string `json:"help"`
}

// Schemes returns what Open knows, in the order to show it. The slices are the
// caller's.
func Schemes() []Scheme {
	all := slices.Clone(schemes)
	for i := range all {
		all[i].Examples, all[i].Options = slices.Clone(all[i].Examples), slices.Clone(all[i].Options)
	}
	return all
}

func find(name string) *Scheme {
	for i := range schemes {
		if schemes[i].Name == name {
			return &schemes[i]
		}
	}
	return nil
}

// schemes is never changed.
var schemes = []Scheme{
	{
		Name: "file", Help: "a file or block device, through io_uring or blocking system calls",
		Examples: []string{"file:///var/lib/unio/disk.img?size=1GiB&create=1", "file:disk.img?direct=off", "/dev/nvme0n1"},
		Options: []Option{
			{"size", "as it is, or SIZE", "make the file at least this long"},
			{"create", "0, 1", "make the file if there is none; needs size"},
			{"sparse", "0, 1", "do not reserve the space of a file that is made or extended"},
			{"readonly", "0, 1", "open for reading only"},
			{"direct", "auto, on, off", "bypass the page cache: where that works, or else fail, or not"},
			{"engine", "auto, io_uring, posix", "how requests reach the kernel"},
			{"sqpoll", "0, 1", "a kernel thread takes requests, so that posting costs no system call"},
			{"iopoll", "off, on, hybrid", "poll the disk for completions, instead of interrupts"},
			{"workers", "32, or a number", "threads of the posix engine, at most"},
		},
		open: file.OpenURL,
	},
	{
		Name: "mem", Help: "memory of this process, gone when it is closed",
		Examples: []string{"mem:?size=1GiB", "mem:scratch?size=64MiB"},
		Options: []Option{
			{"size", "SIZE", "its length; needed"},
			{"populate", "0, 1", "take all of the memory from the system at once"},
		},
		open: mem.OpenURL,
	},
	{
		Name: "dax", Help: "a file or device mapped into memory; persistent memory without system calls",
		Examples: []string{"dax:///mnt/pmem/heap?size=1GiB&create=1", "dax:///dev/dax0.0"},
		Options: []Option{
			{"size", "all of it, or SIZE", "map only so much"},
			{"create", "0, 1", "make the file if there is none; needs size"},
			{"reserve", "0, 1", "allocate the space of a file that is made"},
			{"readonly", "0, 1", "map without the right to write"},
		},
		open: mem.OpenURL,
	},
	{
		Name: "rdma", Help: "a region that \"unio serve\" serves, or else the memory that \"unio peer\" offers, by RDMA over TCP (iWARP)",
		Examples: []string{"rdma://host/disk", "rdma://10.0.0.1:7471?crc=off", "rdma://host/disk?tls-ca=ca.pem&tls-cert=me.pem&tls-key=me.key"},
		Options: []Option{
			{"readonly", "0, 1", "open a region for reading only"},
			{"inflight", "0, or SIZE", "have the target reserve memory for so much at a time"},
			{"pattern", "unknown, random, sequential", "tell the target how a region is going to be used"},
			{"crc", "default, on, off", "checksums beside TCP's: ask for them, insist, or refuse"},
			{"keepalive", "10s, or TIME", "find a dead peer within that time; 0s: never"},
			{"handshake", "5s, or TIME", "how long connecting may take"},
			{"congestion", "the system's, or NAME", "congestion control of TCP, such as cubic"},
			{"ord", "128, or a number", "reads and atomics that wait for their answers at a time"},
			{"verbs", "0, 1", "plain iWARP: do not say that this is unio; only reads and writes then"},
			{"tls", "0, 1", "TLS 1.3; on if one of the options below is given"},
			{"tls-ca", "the system's, or FILE", "whom to trust, in PEM"},
			{"tls-cert", "FILE", "certificate of this end, for peers that ask for one"},
			{"tls-key", "FILE", "its key"},
			{"tls-name", "the host, or NAME", "the name in the peer's certificate"},
		},
		open: rdma.OpenURL,
	},
}
