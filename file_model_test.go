package unio_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
	"pgregory.net/rapid"
)

// TestFileLikeOSFile carries out the same random operations on a File and on
// an os.File, which must agree on every result. Where a File cannot do what an
// os.File does, which is to grow by a write, the os.File is asked for what fits.
func TestFileLikeOSFile(t *testing.T) {
	const size = 600 << 10 // longer than a part
	eachFile(t, size, func(t *testing.T, f *unio.File) {
		disk, err := os.Create(filepath.Join(t.TempDir(), "model"))
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		rapid.Check(t, func(rt *rapid.T) {
			content := noise(size)
			for _, w := range []io.WriterAt{f, disk} {
				if _, err := w.WriteAt(content, 0); err != nil {
					rt.Fatal(err)
				}
			}
			p := &filePair{rt: rt, f: f, disk: disk, size: size}
			p.seek(0, io.SeekStart)
			rt.Repeat(map[string]func(*rapid.T){
				"Read":     p.read,
				"Write":    p.write,
				"ReadAt":   p.readAt,
				"WriteAt":  p.writeAt,
				"Seek":     p.seekSomewhere,
				"ReadFrom": p.readFrom,
				"WriteTo":  p.writeTo,
				"Sync":     p.sync,
			})
		})
	})
}

// A filePair is a File and its model.
type filePair struct {
	rt   *rapid.T
	f    *unio.File
	disk *os.File
	size int64
}

func (p *filePair) length(rt *rapid.T) int {
	return rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 5000), rapid.IntRange(0, 620<<10)).Draw(rt, "length")
}

func (p *filePair) offset(rt *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64Range(0, p.size), rapid.Int64Range(p.size-10, p.size+10)).Draw(rt, "offset")
}

func (p *filePair) seek(off int64, whence int) {
	a, errA := p.f.Seek(off, whence)
	b, errB := p.disk.Seek(off, whence)
	if a != b && errB == nil || (errA == nil) != (errB == nil) {
		p.rt.Fatalf("Seek(%d, %d): %d, %v; os.File: %d, %v", off, whence, a, errA, b, errB)
	}
}

func (p *filePair) seekSomewhere(rt *rapid.T) {
	p.seek(rapid.Int64Range(-p.size-10, p.size+10).Draw(rt, "to"), rapid.IntRange(0, 2).Draw(rt, "whence"))
}

// same compares results; both at the end of the file, or both without error.
func (p *filePair) same(rt *rapid.T, n, m int, err, osErr error) {
	if n != m || (err == io.EOF) != (osErr == io.EOF) || (err == nil) != (osErr == nil) {
		rt.Fatalf("%d, %v; os.File: %d, %v", n, err, m, osErr)
	}
	p.seek(0, io.SeekCurrent)
}

func (p *filePair) read(rt *rapid.T) {
	a := make([]byte, p.length(rt))
	b := bytes.Clone(a)
	n, err := p.f.Read(a)
	m, osErr := p.disk.Read(b)
	p.same(rt, n, m, err, osErr)
	if !bytes.Equal(a, b) {
		rt.Fatal("read different bytes")
	}
}

func (p *filePair) readAt(rt *rapid.T) {
	a := make([]byte, p.length(rt))
	b := bytes.Clone(a)
	off := p.offset(rt)
	n, err := p.f.ReadAt(a, off)
	m, osErr := p.disk.ReadAt(b, off)
	p.same(rt, n, m, err, osErr)
	if !bytes.Equal(a, b) {
		rt.Fatal("read different bytes")
	}
}

// fitting returns bytes to write, and those of them that fit at off.
func (p *filePair) fitting(rt *rapid.T, off int64) (all, fit []byte) {
	all = bytes.Repeat([]byte{rapid.Byte().Draw(rt, "byte")}, p.length(rt))
	for i := range all {
		all[i] += byte(i)
	}
	return all, all[:min(int64(len(all)), max(p.size-off, 0))]
}

// sameWrite compares the results of a write of which the model did what fits.
func (p *filePair) sameWrite(rt *rapid.T, all []byte, n, m int, err, osErr error) {
	if osErr != nil || n != m || (err == nil) != (n == len(all)) {
		rt.Fatalf("%d of %d, %v; os.File: %d, %v", n, len(all), err, m, osErr)
	}
	p.seek(0, io.SeekCurrent)
}

func (p *filePair) write(rt *rapid.T) {
	pos, _ := p.disk.Seek(0, io.SeekCurrent)
	all, fit := p.fitting(rt, pos)
	n, err := p.f.Write(all)
	m, osErr := p.disk.Write(fit)
	p.sameWrite(rt, all, n, m, err, osErr)
}

func (p *filePair) writeAt(rt *rapid.T) {
	off := p.offset(rt)
	all, fit := p.fitting(rt, off)
	n, err := p.f.WriteAt(all, off)
	m, osErr := p.disk.WriteAt(fit, off)
	p.sameWrite(rt, all, n, m, err, osErr)
}

func (p *filePair) readFrom(rt *rapid.T) {
	pos, _ := p.disk.Seek(0, io.SeekCurrent)
	all, fit := p.fitting(rt, pos)
	n, err := p.f.ReadFrom(bytes.NewReader(all))
	m, osErr := p.disk.ReadFrom(bytes.NewReader(fit))
	p.sameWrite(rt, all, int(n), int(m), err, osErr)
}

func (p *filePair) writeTo(rt *rapid.T) {
	var a, b bytes.Buffer
	n, err := p.f.WriteTo(&a)
	m, osErr := p.disk.WriteTo(&b)
	p.same(rt, int(n), int(m), err, osErr)
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		rt.Fatal("copied different bytes")
	}
}

func (p *filePair) sync(rt *rapid.T) {
	if err := p.f.Sync(); err != nil {
		rt.Fatal(err)
	}
}
