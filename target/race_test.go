//go:build race

package target

// raceDetector says that the race detector is on, whose runtime allocates.
const raceDetector = true
