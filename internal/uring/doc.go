// Package uring drives Linux io_uring rings: set-up, submission, completion, registration and a probe
// that says what the running kernel offers. It is written against the kernel's ABI
// (include/uapi/linux/io_uring.h) with nothing but golang.org/x/sys/unix, and without cgo.
//
// # Ownership
//
// A [Ring] has one owner at a time. Next, Submit, SubmitAndWait, GetEvents, Reap, CQReady, Pending,
// SetEventfdEnabled, RegisterRingFD, Stats and Err take no lock and belong to the owner. The calls that
// go through io_uring_register (files, buffers, eventfd, workers, cancellation) may come from any
// goroutine, also while the owner works, except on a ring made with SingleIssuer, where the kernel answers
// EEXIST to every thread but the one that made it. Close may come from any goroutine, but only when the
// owner has stopped using the ring.
//
// # Threads
//
// In the default mode a goroutine may change operating-system threads between any two calls. The kernel finishes a
// request in the context of the thread that submitted it and interrupts that thread to do so, whatever it
// is doing by then. CoopTaskrun drops that interrupt, SingleIssuer and DeferTaskrun tie the ring to one thread:
// those three are for an owner that has called runtime.LockOSThread before New and keeps it. Two more things
// follow from threads being the kernel's unit of account: each thread that submits has its own pool of
// io-wq workers, and when a thread exits (Go ends one only when a goroutine returns while locked to it), what it submitted
// and still waits ends with ECANCELED.
//
// # Memory
//
// The kernel sees addresses, the garbage collector does not: whoever posts an address keeps the memory alive and
// in place until the request's completion has been reaped. That holds for data, and for the iovec arrays
// of vectored requests. Goroutine stacks move, so posted memory must never be on one.
//
// Closing a ring does not wait for requests that the device has already started; they may touch their
// memory after Close returns. Reap every completion before freeing memory that was posted.
package uring
