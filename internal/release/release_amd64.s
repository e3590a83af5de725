//go:build !race

#include "textflag.h"

// func Store32(p *uint32, v uint32)
// Stores are not reordered with earlier loads and stores on this architecture.
TEXT ·Store32(SB), NOSPLIT, $0-12
	MOVQ p+0(FP), AX
	MOVL v+8(FP), CX
	MOVL CX, (AX)
	RET
