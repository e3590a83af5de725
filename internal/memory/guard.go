package memory

import (
	"runtime"
	"runtime/debug"
	"unsafe"
)

// CopyGuarded copies min(len(dst), len(src)) bytes as copy does, except that a
// fault on either side becomes a [*FaultError], whose Off is -1, instead of
// the end of the process. It costs some nanoseconds over copy and allocates
// only when it fails. Any number of goroutines may call it.
//
// Without an error, n is the number of bytes copied. With one, the n bytes
// before the bad page are certainly copied and the content of dst from n on is
// unspecified; n is 0 when dst and src overlap.
//
// A page that is absent but sound still stalls the thread, and with it the
// scheduler slot, while the kernel fetches it: call [Mapping.Touch] first.
func CopyGuarded(dst, src []byte) (n int, err error) {
	n, fault, ok := tryCopy(dst, src)
	if ok {
		return n, nil
	}
	return salvage(dst, src, fault)
}

// Guard runs f and returns a [*FaultError], with Off -1, when f accessed
// mapped memory that faults; f is then abandoned where it stood, its deferred
// calls run. Other panics of f pass through, nil dereferences among them. One
// Guard around a batch of copies costs less than CopyGuarded for each; it
// allocates nothing when f's captured variables do not escape otherwise.
func Guard(f func()) (err error) {
	ok := false
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if ok {
			return
		}
		if addr, is := faultAddress(recover()); is {
			err = &FaultError{Addr: addr, Off: -1, Err: errPageFault}
		}
	}()
	f()
	ok = true
	return nil
}

// tryCopy copies, and returns the address where that faulted when not ok.
func tryCopy(dst, src []byte) (n int, fault uintptr, ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			fault, _ = faultAddress(recover())
		}
	}()
	n = copy(dst, src)
	ok = true
	return n, 0, ok
}

// faultAddress returns the address in a recovered memory fault. It panics
// again with any other value, and reports false for nil, which is what
// runtime.Goexit leaves.
func faultAddress(recovered any) (uintptr, bool) {
	if recovered == nil {
		return 0, false
	}
	if fault, is := recovered.(interface {
		runtime.Error
		Addr() uintptr
	}); is {
		return fault.Addr(), true
	}
	panic(recovered)
}

// salvage copies again what lies before the page of fault, and before an
// earlier bad page where that copy meets one: copy may move the end of a range
// before its start, so the first address that faults need not be the lowest.
func salvage(dst, src []byte, fault uintptr) (int, error) {
	n := min(len(dst), len(src))
	dst, src = dst[:n], src[:n]
	to, from := address(dst), address(src)
	if to-from < uintptr(n) || from-to < uintptr(n) {
		return 0, &FaultError{Addr: fault, Off: -1, Err: errPageFault}
	}
	for {
		base := from
		if fault-base >= uintptr(n) {
			base = to
		}
		if fault-base >= uintptr(n) {
			return 0, &FaultError{Addr: fault, Off: -1, Err: errPageFault}
		}
		page := fault &^ uintptr(pageSize-1)
		n = int(max(page, base) - base) // less than before, so the loop ends
		if _, earlier, ok := tryCopy(dst[:n], src[:n]); !ok {
			fault = earlier
			continue
		}
		return n, &FaultError{Addr: base + uintptr(n), Off: -1, Err: errPageFault}
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
