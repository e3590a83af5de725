package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/target"
)

// A server is a running unio serve. It has one owner.
type server struct {
	sh        *shell
	flags     *serveFlags
	cfg       *serveconfig.Config // that it runs with
	log       *eventLog
	notify    *notifier
	secret    *serverSecret
	devices   exportDevices
	target    *target.Target
	addresses []string
	hangup    chan os.Signal
	drain     atomic.Int64 // nanoseconds; changed by a reload
}

// newServer opens what is to be served.
func newServer(ctx context.Context, sh *shell, f *serveFlags, cfg *serveconfig.Config) (*server, error) {
	s := &server{sh: sh, flags: f, cfg: cfg, hangup: make(chan os.Signal, 1)}
	s.drain.Store(int64(cfg.Drain))
	signal.Notify(s.hangup, syscall.SIGHUP)
	var err error
	if s.secret, err = loadServerSecret(cfg.TLS); err != nil {
		return nil, err
	}
	if s.notify, err = newNotifier(os.Getenv("NOTIFY_SOCKET")); err != nil {
		return nil, err
	}
	s.log = newEventLog(sh.err, cfg)
	exports, err := s.devices.open(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, s.log.close())
	}
	s.target, err = target.New(target.Config{
		Exports: exports, VerbsDefault: cfg.VerbsDefault, Memory: cfg.Memory, PerConnection: cfg.PerConnection, Connections: cfg.Connections,
		OnEvent: s.log.event, RDMA: rdma.Config{TLS: s.secret.config(), CRC: cfg.CRC, Congestion: cfg.Congestion},
	})
	if err != nil {
		return nil, errors.Join(misconfigured(err), s.devices.close(), s.log.close())
	}
	return s, s.devices.settle()
}

// listen lets clients in, and says where.
func (s *server) listen(ctx context.Context) error {
	for _, addr := range s.cfg.Listen {
		at, err := s.target.Listen(ctx, addr)
		if err != nil {
			return err
		}
		s.addresses = append(s.addresses, at.String())
	}
	s.announce()
	s.log.Info("listening", "addresses", s.addresses, "tls", s.secret != nil, "exports", len(s.cfg.Exports))
	switch {
	case s.secret == nil && s.exposed():
		s.log.Warn("other machines can read and write the exports: this is insecure")
	case s.secret != nil && s.cfg.TLS.ClientCA == "":
		s.log.Warn("whoever can connect has the exports: client_ca lets in only some")
	}
	if err := reportReady(s.flags.ready, s.addresses); err != nil {
		return err
	}
	s.notify.say("READY=1", s.status())
	return nil
}

// exposed reports whether other machines may connect.
func (s *server) exposed() bool {
	for _, addr := range s.addresses {
		if tcp, err := net.ResolveTCPAddr("tcp", addr); err == nil && !tcp.IP.IsLoopback() {
			return true
		}
	}
	return false
}

// status is for systemctl status.
func (s *server) status() string {
	return fmt.Sprintf("STATUS=%d exports at %s", len(s.cfg.Exports), strings.Join(s.addresses, ", "))
}

// run serves until ctx ends.
func (s *server) run(ctx context.Context) error {
	var reloading chan struct{} // closed when the reload under way is done; nil without one
	for {
		hangup := s.hangup
		if reloading != nil {
			hangup = nil // one after the other
		}
		select {
		case <-hangup:
			done := make(chan struct{})
			reloading = done
			go func() {
				defer close(done)
				s.reload(ctx)
			}()
		case <-reloading:
			reloading = nil
		case <-ctx.Done():
			return s.finish(reloading)
		}
	}
}

// reload reads the file and the certificates again.
func (s *server) reload(ctx context.Context) {
	s.notify.say("RELOADING=1", monotonic())
	err := s.reloaded(ctx)
	if ctx.Err() != nil {
		return // what there is to say is not about the file
	}
	if err != nil {
		s.log.Error("reload: all stays as it was", "error", err)
	} else {
		s.log.Info("reloaded", "exports", len(s.cfg.Exports))
	}
	s.announceReload(err)
	s.notify.say("READY=1", s.status())
}

func (s *server) reloaded(ctx context.Context) error {
	cfg, err := s.flags.load()
	if err != nil {
		return err
	}
	next, err := s.secret.reload(cfg.TLS)
	if err != nil {
		return err
	}
	exports, err := s.devices.open(ctx, cfg)
	if err != nil {
		return err
	}
	if err := s.target.SetExports(exports); err != nil && !s.serves(exports) {
		return errors.Join(err, s.devices.retract())
	} else if err != nil {
		s.log.Warn("reload: an export did not end cleanly", "error", err)
	}
	s.secret.use(next)
	s.log.level.Set(cfg.LogLevel)
	s.drain.Store(int64(cfg.Drain))
	if err := s.devices.settle(); err != nil {
		s.log.Warn("reload: a device did not close cleanly", "error", err)
	}
	for _, setting := range s.cfg.Differs(cfg) {
		s.log.Warn("reload: a changed setting waits for the next start", "setting", setting)
	}
	s.cfg.Exports = cfg.Exports
	return nil
}

// serves reports whether the target serves these exports.
func (s *server) serves(exports []target.Export) bool {
	now := s.target.Stats().Exports
	return slices.EqualFunc(now, exports, func(a target.ExportStats, b target.Export) bool {
		return a.Name == b.Name && a.URL == b.URL && a.ReadOnly == b.ReadOnly
	})
}

// finish lets clients finish, and ends. reloading is as in run.
func (s *server) finish(reloading <-chan struct{}) error {
	s.notify.say("STOPPING=1", "STATUS=waiting for clients")
	drain := time.Duration(s.drain.Load())
	s.log.Info("ending: clients may finish", "connections", s.target.Stats().Connections, "within", drain)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := s.target.Drain(ctx); err != nil {
		s.log.Warn("clients are disconnected", "connections", s.target.Stats().Connections, "error", err)
	}
	return s.end(endPatience, reloading)
}

// endPatience is how long devices have to answer what is in flight at the end.
const endPatience = 5 * time.Second

// end closes everything after a reload, if one is under way, and gives up on devices that do not answer in time.
func (s *server) end(patience time.Duration, reloading <-chan struct{}) error {
	stats := s.target.Stats()
	closed := make(chan error, 1)
	go func() {
		if reloading != nil {
			<-reloading
		}
		closed <- errors.Join(s.target.Close(), s.devices.close())
	}()
	select {
	case err := <-closed:
		s.announceEnd(&stats, err)
		return errors.Join(err, s.log.close())
	case <-time.After(patience):
		s.log.Error("a device does not answer: leaving without it")
		return errors.Join(fmt.Errorf("a device has not answered for %v", patience), s.log.close())
	}
}
