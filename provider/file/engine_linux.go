package file

import (
	"errors"
	"fmt"
	"strings"

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
	trial := setup
	trial.Entries = 8
	r, err := uring.New(trial)
	if err != nil {
		if cfg.Engine == EngineRing || cfg.SQPoll || cfg.polled() {
			return engine{}, fmt.Errorf("io_uring: %w: %w", unio.ErrUnsupported, err)
		}
		posix.reason = "io_uring is refused: " + err.Error()
		return posix, nil
	}
	_ = r.Close()
	e := engine{name: describe(cfg), reason: "a trial ring worked"}
	fallback := cfg.Engine != EngineRing
	e.newQueue = func(d *device, q unio.QueueConfig) (unio.Queue, error) {
		queue, err := newRingQueue(d.m, setup, q)
		if err != nil && fallback && errors.Is(err, unix.ENOMEM) {
			return d.pool.newQueue(q), nil
		}
		return queue, err
	}
	if limit := memlock(); limit < smallMemlock && fallback {
		e.notes = append(e.notes, fmt.Sprintf(
			"RLIMIT_MEMLOCK is %d KiB: channels whose ring does not fit in it use the posix engine, and Buffers are not registered (raise it: ulimit -l)",
			limit>>10))
	}
	return e, nil
}

// smallMemlock bytes hold a few rings and Buffers.
const smallMemlock = 1 << 20

func memlock() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) != nil {
		return 0
	}
	return r.Cur
}

// checkPolled refuses to poll where the device's queue cannot be.
func (m *medium) checkPolled(cfg Config) error {
	if !cfg.polled() {
		return nil
	}
	if !m.direct {
		return fmt.Errorf("iopoll: %w: it needs direct I/O, and the file is %s", unio.ErrUnsupported, strings.Join(m.notes, "; "))
	}
	if m.queueLimit("io_poll") == 0 {
		return fmt.Errorf("iopoll: %w: the device has no poll queues (queue/io_poll is 0 in sysfs; for nvme, load it with poll_queues=N)", unio.ErrUnsupported)
	}
	return nil
}

func ringSetup(cfg Config) uring.Config {
	return uring.Config{
		SQPoll: cfg.SQPoll,
		IOPoll: cfg.polled(), HybridIOPoll: cfg.IOPoll == IOPollHybrid,
	}
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
