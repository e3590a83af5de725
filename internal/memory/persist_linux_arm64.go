package memory

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

var writeBackName, writeBackLines = chooseWriteBack()

// cacheLine is the bytes one DC instruction covers: the smallest data cache
// line of the system, from CTR_EL0.DminLine, the logarithm of its words.
var cacheLine = uintptr(4) << (cacheType() >> 16 & 15)

// chooseWriteBack prefers the clean to the point of persistence, which the
// kernel announces as HWCAP_DCPOP.
func chooseWriteBack() (string, func(p unsafe.Pointer, n, line uintptr)) {
	if cpu.ARM64.HasDCPOP {
		return "DC CVAP", linesCVAP
	}
	return "DC CVAC", linesCVAC
}

func writeBack(p unsafe.Pointer, n uintptr) { writeBackLines(p, n, cacheLine) }

// cacheType reads CTR_EL0, which Linux lets programs read.
func cacheType() uint64

// linesCVAP executes DC CVAP on every line, of a power of two bytes, that
// overlaps the n > 0 bytes at p; linesCVAC the same with DC CVAC. Both end with
// DSB SY, because a DC is completed only by a barrier of the processor that
// issued it, and the goroutine may run on another one by the time of [Fence].
//
//go:noescape
func linesCVAP(p unsafe.Pointer, n, line uintptr)

//go:noescape
func linesCVAC(p unsafe.Pointer, n, line uintptr)

// fence executes DSB SY.
func fence()
