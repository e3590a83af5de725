package file_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
)

// A file is made, written and read back through one channel.
func Example() {
	dir, err := os.MkdirTemp("", "unio")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	dev, err := file.Open(ctx, filepath.Join(dir, "disk.img"), file.Config{Create: true, Size: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		log.Fatal(err)
	}

	greeting := []byte("hello, disk")
	err = ch.Do(ctx, unio.Request{Op: unio.OpWrite, Flags: unio.Durable, Region: reg, Offset: 1000, Data: greeting})
	if err != nil {
		log.Fatal(err)
	}
	got := make([]byte, len(greeting))
	if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Offset: 1000, Data: got}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got)
	// Output: hello, disk
}

// Many requests are posted with one doorbell, from memory that the device
// keeps registered, and their completions are fetched as they come.
func ExampleOpen() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("unio-example-%d", os.Getpid()))
	defer os.Remove(path)
	ctx := context.Background()
	dev, err := file.Open(ctx, path, file.Config{Create: true, Size: 1 << 20, Sparse: true})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 16})
	if err != nil {
		log.Fatal(err)
	}
	buf, err := unio.NewBuffer(16 * 4096)
	if err != nil {
		log.Fatal(err)
	}
	defer buf.Free()

	var reqs []unio.Request
	for i := range 16 {
		reqs = append(reqs, unio.Request{
			ID: uint64(i), Op: unio.OpWrite, Region: reg,
			Offset: int64(i) * 4096, Data: buf.Bytes()[i*4096:][:4096],
		})
	}
	if _, err := ch.Post(reqs...); err != nil {
		log.Fatal(err)
	}
	var done [16]unio.Completion
	ended := 0
	for ended < len(reqs) {
		n, err := ch.Wait(ctx, done[:])
		if err != nil {
			log.Fatal(err)
		}
		for _, c := range done[:n] {
			if c.Err != nil {
				log.Fatal(c.Err)
			}
		}
		ended += n
	}
	fmt.Println(ended, "requests,", dev.Stats().BytesWritten, "bytes")
	// Output: 16 requests, 65536 bytes
}
