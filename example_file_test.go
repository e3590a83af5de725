package unio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/mem"
)

// openExample returns a File over a MiB of memory and what closes its device.
func openExample() (*unio.File, func() error) {
	ctx := context.Background()
	dev, err := mem.Open(ctx, mem.Config{Size: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	return unio.NewFile(reg), dev.Close
}

// Many goroutines use one File; their requests share its channels.
func ExampleFile() {
	f, closeDevice := openExample()
	defer closeDevice()
	defer f.Close()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if _, err := f.WriteAt([]byte{byte(i)}, int64(i)); err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()
	if err := f.Sync(); err != nil {
		log.Fatal(err)
	}
	last := make([]byte, 1)
	_, _ = f.ReadAt(last, 999)
	fmt.Println(last[0] == 999%256)
	// Output: true
}

// A File is an io.ReadWriteSeeker.
func ExampleFile_Seek() {
	f, closeDevice := openExample()
	defer closeDevice()
	defer f.Close()
	fmt.Fprint(f, "hello, memory")
	_, _ = f.Seek(7, io.SeekStart)
	word := make([]byte, 6)
	_, _ = io.ReadFull(f, word)
	fmt.Println(string(word))
	// Output: memory
}

// io.Copy keeps several requests in flight, in both directions.
func ExampleFile_ReadFrom() {
	f, closeDevice := openExample()
	defer closeDevice()
	defer f.Close()
	n, err := io.Copy(f, strings.NewReader("from a stream"))
	fmt.Println(n, err)
	// Output: 13 <nil>
}

// A region does not grow under a write.
func ExampleFile_WriteAt() {
	f, closeDevice := openExample()
	defer closeDevice()
	defer f.Close()
	n, err := f.WriteAt(make([]byte, 4096), f.Size()-1000)
	fmt.Println(n, errors.Is(err, unio.ErrNoSpace))
	// Output: 1000 true
}
