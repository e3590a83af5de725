package file

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/uring"
	"golang.org/x/sys/unix"
)

// chooseEngine picks what the user asked for, or io_uring if a trial ring can
// be made.
func chooseEngine(m *medium, cfg Config) (engine, error) {
	posix := engine{name: string(EnginePosix), reason: "asked for"}
	if cfg.Engine == EnginePosix {
		return posix, nil
	}
	if err := m.checkPolled(cfg); err != nil {
		return engine{}, err
	}
	setup := ringSetup(cfg)
	if err := m.tryRing(setup); err != nil {
		if !cfg.mayFallBack() {
			return engine{}, fmt.Errorf("io_uring: %w: %w", unio.ErrUnsupported, err)
		}
		posix.reason = "io_uring is refused: " + err.Error()
		return posix, nil
	}
	e := engine{name: describe(cfg), reason: "a trial ring worked", newQueue: ringOr(setup, cfg.mayFallBack())}
	if limit := memlock(); limit < smallMemlock && cfg.mayFallBack() {
		e.note("RLIMIT_MEMLOCK is %d KiB: channels whose ring does not fit in it use the posix engine, and Buffers beyond it are not registered (raise it: ulimit -l)", limit>>10)
	}
	return e, nil
}

func (e *engine) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// mayFallBack reports whether nothing was asked for that io_uring alone has.
func (c *Config) mayFallBack() bool {
	return c.Engine != EngineRing && !c.SQPoll && !c.polled()
}

// ringOr returns what makes queues with rings of their own; with fallback, a
// queue without one where there is no memory for the ring.
func ringOr(setup uring.Config, fallback bool) func(*device, unio.QueueConfig) (unio.Queue, error) {
	return func(d *device, q unio.QueueConfig) (unio.Queue, error) {
		queue, err := newRingQueue(d.m, d.pool, setup, q)
		switch {
		case err == nil:
			return queue, nil
		case fallback && errors.Is(err, unix.ENOMEM):
			return d.pool.newQueue(q), nil
		}
		return nil, causeOfOpen(err)
	}
}

// smallMemlock bytes hold a few rings and Buffers.
const smallMemlock = 1 << 20

// memlock returns how many bytes the process may lock.
func memlock() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if unix.Capget(&header, &caps[0]) == nil && caps[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0 {
		return math.MaxUint64
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) != nil {
		return 0
	}
	return r.Cur
}

// checkPolled refuses to poll where the device's queue cannot be. A trial alone
// would not do: what the file system answers by itself, such as a hole, works.
func (m *medium) checkPolled(cfg Config) error {
	switch {
	case !cfg.polled():
		return nil
	case !m.direct:
		return fmt.Errorf("iopoll: %w: it needs direct I/O, and the file is %s", unio.ErrUnsupported, strings.Join(m.notes, "; "))
	case m.queueLimit("io_poll") == 0:
		return fmt.Errorf("iopoll: %w: the device has no poll queues (queue/io_poll is 0 in sysfs; for nvme, load it with poll_queues=N)", unio.ErrUnsupported)
	}
	return nil
}

// sqIdle is how long a kernel thread that takes requests looks for more before
// it sleeps: long enough for the gaps in a load, short enough for nobody to
// notice an idle channel.
const sqIdle = 2 * time.Millisecond

func ringSetup(cfg Config) uring.Config {
	setup := uring.Config{
		SQPoll: cfg.SQPoll,
		IOPoll: cfg.polled(), HybridIOPoll: cfg.IOPoll == IOPollHybrid,
	}
	if cfg.SQPoll {
		setup.SQIdle = sqIdle
	}
	return setup
}

func describe(cfg Config) string {
	name := string(EngineRing)
	if cfg.SQPoll {
		name += "+sqpoll"
	}
	if cfg.polled() {
		name += "+iopoll"
	}
	return name
}
