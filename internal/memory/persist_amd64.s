#include "textflag.h"

// func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL subleaf+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

// LINES takes a range's address in AX, its bytes in BX and the line size in CX,
// and leaves its first line in AX and its end in BX.
#define LINES \
	ADDQ AX, BX \
	MOVQ CX, DX \
	NEGQ DX \
	ANDQ DX, AX

// func linesCLWB(p unsafe.Pointer, n, line uintptr)
TEXT ·linesCLWB(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), BX
	MOVQ line+16(FP), CX
	LINES
loop:
	CLWB (AX)
	ADDQ CX, AX
	CMPQ AX, BX
	JCS  loop
	RET

// func linesCLFLUSHOPT(p unsafe.Pointer, n, line uintptr)
TEXT ·linesCLFLUSHOPT(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), BX
	MOVQ line+16(FP), CX
	LINES
loop:
	CLFLUSHOPT (AX)
	ADDQ CX, AX
	CMPQ AX, BX
	JCS  loop
	RET

// func linesCLFLUSH(p unsafe.Pointer, n, line uintptr)
TEXT ·linesCLFLUSH(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), BX
	MOVQ line+16(FP), CX
	LINES
loop:
	CLFLUSH (AX)
	ADDQ CX, AX
	CMPQ AX, BX
	JCS  loop
	RET

// func fence()
TEXT ·fence(SB), NOSPLIT, $0-0
	SFENCE
	RET
