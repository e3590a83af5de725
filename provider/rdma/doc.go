// Package rdma is remote memory and messages over TCP, in the protocol that Linux siw and iWARP adapters speak: RDMAP
// (RFC 5040, RFC 7306), DDP (RFC 5041) and MPA (RFC 5044, RFC 6581), in user space on ordinary sockets.
//
// [Listen] and [Dial] join two ends to a [Conn], whose [unio.Channel] sends and receives messages and reads, writes and
// changes the memory that the peer has exposed:
//
//	conn, err := rdma.Dial(ctx, "host:7471", rdma.Config{})
//	reg, err := conn.Attach(ctx, key, unio.ReadWrite) // the key came from the peer, in a message or in its private data
//	conn.Channel().Post(unio.Request{Op: unio.OpRead, Region: reg, Offset: 4096, Data: buf})
//
// # Exposed memory
//
// [Domain.Expose] and [Conn.Expose] let peers reach a [unio.Buffer], with rights, until [Exposure.Revoke]. The peer needs
// the [Key], which cannot be guessed. Every access is checked against key, rights, bounds and domain. A peer that is
// refused has broken the protocol: its connection ends, with a Terminate that says why (RFC 5040 section 7).
//
// # Who reads the socket
//
// The goroutine that polls the channel does. When nobody polls, the Domain's watcher does, so that what a peer does to
// exposed memory never waits for the application. Payload goes from the socket into its destination; only what was
// read together with headers is copied once. Nothing is allocated per request, and what is posted as one batch leaves in one write.
//
// # Peers of the same kind, and others
//
// Two ends that both run this package recognise each other by a trailer in the private data (docs/protocol.md). Then a Send
// waits until the peer has a Recv for it, so that a slow receiver slows its sender; atomics and immediate data work; FPDUs
// are large. Towards others, such as Linux siw, it is plain iWARP: a Send without a Recv posted for it ends the connection.
//
// # When things are complete
//
// A Read or an atomic: when its response is there. A Write: when the peer has placed it, which a Read of no octets, one for
// a whole batch, finds out. A Send: when TCP has it. A broken connection completes everything in flight with
// [unio.ErrDisconnected], and the request that the peer objected to with the objection.
package rdma
