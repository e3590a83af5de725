// Package memory is memory outside the Go heap: blocks that devices and kernel
// rings may hold the address of, mapped files, and what is needed to use both
// without stopping the Go scheduler or crashing the process.
//
//   - [Alloc], [Find] and [Block] are the memory behind unio Buffers.
//   - [Map], [MapAnonymous] and [Mapping] are the storage of mapped devices.
//   - [Mapping.Touch] makes pages resident inside a system call, where a slow
//     fault costs a thread and not a scheduler slot.
//   - [CopyGuarded] and [Guard] turn a fault on a mapped page into a
//     [*FaultError].
//   - [WriteBack] and [Fence] make stores to persistent memory durable.
//
// Mapped memory has no special atomic operations: sync/atomic works on aligned
// addresses in it, within a process and between processes that share it.
// Nothing here locks the bytes; ordering accesses to them is the callers' part.
package memory
