// Package crash is a device around a device that knows what a power cut would
// leave of it.
//
// [Wrap] passes requests on to the inner device and keeps what is not yet
// durable. [Device.Image] makes, at any moment, a medium as a power cut at that
// moment might leave it: everything that was flushed or written with Durable,
// and of the rest a random part. Each atomic unit of it has the last durable
// version or any later one, in one piece; units are independent of each other,
// as in a disk that writes its cache back in any order.
//
// [Config.OnPoint] is called after every mutation and flush, so that a test
// can try each crash point of a history.
//
// A crash device is for tests: it copies every payload, keeps the whole region
// in memory, and lets only one mutation of an atomic unit into the inner
// device at a time.
package crash
