package uring

import (
	"fmt"
	"strings"
)

// Version is a kernel version, as far as features go by it.
type Version struct{ Major, Minor int }

// Before tells whether v is older than w.
func (v Version) Before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// String is the version as in "6.1".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// MarshalText writes the version as String does.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a version or a kernel release such as "6.18.44-generic".
func (v *Version) UnmarshalText(text []byte) error {
	parsed, ok := parseVersion(string(text))
	if !ok {
		return fmt.Errorf("uring: %q is not a kernel version: want major.minor", text)
	}
	*v = parsed
	return nil
}

// parseVersion takes the first two numbers of a kernel release.
func parseVersion(release string) (Version, bool) {
	var v Version
	n, err := fmt.Sscanf(strings.TrimSpace(release), "%d.%d", &v.Major, &v.Minor)
	return v, err == nil && n == 2 && v.Major >= 0 && v.Minor >= 0
}
