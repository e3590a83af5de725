package volume

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/unio-stack/unio"
)

// MaxName is how many bytes the name of a volume has at most.
const MaxName = 255

// checkName says why a volume cannot have the name.
func checkName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "a volume has a name"
	case len(name) > MaxName:
		why = fmt.Sprintf("it has %d bytes, at most %d", len(name), MaxName)
	case name == "." || name == "..":
		why = "it means a directory"
	case !utf8.ValidString(name):
		why = "it is not UTF-8"
	}
	for _, c := range name {
		switch {
		case why != "":
		case c == '/':
			why = "it has a slash"
		case unicode.IsControl(c):
			why = fmt.Sprintf("it has the control character %q", c)
		}
	}
	if why != "" {
		return fmt.Errorf("%w: name %q: %s", unio.ErrInvalid, name, why)
	}
	return nil
}
