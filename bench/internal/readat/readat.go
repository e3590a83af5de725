// Package readat is a program of goroutines that read a file at random, 4 KiB
// at a time, through os.File.ReadAt or through unio.File.ReadAt: the same
// program but for that. It runs as a process of its own, so that its CPU time
// and its OS threads can be counted.
package readat

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

const blockSize = 4096

// config is what the command line says.
type config struct {
	api        string
	path       string
	direct     bool
	goroutines int
	time       time.Duration
}

// A Report is what the program prints, as JSON.
type Report struct {
	Operations int64   `json:"operations"`
	Seconds    float64 `json:"seconds"`
}

// Main is the program: it carries out the command line and prints a Report.
func Main(ctx context.Context, args []string, out io.Writer) error {
	var c config
	fs := flag.NewFlagSet("readat", flag.ContinueOnError)
	fs.StringVar(&c.api, "api", "", "os or unio")
	fs.StringVar(&c.path, "path", "", "file to read")
	fs.BoolVar(&c.direct, "direct", false, "past the page cache")
	fs.IntVar(&c.goroutines, "goroutines", 64, "how many read at a time")
	fs.DurationVar(&c.time, "time", time.Second, "how long")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if c.goroutines < 1 || c.time <= 0 {
		return fmt.Errorf("readat: %d goroutines for %v: both must be positive", c.goroutines, c.time)
	}
	r, size, closeReader, err := c.open(ctx)
	if err != nil {
		return err
	}
	report, err := c.read(r, size)
	if err = errors.Join(err, closeReader()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}

// read lets all goroutines read until the time is over.
func (c config) read(r io.ReaderAt, size int64) (Report, error) {
	blocks := size / blockSize
	if blocks == 0 {
		return Report{}, fmt.Errorf("readat: %s has no block of %d bytes", c.path, blockSize)
	}
	mem, err := unio.NewBuffer(c.goroutines * blockSize) // O_DIRECT wants aligned memory
	if err != nil {
		return Report{}, err
	}
	var over atomic.Bool
	var total atomic.Int64
	errs := make([]error, c.goroutines)
	var wg sync.WaitGroup
	began := time.Now()
	timer := time.AfterFunc(c.time, func() { over.Store(true) })
	defer timer.Stop()
	for g := range c.goroutines {
		wg.Go(func() {
			buf := mem.Bytes()[g*blockSize:][:blockSize]
			random := rand.NewPCG(uint64(g), 1)
			var n int64
			for ; !over.Load() && errs[g] == nil; n++ {
				_, errs[g] = r.ReadAt(buf, int64(random.Uint64()%uint64(blocks))*blockSize)
			}
			total.Add(n)
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	return Report{total.Load(), seconds}, errors.Join(errors.Join(errs...), mem.Free())
}
