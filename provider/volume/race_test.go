//go:build race

package volume

// raceDetector says that this test has the race detector, which makes large
// copies forty times as slow.
const raceDetector = true
