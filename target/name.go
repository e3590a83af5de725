package target

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/unio-stack/unio"
)

// ownNames are the beginning of names that are the target's.
const ownNames = "unio:"

// CheckName says what is wrong with the name of an export, or nil. What is wrong is an [unio.ErrInvalid].
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > maxName || !utf8.ValidString(name) || slices.ContainsFunc([]rune(name), unprintable):
		return fmt.Errorf("%w: a name has 1 to %d bytes of printable text", unio.ErrInvalid, maxName)
	case strings.HasPrefix(name, ownNames):
		return fmt.Errorf("%w: names that begin with %s are the target's own", unio.ErrInvalid, ownNames)
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
