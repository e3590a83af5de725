package rdma

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
)

// A Service is what a Listener gives a connection whose peer asks for storage: a region, and the rights to it.
type Service struct {
	Store  Store
	Rights unio.Rights
	// Info is what a peer of ours learns of the device behind the region.
	Info StoreInfo
	// Memory is how many bytes of borrowed memory the connection uses at most; default 16 MiB, at least 1 MiB.
	Memory int
	// Closed is called once the connection has ended and nothing of it uses the Store any more. It may be nil.
	Closed func()

	mu       sync.Mutex
	exposure *Exposure  // guarded by mu; nil until the peer has been told of it, and after Revoke
	conn     *queuePair // guarded by mu; nil until the connection works
	revoked  bool       // guarded by mu
	gone     bool       // Disconnect was called; guarded by mu
}

// StoreInfo describes the device behind a region. See [unio.Info].
type StoreInfo struct {
	Ops         unio.OpSet
	AtomicUnit  int
	Persistence unio.Persistence
}

// A Store is a region that is served. Its methods may be called from any goroutine, by many connections at a time, and do
// not wait.
type Store interface {
	// Size returns the region's length in bytes.
	Size() int64
	// Memory returns the region's own memory, if it is plain memory ([unio.Region.Memory]): peers then read and write it, and
	// Start is called for commands only. Otherwise nil.
	Memory() []byte
	// Borrow returns n bytes of memory, at most [MaxBorrow], that begin at a page; or nil when there is none, and then calls
	// w.Resume, later and from another goroutine, when there may be. A connection's lock is held meanwhile, and during Return.
	// After it has returned some of its own, a connection tries again by itself.
	Borrow(n int, w Waiter) []byte
	// Return takes borrowed memory back. It calls no Resume.
	Return(p []byte)
	// Start begins operations. Each ends by Finish, inside Start or later, in any order; until then its memory is the Store's.
	Start(batch []*IO)
	// Poll finishes what has ended, as far as that can be seen without waiting for it, and reports whether anything had. It is
	// called again and again for a little while after something has happened.
	Poll() bool
}

// MaxBorrow is how many bytes are borrowed at most at a time, in one piece.
const MaxBorrow = 64 << 10

// A Waiter waits for memory. Resume may be called from any goroutine that holds no lock which Borrow, Return or Start take.
type Waiter interface{ Resume() }

// An IO is one operation on a Store. The Store sets the results and hands it to [Finish]; it keeps no reference afterwards.
type IO struct {
	Op             unio.Opcode
	Offset, Length int64    // bytes; within the region
	Data           [][]byte // borrowed memory, Length bytes in all, of a Read or Write
	Compare, Swap  uint64   // of atomics, as in [unio.Request]

	Value uint64 // the old value, of an atomic
	Err   error  // wraps a cause of package unio; an [unio.OpError] may say more

	conn   *queuePair
	number uint32 // of the Write message it is part of
	tag    uint16 // of the command
	done   bool   // guarded by conn.mu
}

// Finish ends operations that a Store was to carry out. What lies next to each other in the batch and is of one connection is
// answered with one write.
func Finish(batch []*IO) {
	for len(batch) > 0 {
		q, n := batch[0].conn, 1
		for n < len(batch) && batch[n].conn == q {
			n++
		}
		q.finish(batch[:n])
		batch = batch[n:]
	}
}

// Revoke ends the access: what the peer asks for afterwards fails, and nothing touches the Store's own memory any more. What
// was handed to Start is the Store's to end.
func (s *Service) Revoke() {
	s.mu.Lock()
	e := s.exposure
	s.exposure, s.revoked = nil, true
	s.mu.Unlock()
	if e != nil {
		_ = e.Revoke() // never fails
	}
}

// Disconnect ends the connection, as [Conn.Close] does; it does not wait for Closed.
func (s *Service) Disconnect() {
	s.mu.Lock()
	q := s.conn
	s.gone = true
	s.mu.Unlock()
	if q != nil {
		_ = q.Close() // never fails
	}
}

// adopt remembers the connection.
func (s *Service) adopt(q *queuePair) {
	s.mu.Lock()
	s.conn = q
	gone := s.gone
	s.mu.Unlock()
	if gone {
		_ = q.Close() // never fails
	}
}

// grant remembers what the peer was told of.
func (s *Service) grant(e *Exposure) {
	s.mu.Lock()
	late := s.revoked
	s.exposure = e
	s.mu.Unlock()
	if late {
		e.withdraw()
	}
}

// storeInfoSize is how many octets tell a peer of a StoreInfo.
const storeInfoSize = 20

// append adds to b what a peer of ours learns.
func (i *StoreInfo) append(b []byte, rights unio.Rights, instance uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(i.Ops))
	b = binary.BigEndian.AppendUint32(b, uint32(i.AtomicUnit))
	b = append(b, byte(i.Persistence), byte(rights), 0, 0)
	return binary.BigEndian.AppendUint64(b, instance)
}

// parse reads what append has written.
func (i *StoreInfo) parse(b []byte) (rights unio.Rights, instance uint64, err error) {
	if len(b) < storeInfoSize {
		return 0, 0, fmt.Errorf("%w: the target's reply is too short", unio.ErrInvalid)
	}
	i.Ops = unio.OpSet(binary.BigEndian.Uint32(b)) & unio.AllOps
	i.AtomicUnit = int(binary.BigEndian.Uint32(b[4:]))
	i.Persistence = unio.Persistence(b[8])
	return unio.Rights(b[9]), binary.BigEndian.Uint64(b[12:]), nil
}
