package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/unio-stack/unio/internal/serveconfig"
)

const serveLong = `serve gives others access to devices, over RDMA over TCP (iWARP): unio itself, by
rdma://HOST/NAME, and every program on RDMA verbs.

What to serve is said by flags, or in a file (--config), or both; where both say
something, the flag holds. contrib/unio.toml is a file with everything in it,
contrib/unio.service a unit for systemd.

Whoever reaches the address has the exports, so an address that is not of this
machine alone needs TLS (--tls-cert, --tls-key), and --tls-client-ca to let in
only those with a certificate of that authority; or --insecure.

SIGHUP makes it read the file and the certificates again. Exports that stay are
served on without a break, what is gone is withdrawn at once, and other settings
wait for the next start. If something is wrong, all stays as it was.

SIGTERM and SIGINT end it: nobody is let in any more, clients may finish for as
long as --drain says, and the exit status is 0. A second one ends it at once.

With --json each line it prints is one JSON object, whose "event" is listening,
reloaded or end. It logs to standard error: of peers that are not let in, a few
lines every ten seconds, and how many more there were.`

const serveExample = `  unio serve --export disk=/dev/nvme0n1
  unio serve --export scratch=mem:?size=1GiB --export-read-only image=disk.img
  unio serve --config /etc/unio/unio.toml
  unio serve --listen 127.0.0.1:0 --export d=disk.img --json
  unio serve --listen :7471 --tls-cert s.pem --tls-key s.key --tls-client-ca ca.pem --export d=disk.img`

// serveFlags are the command line of serve.
type serveFlags struct {
	file     string
	exports  []string
	readOnly []string
	crc      string
	level    string
	settings serveconfig.Config // what the other flags say
	json     bool
	ready    int                    // descriptor; negative: none
	given    func(flag string) bool // whether it is on the command line
}

func newServe(sh *shell) *cobra.Command {
	f := serveFlags{settings: *serveconfig.Default()}
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve devices to other machines and programs",
		Long: serveLong, Example: serveExample,
		Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.given = cmd.Flags().Changed
			return runServe(cmd.Context(), sh, &f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.file, "config", "", "read settings from this TOML `file`")
	fs.StringArrayVar(&f.exports, "export", nil, "serve the device at a URL or path under a name: `NAME=URL`; may be repeated")
	fs.StringArrayVar(&f.readOnly, "export-read-only", nil, "likewise, for reading only: `NAME=URL`")
	f.define(fs)
	fs.IntVar(&f.ready, "ready-fd", -1, "once it listens, write the addresses to this file `descriptor`, one a line, and close it")
	fs.BoolVar(&f.json, "json", false, "print JSON objects, one a line")
	_ = cmd.MarkFlagFilename("config", "toml")
	_ = cmd.RegisterFlagCompletionFunc("crc", completeWords([]string{"default", "on", "off"}))
	_ = cmd.RegisterFlagCompletionFunc("log-level", completeWords([]string{"debug", "info", "warn", "error"}))
	_ = cmd.RegisterFlagCompletionFunc("log-format", completeWords([]string{"text", "json"}))
	return cmd
}

// define defines the flags of settings that the file has, too.
func (f *serveFlags) define(fs *pflag.FlagSet) {
	s := &f.settings
	fs.StringArrayVar(&s.Listen, "listen", s.Listen, "`address` and port; port 0 takes a free one; may be repeated")
	fs.StringVar(&s.VerbsDefault, "verbs-default", "", "the export for clients that `NAME` none, as programs on verbs may do")
	fs.StringVar(&s.TLS.Cert, "tls-cert", "", "certificate `file` in PEM: use TLS")
	fs.StringVar(&s.TLS.Key, "tls-key", "", "its key `file`")
	fs.StringVar(&s.TLS.ClientCA, "tls-client-ca", "", "let in only clients with a certificate of the authorities in this `file`")
	fs.BoolVar(&s.Insecure, "insecure", false, "listen without TLS where other machines may connect")
	fs.StringVar(&f.crc, "crc", "default", "checksums beside TCP's: default (follow the client), on (insist) or off (refuse)")
	fs.StringVar(&s.Congestion, "congestion", "", "congestion control of TCP, such as cubic")
	sizeVar(fs, &s.Memory, "memory", 0, "I/O memory in all (default 256M)")
	sizeVar(fs, &s.PerConnection, "connection-memory", 0, "how much of it one connection may use (default 16M)")
	fs.IntVar(&s.Connections, "connections", 0, "how many there may be at a time (default 16384)")
	fs.DurationVar(&s.Drain, "drain", s.Drain, "how long clients may finish when it is to end")
	fs.StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&s.LogFormat, "log-format", "text", "text or json")
}

// load returns what file and flags say together, checked. It can be called again.
func (f *serveFlags) load() (*serveconfig.Config, error) {
	c := serveconfig.Default()
	if f.file != "" {
		if err := c.ReadFile(f.file); err != nil {
			return nil, misconfigured(err)
		}
	}
	if err := f.overlay(c); err != nil {
		return nil, err
	}
	return c, misconfigured(c.Check())
}

// misconfigured makes what is wrong with the settings an error of usage.
func misconfigured(err error) error {
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return err
	}
	return &exitError{status: exitUsage, err: err, hint: "unio serve --help, and contrib/unio.toml, show all settings"}
}

// overlay changes what flags say.
func (f *serveFlags) overlay(c *serveconfig.Config) error {
	s := &f.settings
	for _, o := range []struct {
		flag, key string
		set       func()
	}{
		{"listen", "listen", func() { c.Listen = append([]string(nil), s.Listen...) }},
		{"verbs-default", "verbs_default", func() { c.VerbsDefault = s.VerbsDefault }},
		{"tls-cert", "tls.cert", func() { c.TLS.Cert = s.TLS.Cert }},
		{"tls-key", "tls.key", func() { c.TLS.Key = s.TLS.Key }},
		{"tls-client-ca", "tls.client_ca", func() { c.TLS.ClientCA = s.TLS.ClientCA }},
		{"insecure", "insecure", func() { c.Insecure = s.Insecure }},
		{"congestion", "congestion", func() { c.Congestion = s.Congestion }},
		{"memory", "limits.memory", func() { c.Memory = s.Memory }},
		{"connection-memory", "limits.memory_per_connection", func() { c.PerConnection = s.PerConnection }},
		{"connections", "limits.connections", func() { c.Connections = s.Connections }},
		{"drain", "drain", func() { c.Drain = s.Drain }},
		{"log-format", "log.format", func() { c.LogFormat = s.LogFormat }},
	} {
		if f.given(o.flag) {
			o.set()
			c.From("--"+o.flag, o.key)
		}
	}
	if err := f.words(c); err != nil {
		return err
	}
	return errors.Join(addExports(c, "--export", f.exports, false), addExports(c, "--export-read-only", f.readOnly, true))
}

// words changes the settings whose flags are one of some words.
func (f *serveFlags) words(c *serveconfig.Config) error {
	var ok bool
	if f.given("crc") {
		if c.CRC, ok = serveconfig.ParseCRC(f.crc); !ok {
			return usage("--crc %s: want %s", f.crc, serveconfig.CRCNames)
		}
	}
	if f.given("log-level") {
		if c.LogLevel, ok = serveconfig.ParseLogLevel(f.level); !ok {
			return usage("--log-level %s: want %s", f.level, serveconfig.LogLevels)
		}
	}
	if c.Drain < 0 {
		return usage("--drain must not be negative")
	}
	return nil
}

func addExports(c *serveconfig.Config, flag string, all []string, readOnly bool) error {
	for _, text := range all {
		name, url, found := strings.Cut(text, "=")
		if !found {
			return hinted(usage("%s %s: want NAME=URL", flag, text), "as in %s disk=/dev/nvme0n1", flag)
		}
		c.Add(flag, serveconfig.Export{Name: name, URL: url, ReadOnly: readOnly})
	}
	return nil
}

// reportReady tells a program that waits for it where it listens.
func reportReady(fd int, addresses []string) error {
	if fd < 0 {
		return nil
	}
	f := os.NewFile(uintptr(fd), "ready-fd")
	if f == nil {
		return usage("--ready-fd %d: no such descriptor", fd)
	}
	_, err := fmt.Fprintln(f, strings.Join(addresses, "\n"))
	if err = errors.Join(err, f.Close()); err != nil {
		return usage("--ready-fd %d: %w", fd, err)
	}
	return nil
}

func runServe(ctx context.Context, sh *shell, f *serveFlags) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	s, err := newServer(ctx, sh, f, cfg)
	if err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return errors.Join(err, s.end(endPatience, nil))
	}
	return s.run(ctx)
}
