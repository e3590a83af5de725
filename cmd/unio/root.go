package main

import (
	"github.com/spf13/cobra"
)

const rootLong = `unio measures, copies and explains storage: files, block devices, memory,
persistent memory and the memory of other machines, all through the same
channels.

A DEVICE is a URL, or a path:

  /dev/nvme0n1, ./disk.img                 a block device, a file
  file:///data/d.img?size=1GiB&create=1    the same, with options
  mem:?size=1GiB                           memory of this process
  dax:///mnt/pmem/heap                     a mapped file or DAX device
  rdma://host:7471/disk                    a region of another machine: "unio serve" serves it
  rdma://host:7471?crc=off                 memory that a peer offers, as "unio peer" does

"unio devices --help" lists all options. Sizes are in bytes, with k, M, G
(powers of 1024) or kB, MB, GB (powers of 1000).

Exit status: 0 done; 1 it did not work; 2 the command line is wrong; 3 what was
read is not what was written; 130 interrupted.`

// newRoot returns the whole command.
func newRoot(sh *shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "unio",
		Short: "One I/O stack for local and remote memory",
		Long:  rootLong,
		Example: `  unio doctor                                       what is in the way of speed here
  unio bench disk.img --size 1GiB                   random 4 KiB reads of a new file
  unio bench /dev/nvme0n1 --rw randread --json      for scripts
  unio cp disk.img /dev/sdx                         resumable and verified
  unio serve --export disk=disk.img                 a device for others, over the network
  unio ls rdma://host                               what is served there
  unio peer                                         memory for others, over the network
  unio ping rdma://host                             is it there, and how far away`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newBench(sh), newCopy(sh), newDevices(sh), newDoctor(sh), newList(sh), newPeer(sh),
		newPing(sh), newServe(sh), newStat(sh), newVersion(sh))
	root.InitDefaultHelpCmd()
	return root
}

// exactArgs wants n arguments, and says which they are when there are not.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing: %s", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usage("unexpected argument %q: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// completeDevices offers schemes, and files by the shell.
func completeDevices(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []cobra.Completion{"file:", "mem:?size=1GiB", "dax:", "rdma://"}, cobra.ShellCompDirectiveNoSpace
	}
}

// completeWords offers some words for a flag.
func completeWords(words []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}
