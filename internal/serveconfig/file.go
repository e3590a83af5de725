package serveconfig

import (
	"log/slog"
	"os"

	"github.com/unio-stack/unio/provider/rdma"
)

// ReadFile changes what the file says. Its error says everything that is wrong
// with the file; the Config is then of no use.
func (c *Config) ReadFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return c.Read(path, string(text))
}

// Read is ReadFile of a text; name is the file's name in errors.
func (c *Config) Read(name, text string) error {
	doc, top, err := parse(name, text)
	if err != nil {
		return err
	}
	c.file = doc
	top.texts("listen", &c.Listen)
	top.text("verbs_default", &c.VerbsDefault)
	top.text("congestion", &c.Congestion)
	top.word("crc", CRCNames, func(s string) (ok bool) {
		c.CRC, ok = ParseCRC(s)
		return ok
	})
	top.flag("insecure", &c.Insecure)
	top.duration("drain", &c.Drain)
	c.readTables(top)
	for _, x := range top.table("exports").tables() {
		c.Exports = append(c.Exports, readExport(x))
	}
	top.end()
	return doc.mistakes.err()
}

func (c *Config) readTables(top *table) {
	limits := top.table("limits")
	limits.size("memory", &c.Memory)
	limits.size("memory_per_connection", &c.PerConnection)
	limits.number("connections", &c.Connections)
	limits.end()

	tls := top.table("tls")
	tls.text("cert", &c.TLS.Cert)
	tls.text("key", &c.TLS.Key)
	tls.text("client_ca", &c.TLS.ClientCA)
	tls.end()

	log := top.table("log")
	log.word("level", LogLevels, func(s string) bool { return c.LogLevel.UnmarshalText([]byte(s)) == nil })
	log.word("format", LogFormats, func(s string) bool {
		c.LogFormat = s
		return KnownLogFormat(s)
	})
	log.end()
}

func readExport(t *table) Export {
	x := Export{Name: t.path[len(t.path)-1]}
	t.text("url", &x.URL)
	t.flag("read_only", &x.ReadOnly)
	t.texts("clients", &x.Clients)
	t.end()
	return x
}

// What settings may be, for people.
const (
	CRCNames   = `"default" (follow the client), "on" (insist) or "off" (refuse)`
	LogLevels  = `"debug", "info", "warn" or "error"`
	LogFormats = `"text" or "json"`
)

// ParseCRC reads one of CRCNames.
func ParseCRC(s string) (rdma.CRC, bool) {
	for _, p := range []rdma.CRC{rdma.CRCDefault, rdma.CRCRequired, rdma.CRCOff} {
		if s == p.String() {
			return p, true
		}
	}
	return 0, false
}

// ParseLogLevel reads one of LogLevels.
func ParseLogLevel(s string) (l slog.Level, ok bool) { return l, l.UnmarshalText([]byte(s)) == nil }

// KnownLogFormat reports whether it is one of LogFormats.
func KnownLogFormat(s string) bool { return s == "text" || s == "json" }
