package main

import (
	"context"
	"fmt"
	"runtime"
)

// A group is contenders that do the same work with the same bytes.
type group struct {
	title      string
	contenders []contender
}

// groups are what the demo compares. A disk or a server is given many requests
// at a time, by one goroutine through one channel, or by as many goroutines as
// requests. Memory of this process is as fast as the processor, so there each
// core has one request at a time.
func groups(path string, o options, s *servers) []group {
	size, cores := o.size+checkArea, runtime.GOMAXPROCS(0)
	many := fmt.Sprintf("%d at a time", o.depth)
	target := "rdma://" + s.target.addr
	onDisk := func(c contender) contender {
		c.slots, c.stays, c.path = o.depth, true, path
		return c
	}
	inMemory := func(c contender) contender {
		c.slots, c.stays, c.path = cores, true, path
		return c
	}
	away := func(server *process, c contender) contender {
		c.server, c.slots, c.stays = server, o.depth, true
		return c
	}
	awayOnDisk := func(server *process, c contender) contender {
		c = away(server, c)
		c.path = path
		return c
	}
	echoes := func(slots int) []contender {
		return []contender{
			{name: "net/rpc", where: s.rpc.addr + " Peer.Echo", baseline: true, slots: slots, server: s.rpc, echo: true, open: func(ctx context.Context) (runner, error) {
				return openRPCEcho(ctx, s.rpc.addr, slots)
			}},
			{name: "unio Send and Recv", where: s.peer.addr, slots: slots, server: s.peer, echo: true, open: func(ctx context.Context) (runner, error) {
				return openMessages(ctx, s.peer.addr, slots)
			}},
		}
	}
	dram := channels("unio mem: DRAM", fmt.Sprintf("mem:?size=%d", size), cores, cores)
	dram.slots = cores
	return []group{
		{"A file, " + many, []contender{
			onDisk(osFile("os.File, O_DIRECT", path, o.depth, true)),
			onDisk(optional(channels("unio file: io_uring", fmt.Sprintf("file://%s?engine=io_uring", path), 1, o.depth))),
			onDisk(channels("unio file: posix", fmt.Sprintf("file://%s?engine=posix", path), 1, o.depth)),
		}},
		{"The same file through a server, " + many, []contender{
			awayOnDisk(s.rpc, overRPC("Disk", s.rpc.addr, o.depth)),
			awayOnDisk(s.target, channels("unio rdma: target", target+"/disk", 1, o.depth)),
		}},
		{fmt.Sprintf("Memory, %d at a time", cores), []contender{
			inMemory(osFile("os.File, page cache", path, cores, false)),
			inMemory(channels("unio dax: mapped file", "dax://"+path, cores, cores)),
			dram,
		}},
		{"Memory of another process, " + many, []contender{
			away(s.rpc, overRPC("Memory", s.rpc.addr, o.depth)),
			away(s.target, channels("unio rdma: target", target+"/mem", 1, o.depth)),
			away(s.peer, channels("unio rdma: peer", "rdma://"+s.peer.addr, 1, o.depth)),
		}},
		{"Messages to another process and back, 1 at a time", echoes(1)},
		{"Messages to another process and back, " + many, echoes(o.depth)},
	}
}

// channels is unio: the same lines for each URL.
func channels(name, url string, n, slots int) contender {
	return contender{name: name, where: url, open: func(ctx context.Context) (runner, error) {
		return openChannels(ctx, url, n, slots)
	}}
}

// osFile is what there is without unio, in this process.
func osFile(name, path string, slots int, direct bool) contender {
	return contender{name: name, where: path, baseline: true, optional: direct, open: func(context.Context) (runner, error) {
		return openFile(path, slots, direct)
	}}
}

// overRPC is what there is without unio, with a server.
func overRPC(service, addr string, slots int) contender {
	return contender{name: "net/rpc", where: addr + " " + service + ".ReadAt, .WriteAt", baseline: true, open: func(ctx context.Context) (runner, error) {
		return openRPC(ctx, addr, service, slots)
	}}
}

func optional(c contender) contender {
	c.optional = true
	return c
}
