// Command unio serves, measures, copies and explains local non-volatile memory
// and everything else that package unio reaches.
//
// Exit status: 0 done; 1 it did not work; 2 the command line is wrong; 3
// what was read is not what was written; 130 interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

// run is main, for tests: it returns the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := newRoot(newShell(os.Stdin, os.Stdout, os.Stderr))
	root.SetArgs(os.Args[1:])
	return finish(root, root.ExecuteContext(ctx))
}
