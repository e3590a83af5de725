package memory

import "unsafe"

// adviseHugePages does nothing: darwin chooses its superpages itself.
func adviseHugePages(unsafe.Pointer, int64) {}
