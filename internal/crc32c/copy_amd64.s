#include "textflag.h"

// The method is of Gopal et al., "Fast CRC Computation for Generic Polynomials
// Using PCLMULQDQ Instruction" (Intel, 2009). What has been read is kept as a
// remainder of 128 bits per lane, not yet reduced by the polynomial P. To append
// a lane that is d bits further on, the remainder is multiplied by x^d and added
// to it: one multiplication for each half of the remainder, by numbers of 32
// bits, x^(d+31) mod P and x^(d-33) mod P, bits reflected as in the CRC.

// by2048 moves a remainder by four vectors.
DATA by2048<>+0(SB)/8, $0xdcb17aa4 // x^2079 mod P
DATA by2048<>+8(SB)/8, $0xb9e02b86 // x^2015 mod P
GLOBL by2048<>(SB), RODATA|NOPTR, $16

// by512 moves a remainder by one vector.
DATA by512<>+0(SB)/8, $0x740eef02 // x^543 mod P
DATA by512<>+8(SB)/8, $0x9e4addf8 // x^479 mod P
GLOBL by512<>(SB), RODATA|NOPTR, $16

// From LONG octets on, memory is fetched AHEAD octets in front of the loads, but
// not past the end of src. Both are as measured: what is short gets slower by it.
#define LONG  12288
#define AHEAD 3072

// What is done with a line in z.
#define KEEP(z, to) VMOVDQU64 z, to
#define PAST(z, to) VMOVNTDQ z, to
#define DROP(z, to)

// LINE reads the line at an offset into z, and stores it.
#define LINE(offset, z, STORE) \
	VMOVDQU64 offset(SI), z  \
	STORE(z, offset(DI))

// FOLD appends the line in z to the remainders in sum.
#define FOLD(sum, by, z) \
	VPCLMULQDQ $0x11, by, sum, Z10  \
	VPCLMULQDQ $0x00, by, sum, sum  \
	VPTERNLOGD $0x96, Z10, z, sum

// LINES is the body of copyLines and its kin: four lines at a time, each with a remainder of
// its own, since else each multiplication would wait for the one before; then
// line by line. It leaves in AX the CRC of the 64 octets that remain, which is
// that of src continued from crc.
#define LINES(STORE) \
	MOVL            crc+0(FP), AX              \
	MOVQ            dst_base+8(FP), DI         \
	MOVQ            src_base+32(FP), SI        \
	MOVQ            src_len+40(FP), CX         \
	XORL            R9, R9                     \
	LEAQ            -(AHEAD+256)(SI)(CX*1), R8 \
	CMPQ            CX, $LONG                  \
	CMOVQCC         R8, R9                     \
	VBROADCASTI32X4 by2048<>(SB), Z8           \
	VBROADCASTI32X4 by512<>(SB), Z9            \
	LINE(0, Z0, STORE)                         \
	LINE(64, Z1, STORE)                        \
	LINE(128, Z2, STORE)                       \
	LINE(192, Z3, STORE)                       \
	VMOVD           AX, X4                     \
	VPXORQ          Z4, Z0, Z0                 \
	JMP             next                       \
four:                                              \
	CMPQ            SI, R9                     \
	JHI             near                       \
	PREFETCHT1      AHEAD(SI)                  \
	PREFETCHT1      (AHEAD+64)(SI)             \
	PREFETCHT1      (AHEAD+128)(SI)            \
	PREFETCHT1      (AHEAD+192)(SI)            \
near:                                              \
	LINE(0, Z4, STORE)                         \
	LINE(64, Z5, STORE)                        \
	LINE(128, Z6, STORE)                       \
	LINE(192, Z7, STORE)                       \
	FOLD(Z0, Z8, Z4)                           \
	FOLD(Z1, Z8, Z5)                           \
	FOLD(Z2, Z8, Z6)                           \
	FOLD(Z3, Z8, Z7)                           \
next:                                              \
	ADDQ            $256, SI                   \
	ADDQ            $256, DI                   \
	SUBQ            $256, CX                   \
	CMPQ            CX, $256                   \
	JAE             four                       \
	FOLD(Z0, Z9, Z1)                           \
	FOLD(Z0, Z9, Z2)                           \
	FOLD(Z0, Z9, Z3)                           \
	JMP             more                       \
one:                                               \
	LINE(0, Z4, STORE)                         \
	FOLD(Z0, Z9, Z4)                           \
	ADDQ            $64, SI                    \
	ADDQ            $64, DI                    \
	SUBQ            $64, CX                    \
more:                                              \
	TESTQ           CX, CX                     \
	JNZ             one                        \
	VMOVDQU64       Z0, rest-64(SP)            \
	VZEROUPPER                                 \
	XORL            AX, AX                     \
	CRC32Q          rest-64(SP), AX            \
	CRC32Q          rest-56(SP), AX            \
	CRC32Q          rest-48(SP), AX            \
	CRC32Q          rest-40(SP), AX            \
	CRC32Q          rest-32(SP), AX            \
	CRC32Q          rest-24(SP), AX            \
	CRC32Q          rest-16(SP), AX            \
	CRC32Q          rest-8(SP), AX

// func copyLines(crc uint32, dst, src []byte) uint32
TEXT ·copyLines(SB), NOSPLIT, $64-60
	LINES(KEEP)
	MOVL AX, ret+56(FP)
	RET

// func copyLinesPast(crc uint32, dst, src []byte) uint32
TEXT ·copyLinesPast(SB), NOSPLIT, $64-60
	LINES(PAST)
	SFENCE
	MOVL AX, ret+56(FP)
	RET

// func sumLines(crc uint32, _, src []byte) uint32
TEXT ·sumLines(SB), NOSPLIT, $64-60
	LINES(DROP)
	MOVL AX, ret+56(FP)
	RET

// func copyWords(crc uint32, dst, src []byte) uint32
TEXT ·copyWords(SB), NOSPLIT, $0-60
	MOVL crc+0(FP), AX
	MOVQ dst_base+8(FP), DI
	MOVQ src_base+32(FP), SI
	MOVQ src_len+40(FP), CX
	JMP  next

word:
	MOVQ   (SI), BX
	MOVQ   BX, (DI)
	CRC32Q BX, AX
	ADDQ   $8, SI
	ADDQ   $8, DI

next:
	SUBQ $8, CX
	JAE  word

	// The low three bits of CX are those of what is left.
	BTL    $2, CX
	JCC    lessThan4
	MOVL   (SI), BX
	MOVL   BX, (DI)
	CRC32L BX, AX
	ADDQ   $4, SI
	ADDQ   $4, DI

lessThan4:
	BTL    $1, CX
	JCC    lessThan2
	MOVW   (SI), BX
	MOVW   BX, (DI)
	CRC32W BX, AX
	ADDQ   $2, SI
	ADDQ   $2, DI

lessThan2:
	BTL    $0, CX
	JCC    done
	MOVB   (SI), BX
	MOVB   BX, (DI)
	CRC32B BX, AX

done:
	MOVL AX, ret+56(FP)
	RET

// func toLine(p []byte) int
TEXT ·toLine(SB), NOSPLIT, $0-32
	MOVQ p_base+0(FP), AX
	NEGQ AX
	ANDQ $63, AX
	MOVQ AX, ret+24(FP)
	RET
