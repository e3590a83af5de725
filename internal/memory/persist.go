package memory

import "unsafe"

// writeBackPiece bounds the bytes of one call into assembly, which the Go
// scheduler cannot interrupt: some tens of microseconds of write-backs.
const writeBackPiece = 256 << 10

// noInstruction is what [WriteBackInstruction] returns where a program cannot
// write back its caches.
const noInstruction = "none"

// WriteBack starts writing the cache lines that hold b to memory, without
// evicting them where the processor can do that. The bytes have reached the
// persistence domain of a synchronous mapping only after a later [Fence] on
// the same goroutine. Stores by others that race with it may or may not be
// included. The memory must be accessible: see [Guard]. It does nothing where
// [WriteBackInstruction] is "none".
//
// Sources: Intel SDM volume 2, CLWB, CLFLUSHOPT and CLFLUSH (amd64); Arm ARM,
// DC CVAP, DC CVAC and DSB (arm64).
func WriteBack(b []byte) {
	for len(b) > writeBackPiece {
		writeBack(unsafe.Pointer(unsafe.SliceData(b)), writeBackPiece)
		b = b[writeBackPiece:]
	}
	if len(b) > 0 {
		writeBack(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
	}
}

// Fence returns when everything that [WriteBack] started on this goroutine
// has reached memory, and orders it before later stores. The goroutine may move
// to another processor in between: on amd64 the hand-over executes locked
// instructions, which order write-backs as SFENCE does; on arm64 each WriteBack
// ends with a barrier of its own.
func Fence() { fence() }

// WriteBackInstruction names the instruction that [WriteBack] uses on this
// processor: CLWB, CLFLUSHOPT or CLFLUSH on amd64; DC CVAP (to the point of
// persistence) or DC CVAC (to the point of coherency) on arm64; "none" where
// there is none for programs.
func WriteBackInstruction() string { return writeBackName }
