//go:build linux

package uring

import (
	"testing"
	"unsafe"
)

// TestLayout holds the offsets of include/uapi/linux/io_uring.h; the sizes are held by the compiler.
func TestLayout(t *testing.T) {
	var (
		e   SQE
		c   CQE
		p   params
		sq  sqOffsets
		cq  cqOffsets
		arg getEventsArg
		reg rsrcRegister
		up  rsrcUpdate
		up2 rsrcUpdate2
		sc  syncCancelReg
		op  probeOp
		pr  probeReg
	)
	for _, f := range []struct {
		name      string
		got, want uintptr
	}{
		{"sizeof sqe", unsafe.Sizeof(e), 64},
		{"sqe.opcode", unsafe.Offsetof(e.opcode), 0},
		{"sqe.flags", unsafe.Offsetof(e.flags), 1},
		{"sqe.ioprio", unsafe.Offsetof(e.ioprio), 2},
		{"sqe.fd", unsafe.Offsetof(e.fd), 4},
		{"sqe.off", unsafe.Offsetof(e.off), 8},
		{"sqe.addr", unsafe.Offsetof(e.addr), 16},
		{"sqe.len", unsafe.Offsetof(e.len), 24},
		{"sqe.rw_flags", unsafe.Offsetof(e.opFlags), 28},
		{"sqe.user_data", unsafe.Offsetof(e.userData), 32},
		{"sqe.buf_index", unsafe.Offsetof(e.bufIndex), 40},
		{"sqe.personality", unsafe.Offsetof(e.personality), 42},
		{"sqe.file_index", unsafe.Offsetof(e.fileIndex), 44},
		{"sqe.addr3", unsafe.Offsetof(e.addr3), 48},
		{"sizeof cqe", unsafe.Sizeof(c), 16},
		{"cqe.user_data", unsafe.Offsetof(c.UserData), 0},
		{"cqe.res", unsafe.Offsetof(c.Res), 8},
		{"cqe.flags", unsafe.Offsetof(c.Flags), 12},
		{"sizeof params", unsafe.Sizeof(p), 120},
		{"params.sq_entries", unsafe.Offsetof(p.sqEntries), 0},
		{"params.cq_entries", unsafe.Offsetof(p.cqEntries), 4},
		{"params.flags", unsafe.Offsetof(p.flags), 8},
		{"params.sq_thread_cpu", unsafe.Offsetof(p.sqThreadCPU), 12},
		{"params.sq_thread_idle", unsafe.Offsetof(p.sqThreadIdle), 16},
		{"params.features", unsafe.Offsetof(p.features), 20},
		{"params.wq_fd", unsafe.Offsetof(p.wqFD), 24},
		{"params.resv", unsafe.Offsetof(p.resv), 28},
		{"params.sq_off", unsafe.Offsetof(p.sqOff), 40},
		{"params.cq_off", unsafe.Offsetof(p.cqOff), 80},
		{"sizeof sq_off", unsafe.Sizeof(sq), 40},
		{"sq_off.head", unsafe.Offsetof(sq.head), 0},
		{"sq_off.tail", unsafe.Offsetof(sq.tail), 4},
		{"sq_off.ring_mask", unsafe.Offsetof(sq.ringMask), 8},
		{"sq_off.ring_entries", unsafe.Offsetof(sq.ringEntries), 12},
		{"sq_off.flags", unsafe.Offsetof(sq.flags), 16},
		{"sq_off.dropped", unsafe.Offsetof(sq.dropped), 20},
		{"sq_off.array", unsafe.Offsetof(sq.array), 24},
		{"sq_off.user_addr", unsafe.Offsetof(sq.userAddr), 32},
		{"sizeof cq_off", unsafe.Sizeof(cq), 40},
		{"cq_off.head", unsafe.Offsetof(cq.head), 0},
		{"cq_off.tail", unsafe.Offsetof(cq.tail), 4},
		{"cq_off.ring_mask", unsafe.Offsetof(cq.ringMask), 8},
		{"cq_off.ring_entries", unsafe.Offsetof(cq.ringEntries), 12},
		{"cq_off.overflow", unsafe.Offsetof(cq.overflow), 16},
		{"cq_off.cqes", unsafe.Offsetof(cq.cqes), 20},
		{"cq_off.flags", unsafe.Offsetof(cq.flags), 24},
		{"cq_off.user_addr", unsafe.Offsetof(cq.userAddr), 32},
		{"sizeof getevents_arg", unsafe.Sizeof(arg), 24},
		{"getevents_arg.sigmask_sz", unsafe.Offsetof(arg.sigmaskSize), 8},
		{"getevents_arg.ts", unsafe.Offsetof(arg.ts), 16},
		{"sizeof rsrc_register", unsafe.Sizeof(reg), 32},
		{"rsrc_register.flags", unsafe.Offsetof(reg.flags), 4},
		{"rsrc_register.data", unsafe.Offsetof(reg.data), 16},
		{"rsrc_register.tags", unsafe.Offsetof(reg.tags), 24},
		{"sizeof rsrc_update", unsafe.Sizeof(up), 16},
		{"rsrc_update.data", unsafe.Offsetof(up.data), 8},
		{"sizeof rsrc_update2", unsafe.Sizeof(up2), 32},
		{"rsrc_update2.data", unsafe.Offsetof(up2.data), 8},
		{"rsrc_update2.tags", unsafe.Offsetof(up2.tags), 16},
		{"rsrc_update2.nr", unsafe.Offsetof(up2.nr), 24},
		{"sizeof sync_cancel_reg", unsafe.Sizeof(sc), 64},
		{"sync_cancel_reg.fd", unsafe.Offsetof(sc.fd), 8},
		{"sync_cancel_reg.flags", unsafe.Offsetof(sc.flags), 12},
		{"sync_cancel_reg.timeout", unsafe.Offsetof(sc.timeout), 16},
		{"sync_cancel_reg.opcode", unsafe.Offsetof(sc.opcode), 32},
		{"sizeof probe_op", unsafe.Sizeof(op), 8},
		{"probe_op.flags", unsafe.Offsetof(op.flags), 2},
		{"probe.ops_len", unsafe.Offsetof(pr.opsLen), 1},
		{"probe.ops", unsafe.Offsetof(pr.ops), 16},
	} {
		if f.got != f.want {
			t.Errorf("%s is %d, want %d", f.name, f.got, f.want)
		}
	}
}
