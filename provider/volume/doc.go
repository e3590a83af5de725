// Package volume is the provider of named volumes: a pool of devices, of any
// provider, cut into extents, and regions made of them that are sparse, grow,
// shrink, and take no more space than was written to.
//
//	pool, err := volume.Create(ctx, volume.Config{
//		Members: []volume.Member{{Device: disk}},
//		Path:    "/var/lib/unio/pool.catalogue",
//	})
//	err = pool.CreateVolume(ctx, "db", volume.VolumeConfig{Size: 1 << 40})
//	reg, err := pool.Attach(ctx, "db", unio.ReadWrite) // a pool is a unio.Device
//
// The layout of the members and of the catalogue is in docs/format.md.
//
// # Requests
//
// A channel of a pool has a channel of each member. A request is translated
// page by page, a page being the part of a volume that one extent holds, and
// passed on with the caller's own memory; adjacent extents make one request.
// The translations in use are in a bounded table ([Config.Entries]) that is
// read without a lock. What is not there, is not writable as it is, or has to
// wait for another request, is a storage fault: the request is handed to the
// pool's one goroutine, the keeper, which resolves it and gives it back.
//
// # What survives
//
// The promises are those of package unio, on members that keep them. A volume
// shows zeroes until it is written: an extent is zeroed, durably, before the
// catalogue gives it to a volume, and it is free only when the catalogue has
// durably taken it away.
//
// WriteAtomic and Append go through a log: their bytes are written there with
// one checksum and flushed, one flush for all that are waiting, and then
// written to their places. They are durable when they complete, also without
// Durable. What is logged has its places to itself until the log is emptied:
// an ordinary write of the same page costs a flush first.
//
// A scratch volume is in memory but for its bytes: its flushes do nothing, and
// it is empty when the pool is opened again.
//
// # Checksums
//
// Each 4 KiB have a CRC32C, checked by every read. They are kept in memory
// while an extent is written to and stored when it is at rest; an extent is
// marked as dirty, durably, before the first write after that. After a crash
// the checksums of dirty extents are computed anew, so a write that was in
// flight raises no alarm; a bit that flips in one between its last write and
// the crash is not noticed. Memory that a request writes from must not be
// changed while the request is in flight, or its checksum is wrong.
package volume
