// Command quickstart writes to a device and reads back what it wrote, first
// through a channel and then through a File. Its argument is the device's URL:
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart "file:///tmp/disk.img?size=1GiB&create=1"
//	go run ./examples/quickstart "dax:///dev/shm/disk.img?size=64MiB&create=1"
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
)

func main() {
	url := "mem:?size=64MiB"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	run(context.Background(), url, os.Stdout)
}

func run(ctx context.Context, url string, out io.Writer) {
	dev, err := provider.Open(ctx, url) // "file:///tmp/disk.img?size=1GiB&create=1", "rdma://host:7471/disk", "mem:?size=64MiB", …
	check(err)
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	check(err)
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 128})
	check(err)
	buf, err := unio.NewBuffer(4096)
	check(err)

	copy(buf.Bytes(), "hello")
	_, err = ch.Post( // one batch: the flush waits for the write
		unio.Request{ID: 1, Op: unio.OpWrite, Region: reg, Offset: 8192, Data: buf.Bytes()},
		unio.Request{ID: 2, Op: unio.OpFlush, Region: reg, Flags: unio.Fence})
	check(err)
	done := make([]unio.Completion, 2)
	for ended := 0; ended < 2; {
		n, err := ch.Wait(ctx, done)
		check(err)
		for _, c := range done[:n] {
			check(c.Err)
		}
		ended += n
	}

	f := unio.NewFile(reg) // io.ReaderAt, io.WriterAt, … for any number of goroutines
	hello := make([]byte, 5)
	_, err = f.ReadAt(hello, 8192)
	check(err)
	fmt.Fprintf(out, "%s from %s\n", hello, dev.Info().Engine)

	check(f.Close())
	check(buf.Free())
	check(dev.Close()) // and its channels and regions
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
