package main

import "time"

// A lineLimit bounds how many lines are logged about peers that are not let in, of which there may be any number: so many in
// each period, which begins with the first. The others are counted. The zero value is ready for use.
type lineLimit struct {
	until time.Time // when the period is over
	lines int       // in it
	left  int64     // and how many were left out
}

const (
	limitPeriod = 10 * time.Second
	limitLines  = 20
)

// allows reports whether a line may be logged. What over reports is to be logged before.
func (l *lineLimit) allows(now time.Time) bool {
	if !now.Before(l.until) {
		*l = lineLimit{until: now.Add(limitPeriod)}
	}
	if l.lines == limitLines {
		l.left++
		return false
	}
	l.lines++
	return true
}

// over returns how many lines were left out in a period that is over, once. A zero time is after all periods.
func (l *lineLimit) over(now time.Time) (left int64) {
	if now.IsZero() || !now.Before(l.until) {
		left, l.left = l.left, 0
	}
	return left
}
