//go:build linux

package uring

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

const benchDepth = 64

// benchModes are the ways to own a ring.
var benchModes = []struct {
	name   string
	needs  FeatureID
	config Config
}{
	{"default", FeatureRing, Config{Entries: benchDepth}},
	{"pinned", FeatureDeferTaskrun, Config{Entries: benchDepth, SingleIssuer: true, DeferTaskrun: true}},
}

// BenchmarkNop posts batches of 64 NOPs: what the ring itself costs per request.
func BenchmarkNop(b *testing.B) {
	for _, m := range benchModes {
		b.Run(m.name, func(b *testing.B) {
			testFeature(b, m.needs)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := newRing(b, m.config)
			var into [benchDepth]CQE
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				for range min(benchDepth, b.N-done) {
					r.Next().Nop()
				}
				if _, err := r.Submit(); err != nil {
					b.Fatal(err)
				}
				done += r.Reap(into[:])
			}
			b.ReportMetric(float64(r.Stats().Enters)/float64(b.N), "enters/op")
		})
	}
}

// BenchmarkRead4K keeps 64 O_DIRECT reads of 4 KiB in flight, from and to registered files and buffers.
func BenchmarkRead4K(b *testing.B) {
	const size, blocks = 4096, 4096
	for _, m := range benchModes {
		b.Run(m.name, func(b *testing.B) {
			testFeature(b, m.needs, FeatureBufferUpdate)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := newRing(b, m.config)
			fd := tempFile(b, 0, unix.O_DIRECT)
			fill(b, fd, blocks*size)
			buf := pages(b, benchDepth*size)
			if err := r.RegisterFiles(1); err != nil {
				b.Fatal(err)
			}
			if err := r.UpdateFile(0, fd); err != nil {
				b.Fatal(err)
			}
			if err := r.RegisterBuffersSparse(1); err != nil {
				b.Fatal(err)
			}
			if err := r.UpdateBuffer(0, buf); err != nil {
				b.Fatal(err)
			}
			post := func(slot uint64, block int) {
				e := r.Next()
				e.ReadFixed(0, addr(buf[slot*size:]), size, int64(block*769%blocks)*size, 0)
				e.SetFlags(SQEFixedFile)
				e.SetUserData(slot)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			posted := 0
			for ; posted < min(benchDepth, b.N); posted++ {
				post(uint64(posted), posted)
			}
			var into [benchDepth]CQE
			for done := 0; done < b.N; {
				if _, err := r.SubmitAndWait(1, -1); err != nil {
					b.Fatal(err)
				}
				n := r.Reap(into[:])
				for _, c := range into[:n] {
					if c.Res != size {
						b.Fatalf("read: %d, %v", c.Res, c.Err())
					}
					if posted < b.N {
						post(c.UserData, posted)
						posted++
					}
				}
				done += n
			}
			b.ReportMetric(float64(r.Stats().Enters)/float64(b.N), "enters/op")
		})
	}
}

// fill writes n bytes, so that reads reach the device.
func fill(b *testing.B, fd, n int) {
	b.Helper()
	chunk := pages(b, 1<<20)
	pattern(chunk, 1)
	for off := 0; off < n; off += len(chunk) {
		if _, err := unix.Pwrite(fd, chunk, int64(off)); err != nil {
			b.Fatal(err)
		}
	}
}
