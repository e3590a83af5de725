package main

import (
	"github.com/spf13/pflag"
	"github.com/unio-stack/unio/internal/bytesize"
)

// sizeFlag is a size in bytes on the command line. It implements pflag.Value.
type sizeFlag int64

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return bytesize.Short(int64(*s))
}

func (s *sizeFlag) Set(v string) error {
	n, err := bytesize.Parse(v)
	*s = sizeFlag(n)
	return err
}

func (s *sizeFlag) Type() string { return "size" }

// sizeVar defines a flag for a size.
func sizeVar(fs *pflag.FlagSet, p *int64, name string, value int64, help string) {
	*p = value
	fs.Var((*sizeFlag)(p), name, help)
}
