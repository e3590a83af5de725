package serveconfig

import (
	"log/slog"
	"slices"
	"time"

	"github.com/unio-stack/unio/provider/rdma"
)

// A Config says what to serve, to whom, and how. Make it with Default, then
// have ReadFile and flags change it, then Check it. It has one owner.
type Config struct {
	Listen       []string // "host:port"; port 0 takes a free one
	Exports      []Export
	VerbsDefault string // export for clients that name none; "" is none

	Memory        int64 // I/O memory in all, in bytes; 0 is the target's default
	PerConnection int64 // of it for one connection, likewise
	Connections   int   // at a time, likewise

	TLS        TLS
	Insecure   bool // strangers may connect without TLS
	CRC        rdma.CRC
	Congestion string // of TCP; "" is the system's

	LogLevel  slog.Level
	LogFormat string        // "text" or "json"
	Drain     time.Duration // how long clients may stay when it ends

	file  *document         // that was read last; nil if none was
	flags map[string]string // key of a setting: the flag that it is from
}

// An Export is a region to be served.
type Export struct {
	Name     string
	URL      string
	ReadOnly bool
	Clients  []string // names in TLS certificates; empty: everybody

	flag string // that it is from; "" if it is from the file
}

// TLS are files in PEM; none is no TLS.
type TLS struct {
	Cert, Key string
	ClientCA  string // clients need a certificate of these authorities
}

// On reports whether there is TLS.
func (t *TLS) On() bool { return *t != TLS{} }

// Default returns what holds where nothing else is said.
func Default() *Config {
	return &Config{
		Listen: []string{"127.0.0.1:7471"}, LogLevel: slog.LevelInfo, LogFormat: "text",
		Drain: 10 * time.Second, flags: map[string]string{},
	}
}

// From notes that a setting, by its key in the file, is from a flag, so that
// mistakes are reported for that.
func (c *Config) From(flag, key string) { c.flags[key] = flag }

// Add adds an export that a flag gives.
func (c *Config) Add(flag string, x Export) {
	x.flag = flag
	c.Exports = append(c.Exports, x)
}

// Where says where an export's settings are from: "file:line" or a flag.
func (c *Config) Where(x *Export) string {
	if x.flag != "" {
		return x.flag
	}
	return c.file.at(keyOf(x, "url"))
}

// keyOf returns the key of a setting of an export from the file.
func keyOf(x *Export, name string) []string { return []string{"exports", x.Name, name} }

// Differs returns the keys of the settings that a running server does not take
// over from o: all but the exports, the certificates, the log's level and drain.
func (c *Config) Differs(o *Config) (keys []string) {
	for _, s := range []struct {
		key  string
		same bool
	}{
		{"listen", slices.Equal(c.Listen, o.Listen)},
		{"verbs_default", c.VerbsDefault == o.VerbsDefault},
		{"limits.memory", c.Memory == o.Memory},
		{"limits.memory_per_connection", c.PerConnection == o.PerConnection},
		{"limits.connections", c.Connections == o.Connections},
		{"tls", c.TLS.On() == o.TLS.On()},
		{"crc", c.CRC == o.CRC},
		{"congestion", c.Congestion == o.Congestion},
		{"log.format", c.LogFormat == o.LogFormat},
	} {
		if !s.same {
			keys = append(keys, s.key)
		}
	}
	return keys
}
