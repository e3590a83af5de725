//go:build linux

package uring

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func writePipe(fd int, s string) { _, _ = unix.Write(fd, []byte(s)) }

// TestReadWrite writes and reads back in each way a request can name its memory and its file.
func TestReadWrite(t *testing.T) {
	const size = 64 << 10
	type way struct {
		name        string
		needs       FeatureID
		write, read func(e *SQE, fd int, b []byte, iov []unix.Iovec, off int64)
	}
	ways := []way{
		{
			"plain", FeatureReadWrite,
			func(e *SQE, fd int, b []byte, _ []unix.Iovec, off int64) { e.Write(fd, addr(b), size, off) },
			func(e *SQE, fd int, b []byte, _ []unix.Iovec, off int64) { e.Read(fd, addr(b), size, off) },
		},
		{
			"vectored", FeatureRing,
			func(e *SQE, fd int, _ []byte, iov []unix.Iovec, off int64) { e.Writev(fd, &iov[0], 4, off) },
			func(e *SQE, fd int, _ []byte, iov []unix.Iovec, off int64) { e.Readv(fd, &iov[0], 4, off) },
		},
		{
			"fixed", FeatureBufferUpdate,
			func(e *SQE, fd int, b []byte, _ []unix.Iovec, off int64) { e.WriteFixed(fd, addr(b), size, off, 3) },
			func(e *SQE, fd int, b []byte, _ []unix.Iovec, off int64) { e.ReadFixed(fd, addr(b), size, off, 3) },
		},
		{
			"vectored fixed", FeatureVectoredFixed,
			func(e *SQE, fd int, _ []byte, iov []unix.Iovec, off int64) { e.WritevFixed(fd, &iov[0], 4, off, 3) },
			func(e *SQE, fd int, _ []byte, iov []unix.Iovec, off int64) { e.ReadvFixed(fd, &iov[0], 4, off, 3) },
		},
	}
	for _, w := range ways {
		for _, mode := range []struct {
			name  string
			flags int
			fixed bool // the file is a registered one
		}{{"buffered", 0, false}, {"direct", unix.O_DIRECT, false}, {"direct registered file", unix.O_DIRECT, true}} {
			t.Run(w.name+" "+mode.name, func(t *testing.T) {
				testFeature(t, w.needs)
				r := newRing(t, Config{Entries: 8})
				fd, flags := tempFile(t, 4*size, mode.flags), uint8(0)
				if mode.fixed {
					fd, flags = registered(t, r, fd), SQEFixedFile
				}
				buf := pages(t, size)
				if err := r.RegisterBuffersSparse(8); err != nil {
					t.Fatal(err)
				}
				if err := r.UpdateBuffer(3, buf); err != nil {
					t.Fatal(err)
				}
				iov := quarters(buf)
				pattern(buf, 1)
				want := bytes.Clone(buf)
				e := next(t, r)
				w.write(e, fd, buf, iov, size)
				e.SetFlags(flags)
				wantRes(t, one(t, r), size)
				clear(buf)
				e = next(t, r)
				w.read(e, fd, buf, iov, size)
				e.SetFlags(flags)
				wantRes(t, one(t, r), size)
				if !bytes.Equal(buf, want) {
					t.Error("read back something else")
				}
			})
		}
	}
}

// registered puts fd in a slot and returns the slot.
func registered(t *testing.T, r *Ring, fd int) int {
	t.Helper()
	if err := r.RegisterFiles(4); err != nil {
		t.Fatal(err)
	}
	if err := r.UpdateFile(2, fd); err != nil {
		t.Fatal(err)
	}
	return 2
}

// quarters lists the four quarters of b.
func quarters(b []byte) []unix.Iovec {
	iov := make([]unix.Iovec, 4)
	n := len(b) / 4
	for i := range iov {
		iov[i].Base = &b[i*n]
		iov[i].SetLen(n)
	}
	return iov
}

// TestBatchOfReads has many O_DIRECT reads in flight at once; each finds its own block.
func TestBatchOfReads(t *testing.T) {
	const blocks, size = 64, 4096
	r := newRing(t, Config{Entries: blocks})
	fd := tempFile(t, blocks*size, unix.O_DIRECT)
	buf := pages(t, blocks*size)
	for i := range blocks {
		pattern(buf[i*size:(i+1)*size], i)
		e := next(t, r)
		e.Write(fd, addr(buf[i*size:]), size, int64(i*size))
		e.SetUserData(uint64(i))
	}
	submit(t, r, blocks)
	for _, c := range reapN(t, r, blocks) {
		wantRes(t, c, size)
	}
	want := bytes.Clone(buf)
	for range 8 {
		clear(buf)
		for i := range blocks {
			e := next(t, r)
			e.Read(fd, addr(buf[i*size:]), size, int64(i*size))
			e.SetUserData(uint64(i))
		}
		submit(t, r, blocks)
		for _, c := range reapN(t, r, blocks) {
			wantRes(t, c, size)
		}
		if !bytes.Equal(buf, want) {
			t.Fatal("read back something else")
		}
	}
}

func TestResults(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	fd := tempFile(t, 8192, 0)
	buf := pages(t, 8192)
	for _, c := range []struct {
		name string
		prep func(*SQE)
		want int32
	}{
		{"nop", func(e *SQE) { e.Nop() }, 0},
		{"end of file", func(e *SQE) { e.Read(fd, addr(buf), 4096, 8192) }, 0},
		{"short at the end", func(e *SQE) { e.Read(fd, addr(buf), 4096, 8000) }, 192},
		{"bad descriptor", func(e *SQE) { e.Read(-1, addr(buf), 1, 0) }, -int32(unix.EBADF)},
		{"bad address", func(e *SQE) { e.Read(fd, nil, 4096, 0) }, -int32(unix.EFAULT)},
		{"no such buffer", func(e *SQE) { e.ReadFixed(fd, addr(buf), 4096, 0, 9) }, -int32(unix.EFAULT)},
		{"fsync", func(e *SQE) { e.Fsync(fd, false) }, 0},
		{"fdatasync", func(e *SQE) { e.Fsync(fd, true) }, 0},
		{"fsync of a range", func(e *SQE) { e.FsyncRange(fd, true, 0, 4096) }, 0},
		{"durable write", func(e *SQE) { e.Write(fd, addr(buf), 4096, 0); e.SetRWFlags(unix.RWF_DSYNC) }, 4096},
		{"write with a priority", func(e *SQE) { e.Write(fd, addr(buf), 4096, 0); e.SetIOPrio(2<<13 | 4) }, 4096},
		{"unknown rw flag", func(e *SQE) { e.Write(fd, addr(buf), 4096, 0); e.SetRWFlags(1 << 30) }, -int32(unix.EOPNOTSUPP)},
		{"allocate", func(e *SQE) { e.Fallocate(fd, 0, 0, 65536) }, 0},
		{"allocated", func(e *SQE) { e.Read(fd, addr(buf), 4096, 61440) }, 4096},
		{"punch", func(e *SQE) {
			e.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
		}, 0},
		{"async", func(e *SQE) { e.Read(fd, addr(buf), 4096, 0); e.SetFlags(SQEAsync) }, 4096},
		{"cancel nothing", func(e *SQE) { e.AsyncCancel(12345, 0) }, -int32(unix.ENOENT)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := next(t, r)
			c.prep(e)
			e.SetUserData(77)
			got := one(t, r)
			wantRes(t, got, c.want)
			if got.UserData != 77 || (got.Err() == nil) != (c.want >= 0) {
				t.Errorf("completion %+v, %v", got, got.Err())
			}
		})
	}
}

// TestLinkAndSkip chains write, sync and read; the first two are silent.
func TestLinkAndSkip(t *testing.T) {
	testFeature(t, FeatureCQESkip)
	r := newRing(t, Config{Entries: 8})
	fd := tempFile(t, 4096, 0)
	buf := pages(t, 8192)
	pattern(buf[:4096], 5)
	e := next(t, r)
	e.Write(fd, addr(buf), 4096, 0)
	e.SetFlags(SQELink | SQECQESkipSuccess)
	e = next(t, r)
	e.Fsync(fd, true)
	e.SetFlags(SQELink | SQECQESkipSuccess)
	e = next(t, r)
	e.Read(fd, addr(buf[4096:]), 4096, 0)
	e.SetUserData(3)
	submit(t, r, 3)
	wantRes(t, reapN(t, r, 1)[3], 4096)
	if !bytes.Equal(buf[:4096], buf[4096:]) {
		t.Error("the read did not wait for the write")
	}
	e = next(t, r)
	e.Read(-1, addr(buf), 4096, 0)
	e.SetUserData(1)
	e.SetFlags(SQELink)
	e = next(t, r)
	e.Nop()
	e.SetUserData(2)
	submit(t, r, 2)
	got := reapN(t, r, 2)
	wantRes(t, got[1], -int32(unix.EBADF))
	wantRes(t, got[2], -int32(unix.ECANCELED))
}

// TestSilentFailureSilencesLinks holds what SQECQESkipSuccess says about failures.
func TestSilentFailureSilencesLinks(t *testing.T) {
	testFeature(t, FeatureCQESkip)
	r := newRing(t, Config{Entries: 8})
	for i, flags := range []uint8{SQELink | SQECQESkipSuccess, SQELink, 0, 0} {
		e := next(t, r)
		e.Nop()
		if i == 0 {
			e.Read(-1, nil, 1, 0)
		}
		e.SetUserData(uint64(i))
		e.SetFlags(flags)
	}
	submit(t, r, 4)
	got := reapN(t, r, 2)
	wantRes(t, got[0], -int32(unix.EBADF))
	wantRes(t, got[3], 0)
	if r.Pending() {
		t.Error("the requests behind the failure completed after all")
	}
}

func TestMsgRing(t *testing.T) {
	testFeature(t, FeatureMsgRing)
	from, to := newRing(t, Config{Entries: 4}), newRing(t, Config{Entries: 4})
	e := next(t, from)
	e.MsgRing(to.FD(), 42, 0xfeed)
	wantRes(t, one(t, from), 0)
	wantRes(t, reapN(t, to, 1)[0xfeed], 42)
}
