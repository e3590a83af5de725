//go:build !linux

package file

import (
	"errors"
	"os"

	"github.com/unio-stack/unio"
)

// nativeDurable: nothing makes a single write durable.
const nativeDurable unio.OpSet = 0

func (m *medium) inspect() { m.sector, m.zeroUnit = 512, 1 }

func (m *medium) directUnits() (offset, memory int) { return 0, 0 }

func (m *medium) writeProtected() bool { return false }

func openDirect(string, bool) (*os.File, error) { return nil, errors.ErrUnsupported }

func reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }
