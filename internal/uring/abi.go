//go:build linux

package uring

import "unsafe"

// The layouts and numbers of include/uapi/linux/io_uring.h; the name there follows each one.

// Opcodes: enum io_uring_op.
const (
	opNop         = 0  // IORING_OP_NOP
	opReadv       = 1  // IORING_OP_READV
	opWritev      = 2  // IORING_OP_WRITEV
	opFsync       = 3  // IORING_OP_FSYNC
	opReadFixed   = 4  // IORING_OP_READ_FIXED
	opWriteFixed  = 5  // IORING_OP_WRITE_FIXED
	opPollAdd     = 6  // IORING_OP_POLL_ADD
	opAsyncCancel = 14 // IORING_OP_ASYNC_CANCEL
	opFallocate   = 17 // IORING_OP_FALLOCATE
	opRead        = 22 // IORING_OP_READ
	opWrite       = 23 // IORING_OP_WRITE
	opMsgRing     = 40 // IORING_OP_MSG_RING
	opReadvFixed  = 60 // IORING_OP_READV_FIXED
	opWritevFixed = 61 // IORING_OP_WRITEV_FIXED
)

// Flags of one submission, for [SQE.SetFlags].
const (
	SQEFixedFile = 1 << 0 // IOSQE_FIXED_FILE: the descriptor is a slot of the registered files
	SQEDrain     = 1 << 1 // IOSQE_IO_DRAIN: start after every earlier request has completed
	SQELink      = 1 << 2 // IOSQE_IO_LINK: the next request starts after this one, and only if it succeeds
	SQEHardlink  = 1 << 3 // IOSQE_IO_HARDLINK: as SQELink, whatever the result
	SQEAsync     = 1 << 4 // IOSQE_ASYNC: go to a worker at once

	// SQECQESkipSuccess is IOSQE_CQE_SKIP_SUCCESS (Linux 5.17): no completion on success. When such a request fails it
	// completes, but the requests linked behind it, cancelled with it, do not, whatever their own flags.
	SQECQESkipSuccess = 1 << 6
)

// Flags of a cancellation, for [SQE.AsyncCancel] and [Ring.SyncCancel].
const (
	CancelAll = 1 << 0 // IORING_ASYNC_CANCEL_ALL: every match, not only the first (Linux 5.19)
	CancelAny = 1 << 2 // IORING_ASYNC_CANCEL_ANY: match any request (Linux 5.19)
)

// Flags of a completion.
const (
	CQEMore = 1 << 1 // IORING_CQE_F_MORE: the same submission will complete again
)

const fsyncDatasync = 1 << 0 // IORING_FSYNC_DATASYNC

// io_uring_setup flags.
const (
	setupIOPoll       = 1 << 0  // IORING_SETUP_IOPOLL
	setupSQPoll       = 1 << 1  // IORING_SETUP_SQPOLL
	setupSQAff        = 1 << 2  // IORING_SETUP_SQ_AFF
	setupCQSize       = 1 << 3  // IORING_SETUP_CQSIZE
	setupClamp        = 1 << 4  // IORING_SETUP_CLAMP
	setupAttachWQ     = 1 << 5  // IORING_SETUP_ATTACH_WQ
	setupSubmitAll    = 1 << 7  // IORING_SETUP_SUBMIT_ALL
	setupCoopTaskrun  = 1 << 8  // IORING_SETUP_COOP_TASKRUN
	setupTaskrunFlag  = 1 << 9  // IORING_SETUP_TASKRUN_FLAG
	setupSingleIssuer = 1 << 12 // IORING_SETUP_SINGLE_ISSUER
	setupDeferTaskrun = 1 << 13 // IORING_SETUP_DEFER_TASKRUN
	setupNoSQArray    = 1 << 16 // IORING_SETUP_NO_SQARRAY
	setupHybridIOPoll = 1 << 17 // IORING_SETUP_HYBRID_IOPOLL
)

// Flags that the kernel raises in the submission ring.
const (
	sqNeedWakeup = 1 << 0 // IORING_SQ_NEED_WAKEUP
	sqCQOverflow = 1 << 1 // IORING_SQ_CQ_OVERFLOW
	sqTaskrun    = 1 << 2 // IORING_SQ_TASKRUN
)

const cqEventfdDisabled = 1 << 0 // IORING_CQ_EVENTFD_DISABLED, raised by us in the completion ring

// io_uring_enter flags.
const (
	enterGetEvents      = 1 << 0 // IORING_ENTER_GETEVENTS
	enterSQWakeup       = 1 << 1 // IORING_ENTER_SQ_WAKEUP
	enterSQWait         = 1 << 2 // IORING_ENTER_SQ_WAIT
	enterExtArg         = 1 << 3 // IORING_ENTER_EXT_ARG
	enterRegisteredRing = 1 << 4 // IORING_ENTER_REGISTERED_RING
)

// Bits of params.features.
const (
	featSingleMmap     = 1 << 0  // IORING_FEAT_SINGLE_MMAP
	featNoDrop         = 1 << 1  // IORING_FEAT_NODROP
	featSQPollNonfixed = 1 << 7  // IORING_FEAT_SQPOLL_NONFIXED
	featExtArg         = 1 << 8  // IORING_FEAT_EXT_ARG
	featRsrcTags       = 1 << 10 // IORING_FEAT_RSRC_TAGS
	featCQESkip        = 1 << 11 // IORING_FEAT_CQE_SKIP
)

// Offsets that name the two mappings of a ring.
const (
	offSQRing = 0          // IORING_OFF_SQ_RING
	offSQEs   = 0x10000000 // IORING_OFF_SQES
)

// io_uring_register opcodes.
const (
	unregisterBuffers      = 1  // IORING_UNREGISTER_BUFFERS
	registerFiles          = 2  // IORING_REGISTER_FILES
	unregisterFiles        = 3  // IORING_UNREGISTER_FILES
	registerEventfd        = 4  // IORING_REGISTER_EVENTFD
	unregisterEventfd      = 5  // IORING_UNREGISTER_EVENTFD
	registerFilesUpdate    = 6  // IORING_REGISTER_FILES_UPDATE
	registerProbe          = 8  // IORING_REGISTER_PROBE
	registerFiles2         = 13 // IORING_REGISTER_FILES2
	registerBuffers2       = 15 // IORING_REGISTER_BUFFERS2
	registerBuffersUpdate  = 16 // IORING_REGISTER_BUFFERS_UPDATE
	registerIOWQMaxWorkers = 19 // IORING_REGISTER_IOWQ_MAX_WORKERS
	registerRingFDs        = 20 // IORING_REGISTER_RING_FDS
	unregisterRingFDs      = 21 // IORING_UNREGISTER_RING_FDS
	registerSyncCancel     = 24 // IORING_REGISTER_SYNC_CANCEL
)

// What goes with them.
const (
	rsrcRegisterSparse        = 1 << 0  // IORING_RSRC_REGISTER_SPARSE
	opSupported               = 1 << 0  // IO_URING_OP_SUPPORTED
	probeOps                  = 256     // io_uring_probe has at most this many operations
	maxRegisteredBufferLength = 1 << 30 // bytes; io_uring/rsrc.c: io_buffer_validate
)

// sqOffsets is struct io_sqring_offsets.
type sqOffsets struct {
	head, tail, ringMask, ringEntries, flags, dropped, array, resv1 uint32
	userAddr                                                        uint64
}

// cqOffsets is struct io_cqring_offsets.
type cqOffsets struct {
	head, tail, ringMask, ringEntries, overflow, cqes, flags, resv1 uint32
	userAddr                                                        uint64
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	resv                                                                   [3]uint32
	sqOff                                                                  sqOffsets
	cqOff                                                                  cqOffsets
}

// kernelTimespec is struct __kernel_timespec, 64-bit on every architecture.
type kernelTimespec struct{ sec, nsec int64 }

// getEventsArg is struct io_uring_getevents_arg.
type getEventsArg struct {
	sigmask     uint64
	sigmaskSize uint32
	minWaitUsec uint32
	ts          uint64 // address of a kernelTimespec
}

// rsrcRegister is struct io_uring_rsrc_register.
type rsrcRegister struct {
	nr, flags  uint32
	resv2      uint64
	data, tags uint64
}

// rsrcUpdate is struct io_uring_rsrc_update, which also is struct io_uring_files_update.
type rsrcUpdate struct {
	offset, resv uint32
	data         uint64
}

// rsrcUpdate2 is struct io_uring_rsrc_update2.
type rsrcUpdate2 struct {
	offset, resv uint32
	data, tags   uint64
	nr, resv2    uint32
}

// syncCancelReg is struct io_uring_sync_cancel_reg.
type syncCancelReg struct {
	addr    uint64
	fd      int32
	flags   uint32
	timeout kernelTimespec
	opcode  uint8
	pad     [7]uint8
	pad2    [3]uint64
}

// probeOp is struct io_uring_probe_op.
type probeOp struct {
	op, resv uint8
	flags    uint16
	resv2    uint32
}

// probeReg is struct io_uring_probe with room for every opcode.
type probeReg struct {
	lastOp, opsLen uint8
	resv           uint16
	resv2          [3]uint32
	ops            [probeOps]probeOp
}

const sqeSize = 64

// The sizes are part of the ABI: a wrong one does not compile.
var (
	_ [sqeSize]byte         = [unsafe.Sizeof(SQE{})]byte{}
	_ [16]byte              = [unsafe.Sizeof(CQE{})]byte{}
	_ [40]byte              = [unsafe.Sizeof(sqOffsets{})]byte{}
	_ [40]byte              = [unsafe.Sizeof(cqOffsets{})]byte{}
	_ [120]byte             = [unsafe.Sizeof(params{})]byte{}
	_ [16]byte              = [unsafe.Sizeof(kernelTimespec{})]byte{}
	_ [24]byte              = [unsafe.Sizeof(getEventsArg{})]byte{}
	_ [32]byte              = [unsafe.Sizeof(rsrcRegister{})]byte{}
	_ [16]byte              = [unsafe.Sizeof(rsrcUpdate{})]byte{}
	_ [32]byte              = [unsafe.Sizeof(rsrcUpdate2{})]byte{}
	_ [64]byte              = [unsafe.Sizeof(syncCancelReg{})]byte{}
	_ [8]byte               = [unsafe.Sizeof(probeOp{})]byte{}
	_ [16 + 8*probeOps]byte = [unsafe.Sizeof(probeReg{})]byte{}
)
