package rows

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
)

const (
	// memorySize bytes are read and written at random. They fit a core's own
	// caches, so that what is compared is the work and not the DRAM.
	memorySize = 1 << 20
	// memoryBatch operations are timed together.
	memoryBatch = 256
)

// addMemory compares the mem provider with copy: one request posted and
// polled at a time against one copy between the same kinds of memory, at the
// same offsets.
func (s *Set) addMemory(_ context.Context, c Config) error {
	if !c.wants("mem") {
		return nil
	}
	for _, op := range []unio.Opcode{unio.OpRead, unio.OpWrite} {
		for _, size := range []int{64, 512, 4096, 65536} {
			m := memoryJob{op: op, size: size, time: max(c.Time/5, 50*time.Millisecond)}
			s.Rows = append(s.Rows, contest.Row{
				Name: fmt.Sprintf("mem %s %d B", op, size), Group: "mem", Better: contest.Time,
				Unio:      contest.Contestant{Run: m.throughChannel},
				Baselines: []contest.Contestant{{Name: "copy", Run: m.copy}},
				Checks: []contest.Check{
					{Metric: contest.Time, Kind: contest.Difference, Bar: 50},
					{Metric: contest.Syscalls, Kind: contest.Value, Bar: 0},
				},
			})
		}
	}
	return nil
}

type memoryJob struct {
	op   unio.Opcode
	size int
	time time.Duration
}

// offsets returns places of the given size, at random, the same each time.
func (m memoryJob) offsets() []int64 {
	random := rand.New(rand.NewPCG(1, uint64(m.size)))
	out := make([]int64, 1<<12)
	for i := range out {
		out[i] = random.Int64N(int64(memorySize/m.size)) * int64(m.size)
	}
	return out
}

// timed repeats step, with a place each, until the time is over, and returns
// the wall time of one in nanoseconds: the median of its batches, so that what
// other programs take of the processor does not count.
func (m memoryJob) timed(step func(offset int64) error) (float64, error) {
	at := m.offsets()
	var batches []float64
	n := 0
	for began := time.Now(); time.Since(began) < m.time; {
		start := time.Now()
		for range memoryBatch {
			if err := step(at[n%len(at)]); err != nil {
				return 0, err
			}
			n++
		}
		batches = append(batches, float64(time.Since(start))/memoryBatch)
	}
	return contest.SpreadOf(batches).Median, nil
}

func (m memoryJob) copy(context.Context) (_ contest.Sample, err error) {
	store, buf, free, err := m.buffers()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	ns, err := m.timed(func(at int64) error {
		if m.op == unio.OpRead {
			copy(buf, store[at:at+int64(m.size)])
		} else {
			copy(store[at:at+int64(m.size)], buf)
		}
		return nil
	})
	return contest.Sample{contest.Time: ns}, err
}

// buffers returns the memory that stands for the device, written once so that
// it exists, and the caller's.
func (m memoryJob) buffers() (store, buf []byte, free func() error, err error) {
	a, err := unio.NewBuffer(memorySize)
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := unio.NewBuffer(m.size)
	if err != nil {
		return nil, nil, nil, errors.Join(err, a.Free())
	}
	for i := range a.Bytes() {
		a.Bytes()[i] = byte(i)
	}
	return a.Bytes(), b.Bytes(), func() error { return errors.Join(a.Free(), b.Free()) }, nil
}

func (m memoryJob) throughChannel(ctx context.Context) (_ contest.Sample, err error) {
	dev, err := provider.Open(ctx, fmt.Sprintf("mem:?size=%d", memorySize))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		return nil, err
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return nil, err
	}
	buf, err := unio.NewBuffer(m.size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, buf.Free()) }()
	if err := fill(ctx, ch, reg); err != nil {
		return nil, err
	}
	reqs := []unio.Request{{Op: m.op, Region: reg, Data: buf.Bytes()}}
	done := make([]unio.Completion, 1)
	before := ch.Stats()
	ns, err := m.timed(func(at int64) error {
		reqs[0].Offset = at
		if _, err := ch.Post(reqs...); err != nil {
			return err
		}
		if ch.Poll(done) != 1 {
			return errors.New("the request did not end inside Post")
		}
		return done[0].Err
	})
	after := ch.Stats()
	return contest.Sample{
		contest.Time:     ns,
		contest.Syscalls: float64(after.Syscalls-before.Syscalls) / float64(after.Completed-before.Completed),
	}, err
}

// fill writes the whole region once, so that its memory exists.
func fill(ctx context.Context, ch *unio.Channel, reg *unio.Region) error {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i)
	}
	for at := int64(0); at < reg.Size(); at += int64(len(data)) {
		n := min(int64(len(data)), reg.Size()-at)
		if err := ch.Do(ctx, unio.Request{Op: unio.OpWrite, Region: reg, Offset: at, Data: data[:n]}); err != nil {
			return err
		}
	}
	return nil
}
