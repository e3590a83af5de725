// Package target serves regions of devices to peers over RDMA.
//
//	t, err := target.New(target.Config{Exports: []target.Export{{Name: "disk", Device: dev}}})
//	addr, err := t.Listen(ctx, "127.0.0.1:7471")
//
// A client opens rdma://127.0.0.1:7471/disk. A program on plain verbs names the region in its private data, and finds the
// key to it in the reply's (docs of package rdma).
//
// # From a connection to a device
//
// A connection has no channel of its own to the device. Each [Export] has a few lanes, channels that its connections share.
// Whoever brings operations posts them, and takes what has ended meanwhile, in its own goroutine; if another goroutine is at
// the channel, it leaves them there and goes on. Nobody waits for a device, nor for somebody who does. A region that is plain
// memory ([unio.Region.Memory]) is read and written by the connections themselves.
//
// Flushes are shared: while the device carries one out, all that are asked for wait for one more.
//
// # Memory
//
// What is read and written passes through I/O memory of a fixed size. Each export has a share of it that is its own, and
// borrows from the rest: what one export's device does not give back, others do not miss. Within an export a connection
// holds no more than it leaves for others. Who finds none waits in order of arrival, and does not read from its peer: that
// is how a peer learns that the device is slower.
//
// # Ownership
//
// Devices stay the caller's. A device may be closed when [Target.SetExports] has returned without its export, or
// [Target.Close] has; not before.
package target
