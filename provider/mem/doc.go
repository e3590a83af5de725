// Package mem is the provider of mapped memory: DRAM ([Open], URL scheme
// "mem") and files or DAX devices in the address space ([OpenFile], "dax").
//
// Operations are carried out by the goroutine that posts them and end inside
// Post: there is nothing to wait for, to cancel or to be woken by. Each is
// checked against the memory's residency first, so that a page that has to be
// fetched is fetched in a system call, which other goroutines do not notice,
// and then done by the processor under a guard, so that a fault becomes an
// error of its request ([unio.ErrMedia]) and not the end of the process.
//
// # Words
//
// Memory is read and written by aligned 8-byte words, each exactly once and
// whole, whatever the alignment of the request; a part of a word is merged into
// it atomically. So CompareSwap and FetchAdd, which are the processor's own,
// are linearizable also with reads and writes that cover their word, and
// with other processes that map the same file. A range longer than a word is
// not read or written as a whole. Words are little-endian.
//
// # Durability
//
// On a synchronous mapping (MAP_SYNC, which DAX file systems and devices
// give) Flush and Durable write back processor caches and need no system call;
// elsewhere they are msync, and block the goroutine that posts them for as
// long as the storage takes. Close does not flush.
package mem
