// Package workload drives a device with a stream of reads, writes, atomics or
// messages and measures what that takes: the engine behind unio bench.
//
// Each channel has one goroutine, which keeps Depth requests in flight: it
// reaps what has finished, and posts as many again in one batch. It reads the
// clock once for each such batch, not for each request: a request's latency
// runs from the reading before the batch that posted it to the reading after
// the batch that reaped it, so it includes the posting call and is never too
// short. Random blocks are drawn with replacement. Messages that come back are
// measured from their Send to their return, the whole round trip.
//
// What is measured begins after channels are open, memory is registered, the
// region is filled if that was asked for, and the ramp has passed. It ends when
// the last request has.
package workload
