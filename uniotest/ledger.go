package uniotest

import (
	"bytes"
	"fmt"
)

// A ledger knows, for every unit that a crash does not tear, what it may hold
// after one: the version known to be durable, or any later one.
type ledger struct {
	unit  int
	units []versions
	now   model // with everything posted applied
}

// versions is what one unit has held and may hold, oldest first.
type versions struct {
	all     [][]byte
	done    int // the versions up to this one have completed
	durable int // this version, or a later one, survives a crash
}

// A mark names one version of every unit: what a flush makes durable.
type mark []int

// newLedger starts from what is durable at first.
func newLedger(unit int, start []byte) *ledger {
	l := &ledger{unit: unit, now: bytes.Clone(start), units: make([]versions, len(start)/unit)}
	for i := range l.units {
		l.units[i].all = [][]byte{l.current(i)}
	}
	return l
}

func (l *ledger) current(i int) []byte { return bytes.Clone(l.now[i*l.unit : (i+1)*l.unit]) }

// touched returns the units that lie in s, at least in part.
func (l *ledger) touched(s span) []versions {
	return l.units[int(s.off)/l.unit : int(s.end-1)/l.unit+1]
}

// post notes that l.now has changed in s: a crash may keep the new version.
func (l *ledger) post(s span) {
	first := int(s.off) / l.unit
	for i := range l.touched(s) {
		u := &l.units[first+i]
		u.all = append(u.all, l.current(first+i))
	}
}

// complete notes that the latest mutation of s has completed.
func (l *ledger) complete(s span) {
	units := l.touched(s)
	for i := range units {
		units[i].done = len(units[i].all) - 1
	}
}

// settle notes that the latest mutation of s has completed and is durable.
func (l *ledger) settle(s span) {
	l.complete(s)
	units := l.touched(s)
	for i := range units {
		units[i].durable = units[i].done
	}
}

// completed marks what has completed.
func (l *ledger) completed() mark {
	m := make(mark, len(l.units))
	for i, u := range l.units {
		m[i] = u.done
	}
	return m
}

// posted marks everything there is.
func (l *ledger) posted() mark {
	m := make(mark, len(l.units))
	for i, u := range l.units {
		m[i] = len(u.all) - 1
	}
	return m
}

// flushed notes that what m marks has become durable.
func (l *ledger) flushed(m mark) {
	for i := range l.units {
		l.units[i].durable = max(l.units[i].durable, m[i])
	}
}

// judge says what is wrong with what a crash has left.
func (l *ledger) judge(image []byte) error {
	for i, u := range l.units {
		got := image[i*l.unit : (i+1)*l.unit]
		switch {
		case among(u.all[u.durable:], got):
		case among(u.all[:u.durable], got):
			return fmt.Errorf("bytes %d to %d are older than what was made durable, which is lost", i*l.unit, (i+1)*l.unit)
		default:
			return fmt.Errorf("bytes %d to %d are none of the %d versions written: torn, or never written", i*l.unit, (i+1)*l.unit, len(u.all))
		}
	}
	return nil
}

func among(versions [][]byte, got []byte) bool {
	for _, v := range versions {
		if bytes.Equal(v, got) {
			return true
		}
	}
	return false
}
