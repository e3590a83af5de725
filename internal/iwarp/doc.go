// Package iwarp is the iWARP protocol suite as state machines: MPA (RFC 5044, RFC 6581), DDP (RFC 5041) and
// RDMAP (RFC 5040, RFC 7306). Octets and events go in, actions come out. There is no socket, clock, lock or
// goroutine inside: the owner of a TCP connection reads, writes and keeps time.
//
// # A connection
//
// The [Initiator] and the [Responder] exchange the MPA Request and Reply and agree on [Settings]. From those
// [NewStream] makes a [Stream], which has two independent halves:
//
//   - The [Sender] takes one RDMAP message at a time (Write, Read, Send and so on) and [Sender.Fill] cuts it into
//     FPDUs. It writes headers and trailers into a [Batch], whose memory is the caller's, and only names the payload:
//     what a Batch holds goes out with one writev.
//   - The [Receiver] takes octets as they come, in pieces of any size. Before the payload of a segment is read it says
//     where it belongs ([EventPlace]), so that the caller can read it from the socket into its place, and report it with
//     [Receiver.Placed]. Whole messages are delivered as [EventMessage] once their CRC has been checked.
//
// A violation by the peer ends the stream, as the RFCs have it: the Receiver yields [EventFault] with the Terminate
// message to send, and the caller hands that to [Sender.Terminate], writes it and closes the connection. Where only
// the caller can tell (is this STag valid, has a receive been posted), it answers an event with [Receiver.Refuse],
// and the same follows.
//
// # Concurrency
//
// Each half has one owner at a time. The two halves of one Stream may be used by two goroutines at once: what they
// share (requests that wait for their response, and requests of the peer) is handed over with atomics.
//
// # Memory
//
// A Stream has a fixed size plus up to 64 octets for each request that it has had outstanding at a time. Neither half allocates
// per message. No payload is ever copied or kept, except that a Batch copies payload that its owner says is small.
//
// # What is left out
//
// Markers (a peer that insists on them is rejected), MPA revision 0 and RDMAP version 0 (the RDMA Consortium's), and
// segments of one message out of order, which TCP does not produce and every known peer refuses.
package iwarp
