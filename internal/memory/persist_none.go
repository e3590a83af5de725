//go:build !amd64 && !(linux && arm64)

package memory

import "unsafe"

// writeBackName says that this system lets no program write back its caches;
// darwin on arm64 keeps the instructions and CTR_EL0 to itself.
const writeBackName = noInstruction

func writeBack(unsafe.Pointer, uintptr) {}

func fence() {}
