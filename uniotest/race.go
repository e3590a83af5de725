//go:build race

package uniotest

// raceDetector says that the race detector is on, whose runtime allocates.
const raceDetector = true
