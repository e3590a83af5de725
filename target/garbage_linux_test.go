package target

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/rdma"
)

var garbageTime = flag.Duration("garbage", 3*time.Second, "how long TestGarbage sends garbage")

// Random octets, what Linux's own stack has said in captures, and what a client of ours says, all of them changed in
// all kinds of ways, come to the port: nothing breaks, nothing is left of it, and no byte changes on the disk, to which they may
// only read. A client that does right is served all the time.
func TestGarbage(t *testing.T) {
	path := t.TempDir()
	disk := fileDevice(t, path, file.Config{})
	image := bytes.Repeat([]byte("as it was "), regionSize/10+1)[:regionSize]
	if err := os.WriteFile(filepath.Join(path, "disk"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	tg, addr := served(t, Config{
		Exports: []Export{
			{Name: "disk", Device: disk, ReadOnly: true},
			{Name: "scratch", Device: memoryDevice(t, regionSize)},
			{Name: "the name of this one is not in any recording", Device: disk},
		},
		VerbsDefault: "disk", RDMA: rdma.Config{HandshakeTimeout: 100 * time.Millisecond, KeepAlive: time.Second},
	})
	recorded := append(captured(t), recordSession(t, addr))
	good := dial(t, addr, "scratch", rdma.Config{})
	send(addr, recorded[len(recorded)-1]) // what is there once in any case is there now
	wait(t, func() bool { return tg.Stats().Connections == 1 })
	files, heap, goroutines := openFiles(t), heapInUse(), runtime.NumGoroutine()

	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	var sent atomic.Int64
	end := time.Now().Add(*garbageTime)
	var all sync.WaitGroup
	for i := range uint64(6) {
		all.Go(func() {
			for rng := rand.New(rand.NewPCG(seed, i)); time.Now().Before(end); sent.Add(1) {
				send(addr, spoil(rng, recorded))
			}
		})
	}
	for time.Now().Before(end) {
		good.transfer(0, 64<<10, 4096)
	}
	all.Wait()
	wait(t, func() bool { s := tg.Stats(); return s.Connections == 1 && s.Exports[0].MemoryInUse == 0 })
	s := tg.Stats()
	t.Logf("%d streams, %d connections, of which %d were rejected", sent.Load(), s.Admitted, s.Rejected)
	if s.Admitted < 10 {
		t.Errorf("only %d got as far as being a connection", s.Admitted)
	}
	// a lane or a watcher may have come meanwhile
	for end := time.Now().Add(patience / 2); openFiles(t) > files+4 || runtime.NumGoroutine() > goroutines+4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			all := make([]byte, 1<<16)
			t.Fatalf("%d descriptors and %d goroutines, before it were %d and %d:\n%s",
				openFiles(t), runtime.NumGoroutine(), files, goroutines, all[:runtime.Stack(all, true)])
		}
	}
	if grown := heapInUse() - heap; grown > 8<<20 {
		t.Errorf("%d bytes of heap are in use that were not", grown)
	}
	if now, err := os.ReadFile(filepath.Join(path, "disk")); err != nil || !bytes.Equal(now, image) {
		t.Errorf("the disk is not as it was (%v)", err)
	}
}

// send says all of it, and listens until the other end has had enough, or for a little while.
func send(addr string, stream []byte) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(150 * time.Millisecond))
	if _, err := c.Write(stream); err == nil && len(stream)%2 == 0 {
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}
}

// spoil returns a recording that is no longer right, or something that never was.
func spoil(rng *rand.Rand, recorded [][]byte) []byte {
	b := bytes.Clone(recorded[rng.IntN(len(recorded))])
	if rng.IntN(3) == 0 {
		b = bytes.Clone(recorded[len(recorded)-1]) // ours, which gets furthest
	}
	first := 0
	if rng.IntN(2) == 0 { // what sets up the connection stays
		first = min(100, len(b)/2)
	}
	for range 1 + rng.IntN(4) {
		first = min(first, len(b)-1)
		at := first + rng.IntN(len(b)+1-first)
		switch rng.IntN(6) {
		case 0:
			b = b[:max(at, 1)]
		case 1:
			b = append(b[:at:at], append(make([]byte, rng.IntN(64)), b[at:]...)...)
		case 2:
			o := recorded[rng.IntN(len(recorded))]
			b = append(b[:at:at], o[rng.IntN(len(o)):]...)
		case 3:
			for i := range b[at:min(at+8, len(b))] {
				b[at+i] = byte(rng.Uint32())
			}
		default:
			b[first+rng.IntN(len(b)-first)] ^= 1 << rng.IntN(8)
		}
	}
	if rng.IntN(16) == 0 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	return b
}

// recordSession returns what a client of ours says who does everything to the disk, also what it may not.
func recordSession(t *testing.T, addr string) []byte {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var said bytes.Buffer
	var relay sync.WaitGroup
	relay.Go(func() {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			_ = from.Close()
			return
		}
		relay.Go(func() { _, _ = io.Copy(from, to) })
		_, _ = io.Copy(io.MultiWriter(to, &said), from)
		_, _ = from.Close(), to.Close()
	})
	dev, err := rdma.OpenRegion(context.Background(), l.Addr().String(), "disk", false, rdma.Config{CRC: rdma.CRCOff})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := dev.Attach(t.Context(), "", unio.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []unio.Request{
		{Op: unio.OpRead, Region: reg, Data: make([]byte, 4096)},
		{Op: unio.OpFlush, Region: reg},
		{Op: unio.OpRead, Region: reg, Offset: 1 << 20, Data: make([]byte, 100_000)},
	} {
		if err := ch.Do(t.Context(), q); err != nil {
			t.Log(q.Op, err)
		}
	}
	_ = dev.Close()
	relay.Wait()
	return said.Bytes()
}

// captured returns what either side says in the captures, in the order in which it came.
func captured(t *testing.T) (streams [][]byte) {
	names, err := filepath.Glob("../internal/iwarp/testdata/captures/*.pcap")
	if err != nil || len(names) == 0 {
		t.Fatal("no captures: ", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		flows := map[[4]byte][]byte{}
		for b = b[24:]; len(b) >= 16; {
			n := int(binary.LittleEndian.Uint32(b[8:]))
			p := b[16 : 16+n]
			b = b[16+n:]
			if len(p) < 54 || p[12] != 8 || p[23] != 6 { // Ethernet, IPv4, TCP
				continue
			}
			tcp := p[14 : 14+int(binary.BigEndian.Uint16(p[16:]))][int(p[14]&15)*4:]
			ports := [4]byte(tcp[:4])
			flows[ports] = append(flows[ports], tcp[int(tcp[12]>>4)*4:]...)
		}
		for _, s := range flows {
			if len(s) > 0 {
				streams = append(streams, s[:min(len(s), 16<<10)])
			}
		}
	}
	return streams
}
