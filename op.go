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
	OpSend                          // send Data or Vec, possibly empty, to the peer's oldest Recv
	OpRecv                          // take the peer's next message into Data or Vec
	OpImmediate                     // send the 8 bytes of Swap, without memory, to the peer's oldest Recv
	OpAppend                        // store Data or Vec where the last Append to the region ended; Value says where
	OpWriteAtomic                   // store Data or Vec to Ranges: all of it or, after a crash, nothing
	opEnd
)

var opNames = [...]string{
	OpRead: "read", OpWrite: "write", OpFlush: "flush", OpDiscard: "discard",
	OpWriteZeroes: "write-zeroes", OpCompareSwap: "compare-swap", OpFetchAdd: "fetch-add",
	OpSend: "send", OpRecv: "recv", OpImmediate: "immediate",
	OpAppend: "append", OpWriteAtomic: "write-atomic",
}

// String returns the operation's name, such as "write-zeroes".
func (o Opcode) String() string {
	if o > 0 && int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

func (o Opcode) valid() bool     { return o > 0 && o < opEnd }
func (o Opcode) isAtomic() bool  { return o == OpCompareSwap || o == OpFetchAdd }
func (o Opcode) isMessage() bool { return o >= OpSend && o <= OpImmediate }
func (o Opcode) hasRange() bool  { return o == OpDiscard || o == OpWriteZeroes }
func (o Opcode) hasData() bool {
	return o == OpRead || o == OpWrite || o == OpSend || o == OpRecv || o.isWhole()
}

// isWhole reports whether the operation is done in one step by a provider that
// offers it, or not at all: it is neither split nor continued.
func (o Opcode) isWhole() bool { return o == OpAppend || o == OpWriteAtomic }

// mutates reports whether the operation changes bytes of a region.
func (o Opcode) mutates() bool { return o != OpRead && o != OpFlush && !o.isMessage() }

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

const (
	// AllOps is every operation on one range of a region.
	AllOps OpSet = 1<<OpSend - 2
	// WholeOps are those that a region does as a whole or not at all.
	WholeOps OpSet = 1<<OpAppend | 1<<OpWriteAtomic
	// MessageOps are those between peers, which name no region.
	MessageOps OpSet = 1<<OpSend | 1<<OpRecv | 1<<OpImmediate
)

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
	// Solicited, with OpSend and OpImmediate, asks the peer to take notice: the
	// completion of its Recv has the flag, and peers of other make raise an event.
	Solicited
	// Invalidate, with OpSend, withdraws Request.Region, memory that the peer
	// has exposed, before the peer learns of the message.
	Invalidate
	// Immediate, in the Completion of an OpRecv, says that the message was an
	// OpImmediate. No request has it.
	Immediate
	// Idempotent says that the request may be carried out more than once: a
	// remote device carries it out again on its next connection if one breaks,
	// instead of failing it with ErrDisconnected. Other requests may take effect
	// in between.
	Idempotent

	storageFlags = Fence | Silent | Durable | Idempotent
	messageFlags = Fence | Silent | Solicited
)

var flagNames = [...]string{"fence", "silent", "durable", "solicited", "invalidate", "immediate", "idempotent"}

// String lists the flags, separated by "|".
func (f Flags) String() string {
	var names []string
	for i, n := range flagNames {
		if f>>i&1 != 0 {
			names = append(names, n)
		}
	}
	if rest := f >> len(flagNames) << len(flagNames); rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint8(rest)))
	}
	return strings.Join(names, "|")
}
