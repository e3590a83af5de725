#include "textflag.h"

// func cacheType() uint64
TEXT ·cacheType(SB), NOSPLIT, $0-8
	MRS  CTR_EL0, R0
	MOVD R0, ret+0(FP)
	RET

// LINES takes a range's address in R0, its bytes in R1 and the line size in R2,
// and leaves its first line in R0 and its end in R1.
#define LINES \
	ADD  R0, R1, R1 \
	NEG  R2, R3 \
	AND  R3, R0, R0

// func linesCVAP(p unsafe.Pointer, n, line uintptr)
TEXT ·linesCVAP(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	MOVD line+16(FP), R2
	LINES
loop:
	DC  CVAP, R0
	ADD R2, R0, R0
	CMP R1, R0
	BLO loop
	DSB $15
	RET

// func linesCVAC(p unsafe.Pointer, n, line uintptr)
TEXT ·linesCVAC(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	MOVD line+16(FP), R2
	LINES
loop:
	DC  CVAC, R0
	ADD R2, R0, R0
	CMP R1, R0
	BLO loop
	DSB $15
	RET

// func fence()
TEXT ·fence(SB), NOSPLIT, $0-0
	DSB $15
	RET
