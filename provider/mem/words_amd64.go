package mem

import "golang.org/x/sys/cpu"

// hasAVX is read by copyWords.
var hasAVX = cpu.X86.HasAVX
