//go:build !linux

package media

import "os"

func drop(*os.File) error { return nil }
