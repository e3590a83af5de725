// Package transfer copies between regions of devices and byte streams: the
// engine behind unio cp.
//
// A fixed number of slots, each with memory for one chunk, go round between a
// goroutine that reads and one that writes. Chunks may be written in any order
// (not to a stream). Each chunk's CRC32C is taken when it is read, so that the
// destination can be read back and compared, and noted in a [State] when it is
// durable, so that a copy that was killed can go on.
package transfer
