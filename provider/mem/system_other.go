//go:build !linux

package mem

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/unio-stack/unio"
)

// freesAnonymous says that release can take anonymous pages back: only Linux
// promises that they then read as zeroes.
const freesAnonymous = false

// release is not called where nothing is freed.
func (d *device) release(int64, int64) error { return unio.ErrUnsupported }

// canPunch reports whether a part of a file can be freed.
func canPunch(*os.File, int64) bool { return false }

// reserve has no call here that keeps what the file holds.
func reserve(*os.File, int64) error { return unio.ErrUnsupported }

// losesContent reports whether the file system is known to be one in memory.
func losesContent(*os.File) bool { return false }

// full reports whether the file system is known to have no space left.
func full(*os.File) bool { return false }

// lengthOfDAX is for Linux's DAX devices.
func lengthOfDAX(fs.FileInfo) (int64, error) {
	return 0, fmt.Errorf("%w: a character device cannot be mapped here", unio.ErrInvalid)
}
