// Package unio is one interface to local non-volatile memory, remote
// non-volatile memory and the network: private channels, registered memory,
// asynchronous posting and polled completion.
//
// A [Device] is a thing with channels: a disk, mapped memory, a remote target.
// [Device.Attach] resolves a named [Region] of it with rights;
// [Device.NewChannel] opens a private [Channel]. Requests are posted to the
// channel in batches and never block; completions are reaped from it by
// polling ([Channel.Poll]), by an adaptive wait ([Channel.Wait]), or one at a
// time ([Channel.Do]). [File] is the face for many goroutines that want
// io.ReaderAt and io.WriterAt instead.
//
// Devices come from providers; package provider opens them by URL:
//
//	dev, err := provider.Open(ctx, "file:///var/lib/unio/disk.img")
//	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
//	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 128})
//
// # Promises
//
// What follows holds on every device, because this package checks or provides
// it once for all of them, and package uniotest tests it on each.
//
// Offsets and lengths are bytes at any alignment. Every posted request
// completes exactly once, whatever is cancelled or closed (a [Silent] one only
// if it fails). From Post to completion the buffer belongs to the stack; after
// the completion, whatever its status, nothing touches it. A completed Write
// is visible to every later Read; it survives a crash only with [Durable] or
// after a [OpFlush] that follows it. Requests of a channel take effect in any
// order except across a [Fence]. Atomics are linearizable per aligned 8-byte
// word. A request outside its region or beyond its rights fails alone, with an
// [OpError] that says what and where.
//
// # Memory
//
// Data may be any memory. A [Buffer] is page-aligned, lies outside the Go heap
// and is registered with the device on first use; it and well-aligned slices
// take the zero-copy path. What has to be copied on the way is counted in
// [Stats.BouncedBytes], and [ChannelConfig.NoCopy] makes it an error.
package unio
