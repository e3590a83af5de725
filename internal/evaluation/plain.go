package evaluation

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/workload"
)

// A plainFile is used as programs without unio do: by an os.File, with a
// goroutine for each request that is to be in flight.
type plainFile struct {
	file   *os.File
	blocks int64
	depth  int
	memory *unio.Buffer // aligned, as direct I/O wants it
	free   chan []byte  // pieces of memory
}

func openPlain(w *way) (*plainFile, error) {
	f, err := os.OpenFile(w.open, os.O_RDWR|w.flags, 0)
	if err != nil {
		return nil, err
	}
	p := &plainFile{file: f, depth: w.Depth, free: make(chan []byte, w.Depth)}
	info, err := f.Stat()
	if err == nil {
		p.blocks = info.Size() / blockSize
		p.memory, err = unio.NewBuffer(w.Depth * blockSize)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	for i := range w.Depth {
		p.free <- p.memory.Bytes()[i*blockSize:][:blockSize]
	}
	return p, nil
}

func (p *plainFile) close() {
	_ = p.file.Close() // what was written is of no use to anybody
	_ = p.memory.Free()
}

// run is a program.
func (p *plainFile) run(ctx context.Context, long time.Duration, watch func()) (*workload.Result, error) {
	return workload.Repeat(ctx, math.MaxInt64, func(context.Context) error { return p.once() },
		workload.Config{Channels: p.depth, Time: long, Watch: watch}, nil)
}

// once reads or writes one block.
func (p *plainFile) once() (err error) {
	b := <-p.free
	at := rand.Int64N(p.blocks) * blockSize
	if rand.IntN(100) < readPercent {
		_, err = p.file.ReadAt(b, at)
	} else {
		_, err = p.file.WriteAt(b, at)
	}
	p.free <- b
	return err
}
