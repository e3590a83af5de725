package unio

import (
	"fmt"
	"strings"
)

// Opcode names what a Request does.
type Opcode uint8

// The operations. Their numbers are stable; they are not wire numbers.
const (
	OpRead        Opcode = 1 + iota // fill Data or Vec from the region at Offset
	OpWrite                         // store Data or Vec to the region at Offset
	OpFlush                         // make what completed before durable, for the whole region
	OpDiscard                       // free Length bytes at Offset; they read as zeroes
	OpWriteZeroes                   // zero Length bytes at Offset, keeping their space
	OpCompareSwap                   // if the word at Offset equals Compare, store Swap
	OpFetchAdd                      // add Swap to the word at Offset, wrapping around
	opEnd
)

var opNames = [...]string{
	OpRead: "read", OpWrite: "write", OpFlush: "flush", OpDiscard: "discard",
	OpWriteZeroes: "write-zeroes", OpCompareSwap: "compare-swap", OpFetchAdd: "fetch-add",
}

// String returns the operation's name, such as "write-zeroes".
func (o Opcode) String() string {
	if o > 0 && int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

func (o Opcode) valid() bool    { return o > 0 && o < opEnd }
func (o Opcode) isAtomic() bool { return o == OpCompareSwap || o == OpFetchAdd }
func (o Opcode) hasData() bool  { return o == OpRead || o == OpWrite }
func (o Opcode) hasRange() bool { return o == OpDiscard || o == OpWriteZeroes }

// mutates reports whether the operation changes bytes of the region.
func (o Opcode) mutates() bool { return o != OpRead && o != OpFlush }

// OpSet is a set of operations.
type OpSet uint32

// Ops returns the set of the given operations.
func Ops(ops ...Opcode) OpSet {
	var s OpSet
	for _, o := range ops {
		s |= 1 << o
	}
	return s
}

// AllOps is every operation this package knows.
const AllOps OpSet = 1<<opEnd - 2

// Has reports whether o is in the set.
func (s OpSet) Has(o Opcode) bool { return s>>o&1 != 0 }

// String lists the operations, in their order, separated by commas.
func (s OpSet) String() string {
	var names []string
	for o := OpRead; o < opEnd; o++ {
		if s.Has(o) {
			names = append(names, o.String())
		}
	}
	return strings.Join(names, ",")
}

// MarshalText makes the set readable in JSON.
func (s OpSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Flags change how a Request is carried out.
type Flags uint8

const (
	// Fence starts the request only after every request posted before it on
	// the same channel has ended. Requests posted after it do not wait for it.
	Fence Flags = 1 << iota
	// Silent asks for no completion on success. A failure still completes, and
	// the completion of a request posted later says that this one has ended.
	Silent
	// Durable completes a mutation only when it would survive a crash.
	Durable

	allFlags = Fence | Silent | Durable
)

// String lists the flags, separated by "|".
func (f Flags) String() string {
	var names []string
	for i, n := range [...]string{"fence", "silent", "durable"} {
		if f>>i&1 != 0 {
			names = append(names, n)
		}
	}
	if rest := f &^ allFlags; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint8(rest)))
	}
	return strings.Join(names, "|")
}
