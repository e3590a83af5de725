package iwarp

import "github.com/unio-stack/unio/internal/crc32c"

// sum continues a CRC32C (RFC 5044 section 4.4) over b; it starts from 0. On the wire the result has its least significant
// octet first.
func sum(crc uint32, b []byte) uint32 { return crc32c.Update(crc, b) }

// pad is how many octets follow an ULPDU of n octets, so that the FPDU's size is a multiple of 4 (RFC 5044 section 4.1).
func pad(n int) int { return -(lengthSize + n) & 3 }

// mulpdu is the size of the largest ULPDU for FPDUs of at most max octets (RFC 5044 section 4.5).
func mulpdu(max int) int {
	return min(maxULPDU, max-max%4-lengthSize-crcSize)
}
