package rdma

import (
	"fmt"

	"github.com/unio-stack/unio"
)

// Hints tell a target how a connection is going to be used. The zero value says nothing.
type Hints struct {
	// InFlight is how many bytes there will be in flight at a time: depth times block, where a block counts as whole pages of
	// 4 KiB. The target reserves memory for so many while the connection lives, so that up to there it waits for no other; or it
	// refuses the connection with [unio.ErrBusy], and says how much is left. Each channel of a device is a connection, with
	// memory of its own. A connection that has broken may have its memory for as long as the target takes it for alive;
	// connecting again goes on until then. At most 64 GiB; default: nothing is reserved, and memory is what others leave. A
	// region that is plain memory at the target needs none.
	InFlight int64
	// Pattern is in what order the region is read and written. A target shows it in its statistics; there is no medium yet that
	// makes use of it.
	Pattern Pattern
}

// Pattern is in what order a region is read and written.
type Pattern uint8

// The patterns. Their numbers are those on the wire.
const (
	PatternUnknown Pattern = iota
	PatternRandom
	PatternSequential
)

// String returns the pattern's name, as in a URL.
func (p Pattern) String() string {
	switch p {
	case PatternUnknown:
		return "unknown"
	case PatternRandom:
		return "random"
	case PatternSequential:
		return "sequential"
	}
	return fmt.Sprintf("pattern(%d)", uint8(p))
}

const (
	hintUnit  = 4096 // bytes, in which InFlight is told
	hintShift = 24   // the bits below are InFlight, those above Pattern
	// mostInFlight bytes are what can be told.
	mostInFlight = (1<<hintShift - 1) * hintUnit
)

func (h Hints) check() error {
	switch {
	case h.InFlight < 0 || h.InFlight > mostInFlight:
		return fmt.Errorf("%w: %d bytes in flight: 0 to %d are possible", unio.ErrInvalid, h.InFlight, int64(mostInFlight))
	case h.Pattern > PatternSequential:
		return fmt.Errorf("%w: access %v", unio.ErrInvalid, h.Pattern)
	}
	return nil
}

// word returns the hints as they are in the trailer of a Request. They have been checked.
func (h Hints) word() uint32 {
	return uint32(h.Pattern)<<hintShift | uint32((h.InFlight+hintUnit-1)/hintUnit)
}

// hintsOf reads what word has written. A pattern that is not known here says nothing.
func hintsOf(word uint32) Hints {
	h := Hints{InFlight: int64(word&(1<<hintShift-1)) * hintUnit, Pattern: Pattern(word >> hintShift)}
	if h.Pattern > PatternSequential {
		h.Pattern = PatternUnknown
	}
	return h
}
