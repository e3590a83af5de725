#include "textflag.h"

// func copyWords(dst, src unsafe.Pointer, n, lead uintptr)
TEXT ·copyWords(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), BX
	MOVQ lead+24(FP), CX
	SUBQ CX, BX // bytes after the lead
	TESTQ CX, CX
	JEQ  bulk
lead:
	MOVQ (SI), AX
	MOVQ AX, (DI)
	ADDQ $8, SI
	ADDQ $8, DI
	SUBQ $8, CX
	JNE  lead
bulk:
	SUBQ $32, BX // bytes after the next 32
	JCS  rest
	CMPB ·hasAVX(SB), $0
	JEQ  sse
	SUBQ $32, BX // bytes after the next 64
	JCS  avx32
	PCALIGN $32
avx64:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $64, BX
	JCC  avx64
avx32:
	ADDQ $32, BX // bytes after the next 32
	JCC  avxEnd
	VMOVDQU (SI), Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, BX
avxEnd:
	VZEROUPPER
	JMP  rest
sse:
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU X0, (DI)
	MOVOU X1, 16(DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, BX
	JCC  sse
rest:
	ADDQ $32, BX // bytes left, less than 32
	JEQ  done
word:
	MOVQ (SI), AX
	MOVQ AX, (DI)
	ADDQ $8, SI
	ADDQ $8, DI
	SUBQ $8, BX
	JNE  word
done:
	RET
