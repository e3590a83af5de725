package uniotest

import (
	"errors"
	"time"

	"github.com/unio-stack/unio"
)

// checkErrors: the device remembers its last failures, with their time, and
// not without limit.
func checkErrors(r *rig) {
	ch := r.channel(unio.ChannelConfig{})
	began := time.Now()
	for i := range int64(3) {
		_, _ = ch.Post(unio.Request{Op: unio.OpRead, Region: r.reg, Offset: -1 - i, Data: make([]byte, 8)})
	}
	last := r.dev.Errors()
	if len(last) < 3 {
		r.Fatalf("the device remembers %d failures, want 3", len(last))
	}
	for i, rec := range last[len(last)-3:] {
		var oe *unio.OpError
		if !errors.As(rec.Err, &oe) || !errors.Is(rec.Err, unio.ErrOutOfRange) || oe.Offset != -1-int64(i) {
			r.Errorf("failure %d is remembered as %v", i, rec.Err)
		}
		if rec.Time.Before(began) || rec.Time.After(time.Now()) {
			r.Errorf("failure %d is remembered as of %v, but it is after %v", i, rec.Time, began)
		}
	}
	const many = 5000
	for i := range int64(many) {
		_, _ = ch.Post(unio.Request{Op: unio.OpRead, Region: r.reg, Offset: -1 - i, Data: make([]byte, 8)})
	}
	all := r.dev.Errors()
	if n := len(all); n < 8 || n >= many {
		r.Errorf("after %d failures the device remembers %d", many, n)
	}
	var oe *unio.OpError
	if errors.As(all[len(all)-1].Err, &oe); oe == nil || oe.Offset != -many {
		r.Errorf("the last failure remembered is %v, not the last one", all[len(all)-1].Err)
	}
}
