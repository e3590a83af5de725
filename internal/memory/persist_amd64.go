package memory

import "unsafe"

// Feature bits of CPUID; Intel SDM volume 2, CPUID.
const (
	cpuidCLFLUSH    = 1 << 19 // leaf 1, EDX
	cpuidCLFLUSHOPT = 1 << 23 // leaf 7, EBX
	cpuidCLWB       = 1 << 24 // leaf 7, EBX
)

var writeBackName, writeBackLines, cacheLine = chooseWriteBack()

// chooseWriteBack returns the best instruction's name, the loop over it, and
// the size of what it writes back in bytes.
func chooseWriteBack() (string, func(p unsafe.Pointer, n, line uintptr), uintptr) {
	highest, _, _, _ := cpuid(0, 0)
	_, ebx1, _, edx1 := cpuid(1, 0)
	line := uintptr(ebx1>>8&0xff) * 8
	var features uint32
	if highest >= 7 {
		_, features, _, _ = cpuid(7, 0)
	}
	switch {
	case line == 0 || edx1&cpuidCLFLUSH == 0:
		return noInstruction, func(unsafe.Pointer, uintptr, uintptr) {}, 64
	case features&cpuidCLWB != 0:
		return "CLWB", linesCLWB, line
	case features&cpuidCLFLUSHOPT != 0:
		return "CLFLUSHOPT", linesCLFLUSHOPT, line
	}
	return "CLFLUSH", linesCLFLUSH, line
}

func writeBack(p unsafe.Pointer, n uintptr) { writeBackLines(p, n, cacheLine) }

// cpuid executes CPUID for a leaf and subleaf.
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// linesCLWB executes CLWB on every line, of a power of two bytes, that
// overlaps the n > 0 bytes at p; and so the others.
//
//go:noescape
func linesCLWB(p unsafe.Pointer, n, line uintptr)

//go:noescape
func linesCLFLUSHOPT(p unsafe.Pointer, n, line uintptr)

//go:noescape
func linesCLFLUSH(p unsafe.Pointer, n, line uintptr)

// fence executes SFENCE.
func fence()
