package memory

import "golang.org/x/sys/unix"

// populate locks the pages of mem, which fetches them inside the system call,
// and unlocks them again. The kernel fetches for writing where mem may be
// written, so write makes no difference; a page beyond a file's end is ENOMEM.
func populate(mem []byte, _ bool) error {
	if err := unix.Mlock(mem); err != nil {
		return err
	}
	return unix.Munlock(mem)
}

// populatePage is populate; darwin has one way.
func populatePage(mem []byte, write bool) error { return populate(mem, write) }

// lockOnFault is refused: darwin locks only what it fetches at once, and its
// locks do not nest with those of populate.
func lockOnFault([]byte) error { return unix.ENOSYS }

// hasSwap is always true: darwin compresses and swaps.
func hasSwap() bool { return true }
