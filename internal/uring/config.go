package uring

import "time"

// DefaultEntries is the submission queue size of a zero [Config].
const DefaultEntries = 128

// Config says how to make a ring. The zero value is a ring of DefaultEntries that any thread may drive.
type Config struct {
	// Entries is the size of the submission queue. Default DefaultEntries; the kernel rounds it up to a
	// power of two and clamps it to its maximum (32768). [Ring.SQEntries] tells the result.
	Entries uint32

	// CQEntries is the size of the completion queue. Default twice Entries; rounded and clamped (65536)
	// as Entries is; at least Entries. Completions beyond it are kept by the kernel and handed over by Reap,
	// at the price of an allocation each.
	CQEntries uint32

	// SingleIssuer promises that only the thread that calls New ever submits or registers. The
	// kernel holds the promise with EEXIST. Needs Linux 6.0 and runtime.LockOSThread.
	SingleIssuer bool

	// DeferTaskrun leaves finishing work until the owner enters the kernel, which Reap does when it must.
	// Needs SingleIssuer and Linux 6.1. Not with SQPoll.
	DeferTaskrun bool

	// CoopTaskrun lets finishing work wait until the submitting thread next enters the kernel, instead of
	// interrupting it. Without runtime.LockOSThread completions may then be late by a scheduling
	// quantum. Needs Linux 5.19. Not with SQPoll.
	CoopTaskrun bool

	// SQPoll has a kernel thread take submissions, so that Submit needs no system call while it is awake.
	// (It may be born asleep: the first Submit then wakes it.)
	// Needs Linux 5.11 for use without privileges.
	SQPoll bool

	// SQIdle is how long that thread spins without work before it sleeps, in whole milliseconds. Default 1 s.
	SQIdle time.Duration

	// SQPin binds that thread to the processor SQCPU.
	SQPin bool

	// SQCPU is the processor number for SQPin.
	SQCPU uint32

	// IOPoll polls the device for completions instead of waiting for its interrupt. Only reads and writes on
	// O_DIRECT files whose device has poll queues; others complete with EOPNOTSUPP or EINVAL.
	IOPoll bool

	// HybridIOPoll sleeps for part of the expected latency before polling. Needs IOPoll and Linux 6.13.
	HybridIOPoll bool

	// AttachTo shares the workers, and with SQPoll the kernel thread, of another open ring. Default none.
	AttachTo *Ring
}
