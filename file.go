package unio

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// FileConfig configures a File. The zero value works.
type FileConfig struct {
	// Channels is how many channels the file opens at most. It opens the first
	// with the first request and each further one when those it has are busy.
	// Default runtime.GOMAXPROCS(0); 1 or more.
	Channels int
	// Depth is how many requests each of them holds at most; more callers than
	// that wait their turn. Default 128, or the device's maximum if that is
	// less. See [ChannelConfig.Depth].
	Depth int
}

// A File is a region's face for many goroutines: io.ReaderAt, io.WriterAt,
// io.ReadWriteSeeker, io.ReaderFrom, io.WriterTo and fs.File. What concurrent
// callers ask for is batched into a few shared channels, and a waiting caller
// holds no OS thread.
//
// All methods may be called from any goroutine. Read, Write and Seek, which
// share the file position, take turns, as those of an os.File do; ReadFrom is
// like a series of Writes, WriteTo of Reads; everything else runs side by side.
// Memory that is passed in is the caller's again when the call returns.
//
// A region has a fixed length, so a Write that passes its end stores what fits
// and returns [ErrNoSpace]; [File.Truncate] changes the length where the device
// can. Failures of the device are an [*OpError]; after [File.Close] every call
// fails with an error that is both [ErrClosed] and fs.ErrClosed.
type File struct {
	reg    *Region // immutable
	lanes  []*lane // immutable; those from open on have no channel yet
	depth  int     // of each lane's channel; immutable
	badCfg error   // what is wrong with the configuration; immutable

	open   atomic.Int32 // lanes in use: lanes[:open]
	full   atomic.Bool  // no further lane can be opened
	inline atomic.Bool  // most requests end while they are posted
	closed atomic.Bool
	calls  sync.Pool     // of *call
	hint   atomic.Uint32 // the lane that the next new call prefers

	grow  sync.Mutex // serialises opening of lanes, copiers and Close
	spare *copier    // guarded by grow
	busy  []*copier  // in use; guarded by grow

	seek sync.Mutex // held by the calls that take turns
	pos  int64      // guarded by seek
}

// NewFile returns a File on the region, which stays the caller's: close the
// file first, then the region. Nothing is opened and nothing can fail until
// the first request.
func NewFile(reg *Region) *File { return NewFileConfig(reg, FileConfig{}) }

// NewFileConfig is [NewFile] with a configuration. What is wrong with that is
// reported by the first call, as [ErrInvalid].
func NewFileConfig(reg *Region, cfg FileConfig) *File {
	info := reg.dev.info
	f := &File{reg: reg, depth: cfg.Depth}
	if cfg.Depth == 0 {
		f.depth = min(defaultFileDepth, info.MaxDepth)
	}
	if cfg.Channels == 0 {
		cfg.Channels = runtime.GOMAXPROCS(0)
	}
	if cfg.Channels < 0 || f.depth < 0 || f.depth > info.MaxDepth {
		f.badCfg = fmt.Errorf("file on %s with %d channels of depth %d: %w: depth is 1 to %d",
			info.Name, cfg.Channels, f.depth, ErrInvalid, info.MaxDepth)
		return f
	}
	f.lanes = make([]*lane, cfg.Channels)
	for i := range f.lanes {
		f.lanes[i] = &lane{file: f}
	}
	return f
}

const defaultFileDepth = 128

// Region returns the file's region.
func (f *File) Region() *Region { return f.reg }

// Name returns the name of the region or, where a device has only one, of the device.
func (f *File) Name() string {
	if f.reg.name != "" {
		return f.reg.name
	}
	return f.reg.dev.info.Name
}

// Size returns the length of the region in bytes.
func (f *File) Size() int64 { return f.reg.Size() }

// Truncate changes the length of the region, for every holder, where the
// device can ([ErrUnsupported] otherwise). See [Region.Resize].
func (f *File) Truncate(size int64) error {
	if f.closed.Load() {
		return f.errClosed("truncate")
	}
	return f.reg.Resize(context.Background(), size)
}

// Sync returns when every write that completed before survives a crash as the
// device's Info().Persistence has it.
func (f *File) Sync() error {
	_, err := f.do(OpFlush, nil, 0)
	return err
}

// Close cancels what is in flight, whose callers get [ErrClosed], and returns
// when nothing of the file runs any more. It is idempotent. It does not make
// anything durable and does not close the region.
func (f *File) Close() error {
	f.grow.Lock()
	defer f.grow.Unlock()
	f.closed.Store(true)
	var first error
	for _, l := range f.lanes[:f.open.Load()] {
		if err := l.ch.Close(); err != nil && first == nil {
			first = err
		}
	}
	for _, c := range f.busy {
		_ = c.ch.Close() // its user releases the rest
	}
	if f.spare != nil {
		f.spare.release()
		f.spare = nil
	}
	return first
}

// errClosed says that op came after Close.
func (f *File) errClosed(op string) error {
	return fmt.Errorf("%s %s: %w", op, f.Name(), errFileClosed)
}

// errFileClosed is ErrClosed for those who test for fs.ErrClosed (os.ErrClosed).
var errFileClosed error = fileClosed{}

type fileClosed struct{}

func (fileClosed) Error() string        { return "file already closed" }
func (fileClosed) Is(target error) bool { return target == ErrClosed || target == fs.ErrClosed }

// Stat describes the file, as fs.File has it: its length, the last element of
// its name, a mode by the region's rights. Modification times are not kept.
func (f *File) Stat() (fs.FileInfo, error) {
	if f.closed.Load() {
		return nil, f.errClosed("stat")
	}
	mode := fs.FileMode(0)
	if f.reg.rights&Read != 0 {
		mode |= 0o444
	}
	if f.reg.rights&Write != 0 {
		mode |= 0o200
	}
	return fileInfo{name: path.Base(f.Name()), size: f.Size(), mode: mode, region: f.reg}, nil
}

// A fileInfo is what Stat says; immutable.
type fileInfo struct {
	name   string
	size   int64
	mode   fs.FileMode
	region *Region
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return i.region }
