package memory

import (
	"errors"
	"fmt"
)

// errPageFault is the cause of a [FaultError] found by touching the memory, where the
// processor says only that the access could not be made.
var errPageFault = errors.New("no page behind the address")

// A FaultError says that mapped memory could not be accessed: the file shrank
// below the mapping, the file system had no space for a hole's first write, or
// the medium failed. The bytes before the fault are unaffected; the mapping
// stays usable elsewhere, and there too once the cause is gone.
type FaultError struct {
	// Addr is the first address known to be bad.
	Addr uintptr
	// Off is the offset in bytes of Addr in its mapping, or -1 where only the
	// address is known; see [Mapping.OffsetOf].
	Off int64
	// Err is the cause: an errno (EFAULT, EHWPOISON, ENOMEM) when a system
	// call met the fault, never nil.
	Err error
}

// Error describes the fault.
func (e *FaultError) Error() string {
	if e.Off < 0 {
		return fmt.Sprintf("memory fault at address %#x: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("memory fault at offset %d of the mapping: %v", e.Off, e.Err)
}

// Unwrap returns the cause.
func (e *FaultError) Unwrap() error { return e.Err }
