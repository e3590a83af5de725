package mem

import (
	"testing"

	"github.com/unio-stack/unio"
)

// TestFlushCleansPages asks the kernel whether pages are dirty: a write leaves
// them so, Flush cleans all, and Durable what it wrote.
func TestFlushCleansPages(t *testing.T) {
	r := fileRig(t, 64*pageSize)
	if r.d.info.Persistence != unio.Power || r.d.info.Engine != "mapped-msync" {
		t.Skip("needs the page cache of a disk:", r.d.info.Engine)
	}
	page := int(pageSize) / 1024
	write := func(n int, flags unio.Flags) {
		r.write(0, pattern(n*int(pageSize), 1), flags)
	}
	want := func(when string, pages int) {
		t.Helper()
		if _, dirty := resident(t, r.d); dirty != pages*page {
			t.Errorf("%d KiB are dirty %s, want %d", dirty, when, pages*page)
		}
	}
	write(8, 0)
	want("after a write of 8 pages", 8)
	write(3, unio.Durable)
	want("after 3 of them were written durably", 5)
	r.must(unio.Request{Op: unio.OpFlush})
	want("after a flush", 0)
	write(2, 0)
	want("after 2 more were written", 2)
	for _, op := range []unio.Request{
		{Op: unio.OpFetchAdd, Flags: unio.Durable, Offset: 8, Swap: 1},
		{Op: unio.OpWriteZeroes, Flags: unio.Durable, Offset: pageSize + 1, Length: 17},
	} {
		r.must(op)
	}
	want("after an atomic and zeroes were made durable in them", 0)
	if got := r.ch.Stats(); got.Syscalls != 4 || got.Inline != got.Posted {
		t.Errorf("%d system calls, want 4; %d of %d inline", got.Syscalls, got.Inline, got.Posted)
	}
}

// TestDiscardFrees looks at what the file and the process take up, and at the
// bytes: those outside of the range stay.
func TestDiscardFrees(t *testing.T) {
	const pages, from, to = 64, 10, 50
	forEach(t, pages*pageSize, func(t *testing.T, r *rig) {
		if !r.d.frees {
			t.Skip("nothing is freed here:", r.d.info.Notes)
		}
		content := pattern(pages*int(pageSize), 5)
		r.write(0, content, unio.Durable)
		rss, _ := resident(t, r.d)
		off, n := from*pageSize-100, (to-from)*pageSize+207
		r.must(unio.Request{Op: unio.OpDiscard, Offset: off, Length: n})
		after, _ := resident(t, r.d)
		if freed := (rss - after) * 1024; freed != (to-from)*int(pageSize) {
			t.Errorf("%d bytes left the mapping, want %d pages", freed, to-from)
		}
		clear(content[off:][:n])
		r.wantBytes(0, content)
		if r.path == "" {
			return
		}
		r.must(unio.Request{Op: unio.OpFlush})
		if st := statOf(t, r.path); st.Blocks*512 > (pages-(to-from))*pageSize+pageSize {
			t.Errorf("the file still takes up %d bytes", st.Blocks*512)
		}
	})
}
