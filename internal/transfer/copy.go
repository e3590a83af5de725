package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// Unknown is the size of a stream whose end is not known.
const Unknown = -1

// A Source is where bytes come from: a region, or a stream.
type Source struct {
	Region *unio.Region
	Stream io.Reader
	// Size in bytes, or Unknown for a stream.
	Size int64
}

// A Target is where bytes go: a region, or a stream.
type Target struct {
	Region *unio.Region
	Stream io.Writer
	// Grows: the region is resized when more bytes come than it has.
	Grows bool
}

// Config says how to copy. The zero value works.
type Config struct {
	// Chunk is how many bytes go in one request: a multiple of 4096, default
	// 1 MiB.
	Chunk int
	// Depth is how many chunks are on their way; default 16.
	Depth int
	// Verify reads the target back when all is written.
	Verify bool
	// Sparse discards the target's range, instead of writing, where the source
	// has a chunk of zeroes.
	Sparse bool
	// State, if any, is where progress is noted and taken up. Only with a
	// target region.
	State *State
	// Reread reads also what State says is copied, and copies it again where
	// it is not the same any more: for sources that may have changed unseen.
	Reread bool
	// Checkpoint is how often State is brought up to date; default 2 s.
	Checkpoint time.Duration
}

const (
	defaultChunk = 1 << 20
	defaultDepth = 16
	pageSize     = 4096
)

// A Result is what a copy did.
type Result struct {
	Bytes    int64 `json:"bytes"`    // length of the target's content
	Copied   int64 `json:"copied"`   // written by this call
	Resumed  int64 `json:"resumed"`  // found copied already
	Zeroes   int64 `json:"zeroes"`   // discarded instead of written
	Verified bool  `json:"verified"` // read back, and the same
	// Seconds, without verification.
	Seconds       float64 `json:"seconds"`
	VerifySeconds float64 `json:"verify_seconds,omitempty"`
}

// A MismatchError says that the target does not hold what was written.
type MismatchError struct {
	Device  string
	Offsets []int64 // of the first chunks that differ
	Chunks  int64   // how many differ
	Chunk   int     // their length in bytes
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: %v: %d chunks of %s are not what was written, first at offset %d",
		e.Device, unio.ErrChecksum, e.Chunks, bytesize.Format(int64(e.Chunk)), e.Offsets[0])
}

// Unwrap returns [unio.ErrChecksum].
func (e *MismatchError) Unwrap() error { return unio.ErrChecksum }

// Copy copies all of src to the beginning of dst. When ctx ends it stops, with
// the State up to date. A difference found by Verify is a *MismatchError. The
// regions stay open, the target's data flushed. mon may be nil.
func Copy(ctx context.Context, src Source, dst Target, cfg Config, mon *Monitor) (*Result, error) {
	if mon == nil {
		mon = new(Monitor)
	}
	j, err := newJob(src, dst, cfg, mon)
	if err != nil {
		return nil, err
	}
	defer j.release()
	mon.enter(PhaseCopy, src.Size, j.offset(j.first()))
	began := time.Now()
	if err := j.copy(ctx); err != nil {
		return nil, err
	}
	r := j.result()
	r.Seconds = time.Since(began).Seconds()
	if !j.cfg.Verify || dst.Region == nil {
		return r, nil
	}
	mon.enter(PhaseVerify, r.Bytes, 0)
	began = time.Now()
	if err := j.verify(ctx); err != nil {
		return r, err
	}
	r.Verified, r.VerifySeconds = true, time.Since(began).Seconds()
	return r, nil
}

// A job is one copy.
type job struct {
	src     Source
	dst     Target
	cfg     Config
	mon     *Monitor
	memory  *unio.Buffer
	free    chan *slot
	full    chan *slot
	sums    ledger // owned by the writer, and by verify after it
	resumed int64  // bytes that need not be copied; immutable
	copied  int64  // owned by the writer
	zeroes  int64  // owned by the writer
	length  int64  // of the source; owned by the reader until full is closed
}

// A slot carries one chunk. It belongs to who took it from a channel.
type slot struct {
	id    uint64
	chunk int64 // number of the chunk
	n     int   // bytes
	sum   uint32
	data  []byte // memory of a whole chunk
}

func newJob(src Source, dst Target, cfg Config, mon *Monitor) (*job, error) {
	if cfg.Chunk == 0 {
		cfg.Chunk = defaultChunk
	}
	if cfg.Depth == 0 {
		cfg.Depth = defaultDepth
	}
	if cfg.Checkpoint == 0 {
		cfg.Checkpoint = 2 * time.Second
	}
	if cfg.Chunk < 0 || cfg.Chunk%pageSize != 0 || cfg.Depth < 0 {
		return nil, fmt.Errorf("%w: chunks of %d bytes at depth %d: want a multiple of %d, and a positive depth",
			unio.ErrInvalid, cfg.Chunk, cfg.Depth, pageSize)
	}
	if src.Region != nil && (src.Size < 0 || src.Size > src.Region.Size()) {
		return nil, fmt.Errorf("%w: %d bytes are to be copied of %s, which has %d",
			unio.ErrOutOfRange, src.Size, src.Region.Device().Info().Name, src.Region.Size())
	}
	if src.Region != nil && dst.Region != nil && !dst.Grows && src.Size > dst.Region.Size() {
		return nil, fmt.Errorf("%w: the source has %s, %s only %s", unio.ErrNoSpace,
			bytesize.Format(src.Size), dst.Region.Device().Info().Name, bytesize.Format(dst.Region.Size()))
	}
	memory, err := unio.NewBuffer(cfg.Chunk * cfg.Depth)
	if err != nil {
		return nil, err
	}
	j := &job{src: src, dst: dst, cfg: cfg, mon: mon, memory: memory, length: src.Size}
	j.free, j.full = make(chan *slot, cfg.Depth), make(chan *slot, cfg.Depth)
	for i := range cfg.Depth {
		j.free <- &slot{id: uint64(i), data: memory.Bytes()[i*cfg.Chunk : (i+1)*cfg.Chunk]}
	}
	if cfg.State != nil {
		j.sums.load(cfg.State.Sums())
		j.resumed = min(j.sums.low*int64(cfg.Chunk), src.Size)
	}
	return j, nil
}

func (j *job) release() { _ = j.memory.Free() }

// copy runs reader and writer to their ends.
func (j *job) copy(ctx context.Context) error {
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var errs [2]error
	var wait sync.WaitGroup
	part := func(i int, f func(context.Context) error) {
		wait.Go(func() {
			if errs[i] = f(run); errs[i] != nil {
				stop(errs[i])
			}
		})
	}
	part(0, j.read)
	part(1, j.write)
	wait.Wait()
	for _, err := range errs { // the one that is not a consequence of the other
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs[0], errs[1])
}

func (j *job) result() *Result {
	return &Result{Bytes: j.length, Copied: j.copied, Resumed: j.length - j.copied - j.zeroes, Zeroes: j.zeroes}
}

// chunks returns how many chunks n bytes are.
func (j *job) chunks(n int64) int64 { return (n + int64(j.cfg.Chunk) - 1) / int64(j.cfg.Chunk) }

// offset returns where a chunk begins.
func (j *job) offset(chunk int64) int64 { return chunk * int64(j.cfg.Chunk) }
