package serveconfig

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/target"
)

// Check says everything that is wrong with the settings taken together. It
// completes addresses without a port. It opens nothing.
func (c *Config) Check() error {
	k := &checker{c: c}
	k.exports()
	k.listen()
	k.tls()
	k.limits()
	return k.found.err()
}

type checker struct {
	c     *Config
	found mistakes
}

// wrong notes a mistake in a setting.
func (k *checker) wrong(key, format string, args ...any) {
	flag := k.c.flags[key]
	switch path := strings.Split(key, "."); {
	case flag != "":
		k.found.add(0, flag+": "+format, args...)
	case k.c.file == nil:
		k.found.add(0, format, args...)
	default:
		k.inFile(path, format, args...)
	}
}

func (k *checker) inFile(key []string, format string, args ...any) {
	f := k.c.file
	k.found.add(f.line(key), f.at(key)+": "+toml.Key(key).String()+": "+format, args...)
}

// export notes a mistake in a setting of an export.
func (k *checker) export(x *Export, name, format string, args ...any) {
	if x.flag != "" {
		k.found.add(0, x.flag+": export "+x.Name+": "+format, args...)
		return
	}
	k.inFile(keyOf(x, name), format, args...)
}

func (k *checker) exports() {
	c := k.c
	if len(c.Exports) == 0 {
		k.wrong("exports", "there is nothing to serve: give --export NAME=URL, or a table [exports.NAME] with a url")
		return
	}
	seen := map[string]bool{}
	for i := range c.Exports {
		x := &c.Exports[i]
		if err := target.CheckName(x.Name); err != nil {
			k.export(x, "url", "%v", err)
		}
		if seen[x.Name] {
			k.export(x, "url", "there is another export of that name: each needs its own")
		}
		seen[x.Name] = true
		if x.URL == "" {
			k.export(x, "url", `say what to export, as in url = "file:///var/lib/unio/disk.img"`)
		} else if _, err := provider.Parse(x.URL); err != nil {
			k.export(x, "url", "%v", err)
		}
		if len(x.Clients) > 0 && c.TLS.ClientCA == "" {
			k.export(x, "clients", "names are in certificates, and clients need none: set client_ca in [tls]")
		}
		if slices.Contains(x.Clients, "") {
			k.export(x, "clients", "a name is empty; leave clients out if everybody may attach")
		}
	}
	if c.VerbsDefault != "" && !seen[c.VerbsDefault] {
		k.wrong("verbs_default", "there is no export %q; those here are %s", c.VerbsDefault, strings.Join(names(c.Exports), ", "))
	}
}

func names(all []Export) (n []string) {
	for i := range all {
		n = append(n, all[i].Name)
	}
	return n
}

func (k *checker) listen() {
	c := k.c
	if len(c.Listen) == 0 {
		k.wrong("listen", "no address: leave it out for 127.0.0.1:7471")
	}
	for i, addr := range c.Listen {
		c.Listen[i] = withPort(addr)
		where, err := net.ResolveTCPAddr("tcp", c.Listen[i])
		switch {
		case err != nil:
			k.wrong("listen", "%q: %v; write 127.0.0.1:7471, [::1]:7471 or :7471", addr, err)
		case !where.IP.IsLoopback() && !c.TLS.On() && !c.Insecure:
			k.wrong("listen", "%q: other machines could read and write the exports: set up TLS, or say that it is meant with --insecure", addr)
		}
	}
}

// withPort adds the default port where there is none.
func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	full := net.JoinHostPort(strings.Trim(addr, "[]"), strconv.Itoa(rdma.DefaultPort))
	if _, _, err := net.SplitHostPort(full); err != nil || strings.Count(addr, ":") == 1 {
		return addr
	}
	return full
}

func (k *checker) tls() {
	switch t := &k.c.TLS; {
	case t.Cert != "" && t.Key == "":
		k.wrong("tls.key", "a certificate needs its key: set key in [tls], or --tls-key")
	case t.Cert == "" && t.Key != "":
		k.wrong("tls.cert", "a key needs its certificate: set cert in [tls], or --tls-cert")
	case t.Cert == "" && t.ClientCA != "":
		k.wrong("tls.cert", "client_ca is for TLS, which needs a cert and a key")
	}
}

// leastMemory is in bytes.
const leastMemory = 1 << 20

func (k *checker) limits() {
	c := k.c
	if c.Memory != 0 && c.Memory < leastMemory {
		k.wrong("limits.memory", "at least 1 MiB is needed, and 1 MiB for each export; leave it out for 256 MiB")
	}
	if c.PerConnection != 0 && c.PerConnection < leastMemory {
		k.wrong("limits.memory_per_connection", "at least 1 MiB is needed; leave it out for 16 MiB")
	}
	if c.Connections < 0 {
		k.wrong("limits.connections", "it cannot be negative")
	}
	if !KnownLogFormat(c.LogFormat) {
		k.wrong("log.format", "want %s", LogFormats)
	}
}
