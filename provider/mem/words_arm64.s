#include "textflag.h"

// func copyWords(dst, src unsafe.Pointer, n, lead uintptr)
TEXT ·copyWords(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
	MOVD lead+24(FP), R3
	SUB  R3, R2, R2 // bytes after the lead
	CBZ  R3, bulk
lead:
	MOVD.P 8(R1), R4
	MOVD.P R4, 8(R0)
	SUB  $8, R3, R3
	CBNZ R3, lead
bulk:
	SUBS $64, R2, R2 // bytes after the next 64
	BLO  rest
loop:
	LDP  (R1), (R4, R5)
	LDP  16(R1), (R6, R7)
	LDP  32(R1), (R8, R9)
	LDP  48(R1), (R10, R11)
	STP  (R4, R5), (R0)
	STP  (R6, R7), 16(R0)
	STP  (R8, R9), 32(R0)
	STP  (R10, R11), 48(R0)
	ADD  $64, R1, R1
	ADD  $64, R0, R0
	SUBS $64, R2, R2
	BHS  loop
rest:
	ADDS $64, R2, R2 // bytes left, less than 64
	BEQ  done
word:
	MOVD.P 8(R1), R4
	MOVD.P R4, 8(R0)
	SUBS $8, R2, R2
	BNE  word
done:
	RET
