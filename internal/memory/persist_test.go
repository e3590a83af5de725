package memory

import (
	"bytes"
	"fmt"
	"testing"
)

func TestWriteBackKeepsContent(t *testing.T) {
	t.Log("write-back with", WriteBackInstruction())
	mem := mustAlloc(t, 3*writeBackPiece).Bytes()
	for i := range mem {
		mem[i] = byte(i * 7)
	}
	want := bytes.Clone(mem)
	for _, r := range [][2]int{{0, 0}, {5, 5}, {0, 1}, {63, 65}, {64, 128}, {1, 4095}, {100, 2*writeBackPiece + 1}, {0, len(mem)}} {
		WriteBack(mem[r[0]:r[1]])
		Fence()
	}
	WriteBack(nil)
	if !bytes.Equal(mem, want) {
		t.Error("writing back changed the content")
	}
}

// TestWriteBackReachesEveryLine makes a line inaccessible at a time, by a file
// that ends there: only a loop that comes to the line faults.
func TestWriteBackReachesEveryLine(t *testing.T) {
	if WriteBackInstruction() == noInstruction {
		t.Skip("no write-back here")
	}
	f := newFile(t, 3*pageSize)
	m := mustMap(t, f, 3*pageSize, MapOptions{})
	if err := f.Truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		start, end int64
		fault      bool
	}{
		{0, pageSize, false},
		{pageSize - 1, pageSize, false},
		{1, pageSize - 1, false},
		{0, pageSize + 1, true},
		{pageSize - 1, pageSize + 1, true},
		{pageSize, pageSize + 1, true},
		{2*pageSize + 70, 2*pageSize + 71, true},
		{pageSize, pageSize, false},
	} {
		err := Guard(func() { WriteBack(m.Bytes()[tc.start:tc.end]) })
		if (err != nil) != tc.fault {
			t.Errorf("[%d, %d): %v", tc.start, tc.end, err)
		}
	}
}

func BenchmarkWriteBack(b *testing.B) {
	for _, size := range []int{64, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			mem := mustAlloc(b, size).Bytes()
			b.ReportAllocs()
			for b.Loop() {
				for i := 0; i < len(mem); i += 64 {
					mem[i]++
				}
				WriteBack(mem)
				Fence()
			}
		})
	}
}
