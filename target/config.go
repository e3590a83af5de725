package target

import (
	"fmt"
	"net"
	"slices"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A Config configures a target. The zero value works, and exports nothing yet.
type Config struct {
	// Exports are what is served from the beginning; see [Target.SetExports].
	Exports []Export
	// VerbsDefault names the export that a client gets which asks for none by name. Default: it is rejected.
	VerbsDefault string
	// Memory is the I/O memory of all exports together, in bytes. It is taken from the system as it is needed. Half of it is
	// guaranteed, in equal shares; an export has at most half of what is not guaranteed to others. Default 256 MiB.
	Memory int64
	// PerConnection bytes of it are one connection's at most. Default 16 MiB, at least 1 MiB. A single Read that needs more is
	// refused, and so is who wants more reserved. What is guaranteed to exports cannot be reserved; see [rdma.Hints].
	PerConnection int64
	// Connections is how many clients are served at a time. Default 16384.
	Connections int
	// OnEvent, if it is not nil, is told what happens. It may be called from any goroutine and must not wait, nor call the
	// Target.
	OnEvent func(Event)
	// RDMA configures the connections: TLS, CRC, congestion control, keep-alive. Channel, PrivateData, Decide, Serve, OnFailure
	// and Hints are of no use here.
	RDMA rdma.Config
}

// An Export is a region that clients reach under a name.
type Export struct {
	// Name is what clients ask for: 1 to 128 bytes of printable UTF-8, which do not begin with "unio:". See [CheckName].
	Name string
	// URL says where the device is, for people.
	URL string
	// Device has the region, and Region is its name there.
	Device *unio.Device
	Region string
	// ReadOnly gives clients the right to read and no more. The region of a device that is read-only has to be.
	ReadOnly bool
	// Clients are the names that clients may have in the TLS certificates that prove who they are: DNS names, URIs, e-mail
	// addresses, or the common name of a certificate without those. Default: everybody may attach, with or without one.
	Clients []string
}

// An Event is something that happened to a connection.
type Event struct {
	Kind   EventKind
	Peer   net.Addr // nil if it is not known, which may be so of Failed
	Client string   // first name in the client's TLS certificate, or ""
	Export string   // name that was asked for
	Err    error    // why, of Rejected and Failed
}

// EventKind is what happened.
type EventKind uint8

// The kinds of events.
const (
	Attached EventKind = 1 + iota // a client is given an export
	Detached                      // it has gone
	Rejected                      // it is not given one
	Failed                        // no connection was set up, for other reasons
)

// String returns the kind's name.
func (k EventKind) String() string {
	switch k {
	case Attached:
		return "attached"
	case Detached:
		return "detached"
	case Rejected:
		return "rejected"
	case Failed:
		return "handshake failed"
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

const (
	defaultMemory        = 256 << 20
	defaultPerConnection = 16 << 20
	defaultConnections   = 16384
	leastPerConnection   = 1 << 20
	// longestRead is how many bytes a client's Read may have, as package rdma has it.
	longestRead = 8 << 20
	maxName     = 128
)

// withDefaults checks the configuration, all but the exports, and returns it with nothing left open.
func (c Config) withDefaults() (Config, error) {
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.PerConnection == 0 {
		c.PerConnection = defaultPerConnection
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	switch {
	case c.Memory < slabSize:
		return c, fmt.Errorf("%w: %d bytes of memory", unio.ErrInvalid, c.Memory)
	case c.PerConnection < leastPerConnection || c.PerConnection > c.Memory:
		return c, fmt.Errorf("%w: %d bytes for a connection: %d to %d are possible", unio.ErrInvalid, c.PerConnection, leastPerConnection, c.Memory)
	case c.Connections < 0:
		return c, fmt.Errorf("%w: %d connections", unio.ErrInvalid, c.Connections)
	}
	return c, nil
}

// longest is how many bytes a client may ask for at a time.
func (c *Config) longest() int64 { return min(longestRead, c.PerConnection) }

// check says what is wrong with exports, or nil.
func (c *Config) check(exports []Export) error {
	seen := map[string]bool{}
	for i := range exports {
		x := &exports[i]
		if err := x.check(); err != nil {
			return fmt.Errorf("export %q: %w", x.Name, err)
		}
		if seen[x.Name] {
			return fmt.Errorf("export %q: %w: there are two of that name", x.Name, unio.ErrInvalid)
		}
		seen[x.Name] = true
	}
	if c.VerbsDefault != "" && !seen[c.VerbsDefault] {
		return fmt.Errorf("export %q for clients that name none: %w: there is none of that name", c.VerbsDefault, unio.ErrInvalid)
	}
	return nil
}

func (x *Export) check() error {
	if err := CheckName(x.Name); err != nil {
		return err
	}
	switch {
	case x.Device == nil:
		return fmt.Errorf("%w: no device", unio.ErrInvalid)
	case !x.ReadOnly && x.Device.Info().ReadOnly:
		return fmt.Errorf("%w: the device is read-only, and the export is not", unio.ErrAccess)
	}
	return nil
}

// rights are what clients get at most.
func (x *Export) rights() unio.Rights {
	if x.ReadOnly {
		return unio.ReadOnly
	}
	return unio.ReadWrite
}

// admits reports whether a client of these names may attach.
func (x *Export) admits(names []string) bool {
	return len(x.Clients) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(x.Clients, n) })
}

// same reports whether o is of the same region, so that connections can stay.
func (x *Export) same(o *Export) bool {
	return x.Name == o.Name && x.Device == o.Device && x.Region == o.Region
}
