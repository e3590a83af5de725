package serveconfig

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/unio-stack/unio/provider/rdma"
)

const whole = `
listen = ["127.0.0.1:0", "[::1]"]
verbs_default = "disk"
congestion = "cubic"
crc = "on"
drain = "1m"
insecure = true

[exports.disk]
url = "file:///d.img?size=1GiB&create=1"

[exports."with space/and.dot"]
url = "mem:?size=1M"
read_only = true
clients = ["db1", "db2"]

[limits]
memory = "1GiB"
memory_per_connection = 1048576
connections = 7

[tls]
cert = "c.pem"
key = "k.pem"
client_ca = "ca.pem"

[log]
level = "debug"
format = "json"
`

func read(t *testing.T, text string) (*Config, error) {
	t.Helper()
	c := Default()
	return c, c.Read("unio.toml", text)
}

func TestRead(t *testing.T) {
	c, err := read(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: []string{"127.0.0.1:0", "[::1]:7471"}, VerbsDefault: "disk",
		Exports: []Export{
			{Name: "disk", URL: "file:///d.img?size=1GiB&create=1"},
			{Name: "with space/and.dot", URL: "mem:?size=1M", ReadOnly: true, Clients: []string{"db1", "db2"}},
		},
		Memory: 1 << 30, PerConnection: 1 << 20, Connections: 7,
		TLS: TLS{"c.pem", "k.pem", "ca.pem"}, Insecure: true, CRC: rdma.CRCRequired, Congestion: "cubic",
		LogLevel: slog.LevelDebug, LogFormat: "json", Drain: time.Minute,
	}
	if d := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{}, Export{})); d != "" {
		t.Error(d)
	}
	if at := c.Where(&c.Exports[1]); at != "unio.toml:13" {
		t.Errorf("the second export is at %s", at)
	}
}

// TestDefaults: a file with one export is enough, and what it does not say is as without it.
func TestDefaults(t *testing.T) {
	c, err := read(t, "exports.d.url = 'd.img'\n")
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Exports = []Export{{Name: "d", URL: "d.img"}}
	if d := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{}, Export{})); d != "" {
		t.Error(d)
	}
}

// TestMistakes: all that is wrong is said, with its line and what to write.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"syntax": {"\nlisten = [", []string{"unio.toml:2: "}},
		"two of one name": {
			"[exports.d]\nurl = 'a'\n[exports.d]\nurl = 'b'\n",
			[]string{"unio.toml:3: "},
		},
		"unknown": {
			"lisen = 'a'\n[exports.d]\nurl = 'd'\nreadonly = true\n[limits]\nconections = 1\n[extra]\n",
			[]string{
				"unio.toml:1: lisen: there is no such setting; those here are listen, verbs_default, congestion, crc, insecure, drain, limits, tls, log, exports",
				"unio.toml:4: exports.d.readonly: there is no such setting; those here are url, read_only, clients",
				"unio.toml:6: limits.conections: there is no such setting; those here are memory, memory_per_connection, connections",
				"unio.toml:7: extra: there is no such setting",
			},
		},
		"types": {
			"listen = 7471\nverbs_default = 1\ncrc = 'maybe'\ninsecure = 'yes'\ndrain = 10\n[exports.d]\nurl = ['a']\nread_only = 1\nclients = [1]\n" +
				"[limits]\nmemory = '1 lot'\nconnections = 1.5\n[log]\nlevel = 'loud'\n",
			[]string{
				`unio.toml:1: listen: 7471: want texts, as in ["a", "b"]`,
				"unio.toml:2: verbs_default: 1: want a text, in quotes",
				`unio.toml:3: crc: "maybe": want "default" (follow the client), "on" (insist) or "off" (refuse)`,
				`unio.toml:4: insecure: "yes": want true or false`,
				`unio.toml:5: drain: 10: want a time, as "10s" or "1m30s"`,
				"unio.toml:7: exports.d.url: a list: want a text, in quotes",
				"unio.toml:8: exports.d.read_only: 1: want true or false",
				`unio.toml:9: exports.d.clients: a list: want texts, as in ["a", "b"]`,
				`unio.toml:11: limits.memory: "1 lot": want a size, as "256MiB"`,
				"unio.toml:12: limits.connections: 1.5: want a whole number",
				"and 1 more",
			},
		},
		"tables": {
			"exports = 1\nlimits = 'all'\ntls = 2021-01-01T00:00:00Z\n",
			[]string{
				"unio.toml:1: exports: 1: want a table, [exports]",
				`unio.toml:2: limits: "all": want a table, [limits]`,
				"unio.toml:3: tls: a date: want a table, [tls]",
			},
		},
		"no tables of exports": {"[exports]\nd = 'd.img'\n", []string{`unio.toml:2: exports.d: "d.img": want a table, [exports.d]`}},
		"sub-tables":           {"[exports.d]\nurl = 'a'\n[exports.d.more]\nx = 1\n", []string{"unio.toml:3: exports.d.more: there is no such setting"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, c.text)
			checkLines(t, err, c.want)
		})
	}
}

// checkLines: each line of an error begins with what is wanted.
func checkLines(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, want[i]) {
			t.Errorf("line %d: %s\nwant    %s", i, l, want[i])
		}
	}
}

func TestCheck(t *testing.T) {
	const disk = "[exports.d]\nurl = 'd.img'\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":   {"", []string{"unio.toml: exports: there is nothing to serve: give --export NAME=URL"}},
		"no URL":    {"[exports.d]\n", []string{"unio.toml:1: exports.d.url: say what to export, as in url = "}},
		"bad URL":   {"[exports.d]\nurl = 'nvme:x'\n", []string{`unio.toml:2: exports.d.url: open nvme:x: invalid: unknown scheme "nvme"`}},
		"own name":  {"[exports.'unio:x']\nurl = 'd'\n", []string{"unio.toml:2: exports.\"unio:x\".url: invalid: names that begin with unio: are the target's own"}},
		"no name":   {"[exports.'']\nurl = 'd'\n", []string{`unio.toml:2: exports."".url: invalid: a name has 1 to 128 bytes of printable text`}},
		"names":     {disk + "clients = ['a']\n", []string{"unio.toml:3: exports.d.clients: names are in certificates, and clients need none: set client_ca in [tls]"}},
		"default":   {"verbs_default = 'e'\n" + disk, []string{`unio.toml:1: verbs_default: there is no export "e"; those here are d`}},
		"no listen": {"listen = []\n" + disk, []string{"unio.toml:1: listen: no address"}},
		"strangers": {"listen = [':7471', '127.0.0.1', '0.0.0.0:1']\n" + disk, []string{
			`unio.toml:1: listen: ":7471": other machines could read and write the exports: set up TLS, or say that it is meant with --insecure`,
			`unio.toml:1: listen: "0.0.0.0:1": other machines could`,
		}},
		"address":   {"listen = '127.0.0.1:port'\n" + disk, []string{`unio.toml:1: listen: "127.0.0.1:port": `}},
		"no key":    {disk + "[tls]\ncert = 'c'\n", []string{"unio.toml:3: tls.key: a certificate needs its key"}},
		"no cert":   {disk + "[tls]\nkey = 'k'\n", []string{"unio.toml:3: tls.cert: a key needs its certificate"}},
		"CA only":   {disk + "[tls]\nclient_ca = 'k'\n", []string{"unio.toml:3: tls.cert: client_ca is for TLS"}},
		"negative":  {disk + "[limits]\nconnections = -1\nmemory = -2\n", []string{"unio.toml:4: limits.connections: it cannot be negative", "unio.toml:5: limits.memory: at least 1 MiB"}},
		"no name 2": {disk + "clients = ['a', '']\n[tls]\ncert='a'\nkey='b'\nclient_ca='c'\n", []string{"unio.toml:3: exports.d.clients: a name is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := read(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			checkLines(t, cfg.Check(), c.want)
		})
	}
}

// TestFlags: mistakes in what flags say are theirs, and flags and file may not give one name twice.
func TestFlags(t *testing.T) {
	c, err := read(t, "[exports.d]\nurl = 'd.img'\n")
	if err != nil {
		t.Fatal(err)
	}
	c.Add("--export", Export{Name: "d", URL: "other"})
	c.Add("--export", Export{Name: "e", URL: "nvme:x"})
	c.Connections = -1
	c.From("--connections", "limits.connections")
	checkLines(t, c.Check(), []string{
		"--export: export d: there is another export of that name",
		"--export: export e: open nvme:x: invalid",
		"--connections: it cannot be negative",
	})
	if at := c.Where(&c.Exports[1]); at != "--export" {
		t.Errorf("it is from %s", at)
	}
	none := Default()
	checkLines(t, none.Check(), []string{"there is nothing to serve"})
}

// TestTLSLetsStrangersIn: with TLS, any address may be listened at.
func TestTLSLetsStrangersIn(t *testing.T) {
	for _, text := range []string{"insecure = true\n", "[tls]\ncert = 'c'\nkey = 'k'\n"} {
		c, err := read(t, "listen = [':7471', '0.0.0.0', '::', 'localhost:1']\nexports.d.url = 'd'\n"+text)
		if err == nil {
			err = c.Check()
		}
		if want := []string{":7471", "0.0.0.0:7471", "[::]:7471", "localhost:1"}; err != nil || !slices.Equal(c.Listen, want) {
			t.Errorf("%s: %v, %v", text, c.Listen, err)
		}
	}
}

func TestDiffers(t *testing.T) {
	a, err := read(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := read(t, whole)
	b.Exports, b.LogLevel, b.Drain, b.TLS.Cert = nil, slog.LevelWarn, 0, "new.pem"
	if d := a.Differs(b); len(d) > 0 {
		t.Errorf("%v differ, but are taken over", d)
	}
	if d, want := a.Differs(Default()), "listen verbs_default limits.memory limits.memory_per_connection limits.connections tls crc congestion log.format"; strings.Join(d, " ") != want {
		t.Errorf("%v differ, want %s", d, want)
	}
}

func TestReadFile(t *testing.T) {
	if err := Default().ReadFile(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

// TestExampleIsRight: the file that people begin with is taken, with all its comments taken away, too.
func TestExampleIsRight(t *testing.T) {
	text, err := os.ReadFile("../../contrib/unio.toml")
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	for line := range strings.Lines(string(text)) {
		settings = append(settings, strings.TrimPrefix(line, "#")) // "# words" stay comments, as "#key = value" does not
	}
	for i := range settings {
		if strings.HasPrefix(settings[i], " ") {
			settings[i] = "#" + settings[i]
		}
	}
	for name, text := range map[string]string{"as it is": string(text), "all of it": strings.Join(settings, "")} {
		c, err := read(t, text)
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(whole)
	f.Add("[exports.d]\nurl=1\n")
	f.Add("exports = [1]\nlisten.a = 2")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		if err := c.Read("f", text); err != nil {
			if !strings.HasPrefix(err.Error(), "f") {
				t.Errorf("%v does not say where", err)
			}
			return
		}
		c.Listen = nil // names of hosts would be asked for
		_ = c.Check()
	})
}
