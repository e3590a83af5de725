// Package uniotest checks that a device keeps the promises of package unio.
//
// [Run] is one suite for every device: a provider's test opens its device and
// calls it, a wrapping device's test does the same over what it wraps.
//
//	func TestDevice(t *testing.T) {
//		uniotest.Run(t, uniotest.Config{
//			Open: func(t testing.TB) *unio.Device { … },
//		})
//	}
//
// Each promise is a subtest of its own, so that one can be run alone with
// -run. Histories are random; the seed is printed, and -uniotest.seed (or
// UNIOTEST_SEED in the environment) repeats it as far as scheduling allows.
// -uniotest.n (or UNIOTEST_N) scales the work, in percent.
//
// [RunPeers] does for connections what Run does for devices: messages, and
// memory that one side exposes to the other.
//
// [RAMDisk] is a slow, reordering block device in memory, for tests of what is
// above a device, and [Pair] two such devices that are each other's peer. Packages faults and crash have devices around devices: one
// injects failures, the other keeps what a power cut would leave.
package uniotest
