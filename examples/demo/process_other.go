//go:build !linux

package main

import (
	"syscall"
	"time"
)

// attributes of a process: a Ctrl-C at the terminal is not for it.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// cpu is not known here.
func (p *process) cpu() time.Duration { return 0 }
