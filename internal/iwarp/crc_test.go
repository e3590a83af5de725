package iwarp

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestCRCExamples: the two annotated FPDUs of RFC 5044 section 4.4, with their markers.
func TestCRCExamples(t *testing.T) {
	zeros := hex.EncodeToString(make([]byte, 24))
	for _, c := range []struct{ octets, crc string }{
		{"00000000" + "002a4143" + "00000000" + "00000000" + "00000001" + "00000000" + zeros, "52239983"},
		{"002a4143" + "00000000" + "00000000" + "00000002" + "00000000" + "00000014" + zeros, "84925898"},
	} {
		b, _ := hex.DecodeString(c.octets)
		s := sum(0, b)
		if got := hex.EncodeToString([]byte{byte(s), byte(s >> 8), byte(s >> 16), byte(s >> 24)}); got != c.crc {
			t.Errorf("CRC %s, want %s", got, c.crc)
		}
	}
}

// slowSum is CRC32C bit by bit: the polynomial of RFC 3720 section 12.1, reflected.
func slowSum(b []byte) uint32 {
	crc := ^uint32(0)
	for _, octet := range b {
		crc ^= uint32(octet)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x82f63b78
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc
}

func TestSumInPieces(t *testing.T) {
	b := pattern(1000)
	for cut := range b {
		if got, want := sum(sum(0, b[:cut]), b[cut:]), slowSum(b); got != want {
			t.Fatalf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}

func TestPad(t *testing.T) {
	for n := range 100 {
		size := lengthSize + n + pad(n) + crcSize
		if size%4 != 0 || pad(n) > maxPad {
			t.Errorf("ULPDU of %d octets: padding %d", n, pad(n))
		}
	}
}

func TestMULPDU(t *testing.T) {
	for max, want := range map[int]int{1448: 1442, 1460: 1454, 1447: 1438, MinFPDU: 130, MaxFPDU: 65535} {
		if got := mulpdu(max); got != want {
			t.Errorf("EMSS %d: MULPDU %d, want %d", max, got, want)
		}
		if n := mulpdu(max); lengthSize+n+pad(n)+crcSize > max {
			t.Errorf("EMSS %d is exceeded", max)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{OpSendSolicitedInvalidate.String(), "Send with Solicited Event and Invalidate"},
		{Opcode(13).String(), "opcode 0xd"},
		{AtomicFetchAdd.String() + AtomicCmpSwap.String() + AtomicOp(1).String(), "FetchAddCmpSwapatomic operation 0x1"},
		{CauseMO.String(), "invalid message offset (DDP, untagged buffer error, 1/2/0x04)"},
		{Cause(0x0042).String(), "RDMAP, local catastrophic error (0/0/0x42)"},
		{Cause(0x3042).String(), "unknown layer or type (3/0/0x42)"},
		{(&Error{Cause: CauseCRC}).Error(), "terminated: CRC mismatch (MPA error, 2/0/0x02)"},
		{(&AtomicRequest{Op: AtomicCmpSwap, STag: 1, TO: 16}).String(), "CmpSwap at STag 0x00000001, offset 0x10"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for op := OpWrite; op <= OpAtomicResponse; op++ {
		if op.String() == "" || bytes.HasPrefix([]byte(op.String()), []byte("opcode")) {
			t.Errorf("opcode %d has no name", op)
		}
	}
}
