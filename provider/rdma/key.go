package rdma

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/unio-stack/unio"
)

// A Key is what a peer needs to reach exposed memory: whoever has it and is in the Domain has the access.
type Key struct {
	STag uint32 // steering tag (RFC 5040), the R_Key of verbs
	Base uint64 // tagged offset of the first byte, an opaque number: a plain peer's is a virtual address
	Size int64  // bytes
}

const (
	keySize      = 24
	shortKeySize = 16 // without the last field
)

// AppendBinary appends the 24 octets by which peers tell each other: base, STag, length in 32 bits (all ones if it is
// larger), length in 64 bits, in network order. The first 16 are what programs on verbs commonly exchange.
func (k Key) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, k.Base)
	b = binary.BigEndian.AppendUint32(b, k.STag)
	b = binary.BigEndian.AppendUint32(b, uint32(min(k.Size, math.MaxUint32)))
	return binary.BigEndian.AppendUint64(b, uint64(k.Size)), nil
}

// UnmarshalBinary takes the 24 octets of AppendBinary, or the first 16, at the start of b. It fails with [unio.ErrInvalid]
// if the length is not possible.
func (k *Key) UnmarshalBinary(b []byte) error {
	if len(b) < shortKeySize {
		return fmt.Errorf("key of %d octets: %w: it has %d or %d", len(b), unio.ErrInvalid, keySize, shortKeySize)
	}
	size := uint64(binary.BigEndian.Uint32(b[12:]))
	if len(b) >= keySize {
		if long := binary.BigEndian.Uint64(b[shortKeySize:]); min(long, math.MaxUint32) == size {
			size = long
		}
	}
	return k.set(binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint64(b), size)
}

func (k *Key) set(stag uint32, base, size uint64) error {
	if size > math.MaxInt64 || size > math.MaxUint64-base {
		return fmt.Errorf("key: %w: %d bytes from offset %#x exceed 64 bits", unio.ErrInvalid, size, base)
	}
	*k = Key{STag: stag, Base: base, Size: int64(size)}
	return nil
}

// String returns the key as [ParseKey] takes it: STag, base and size.
func (k Key) String() string { return fmt.Sprintf("%08x:%x:%d", k.STag, k.Base, k.Size) }

// ParseKey reads what String has written. It fails with [unio.ErrInvalid].
func ParseKey(s string) (k Key, err error) {
	stag, rest, _ := strings.Cut(s, ":")
	base, size, ok := strings.Cut(rest, ":")
	if ok {
		var tag, from, length uint64
		if tag, err = strconv.ParseUint(stag, 16, 32); err == nil {
			if from, err = strconv.ParseUint(base, 16, 64); err == nil {
				length, err = strconv.ParseUint(size, 10, 63)
			}
		}
		if err == nil {
			return k, k.set(uint32(tag), from, length)
		}
	}
	return k, fmt.Errorf("%w: %q is no key: it is STAG:BASE:SIZE, the first two in hexadecimal", unio.ErrInvalid, s)
}
