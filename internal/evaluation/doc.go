// Package evaluation measures unio on the machine that it runs on, and tries
// what it claims: the engine behind unio bench --report.
//
// It has two parts. A [Way] is one program over one way to bytes: a file,
// mapped memory, the same through a target, messages between peers; only the
// URL differs. A [Check] is a claim, and what was done to see whether it holds.
// No answer is written down beforehand: what could not be tried says why.
//
// Targets and peers of the measurements are processes of their own, so that
// what each end costs is known. All files are in a directory of the run's own,
// which is removed at its end.
package evaluation
