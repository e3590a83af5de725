//go:build kernel

package rdma_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/provider/rdma/kernelpeer"
)

// TestKernel talks to Linux's own iWARP, siw, in a guest. Its parts run one after the other, since siw's parameters hold
// for all of it.
func TestKernel(t *testing.T) {
	k := &kernel{kernelpeer.Start(t, "kernelpeer")}
	for _, part := range []struct {
		name string
		test func(*testing.T, *kernel)
	}{
		{"client", kernelClient},
		{"client learns of memory of its own, and invalidates it", kernelClientInvalidates},
		{"server", kernelServer},
		{"server invalidates", kernelServerInvalidates},
		{"both sides at once", kernelBothSides},
		{"rping as client", kernelRpingClient},
		{"rping as server", kernelRpingServer},
		{"server that speaks first", kernelUcmatose},
		{"CRC", kernelCRC},
		{"refused", kernelRefused},
		{"client's violations", kernelClientViolates},
		{"our violations", kernelWeViolate},
		{"revision 1", kernelRevision1},
		{"peer to peer", kernelPeerToPeer},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, k) })
	}
	// bits 7 and 9: the kernel had an oops, or a warning
	k.Run(t, "[ $(($(cat /proc/sys/kernel/tainted) & 640)) = 0 ] || { dmesg; exit 1; }")
}

// ------------------------------------------------------------------------------------------------ the parts

// A client in the guest writes and reads our memory, and sends; both sides compare what came.
func kernelClient(t *testing.T, k *kernel) {
	s := k.listen(t, rdma.Config{})
	guest := k.Start(t, "kpverbs client -a %s -p %d write:4096@100 write:70000@9000 write:1 read:200000@3 recv send:100 send-se:0 send:60000 write:0 read:0 recv",
		kernelpeer.Host, s.port)
	conn := s.accept(t)
	if p := conn.Peer(); p.Unio || p.Revision != 2 {
		t.Errorf("peer: %+v", p)
	}
	got := make([][]byte, 3)
	for i := range got {
		got[i] = make([]byte, 64<<10)
		k.post(t, conn, unio.Request{ID: uint64(i), Op: unio.OpRecv, Data: got[i]})
	}
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: []byte("go")})
	for i, want := range []struct {
		message []byte
		flags   unio.Flags
	}{{kernelPattern(100, 6), 0}, {nil, unio.Solicited}, {kernelPattern(60000, 8), 0}} {
		c := k.wait(t, conn)
		if c.ID != uint64(i) || c.Flags != want.flags || !bytes.Equal(got[i][:c.N], want.message) {
			t.Errorf("message %d: %d bytes, flags %v, fnv %s; want %d, %v, %s", i, c.N, c.Flags, kernelSum(got[i][:c.N]), len(want.message), want.flags, kernelSum(want.message))
		}
	}
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: []byte("bye")})
	out := guest.Success()

	want := kernelPattern(kernelBuffer, kernelSeed)
	copy(want[100:], kernelPattern(4096, 1))
	copy(want[9000:], kernelPattern(70000, 2))
	copy(want, kernelPattern(1, 3))
	if !bytes.Equal(s.memory, want) {
		t.Error("our memory does not have what the guest wrote")
	}
	k.contains(t, out, "read:200000@3: success fnv "+kernelSum(want[3:200003]))
	k.contains(t, out, "received 2 bytes fnv "+kernelSum([]byte("go")))
	k.contains(t, out, "received 3 bytes fnv "+kernelSum([]byte("bye")))
	k.gone(t, conn)
}

// What a client invalidates is gone for it, and nothing else is.
func kernelClientInvalidates(t *testing.T, k *kernel) {
	s := k.listen(t, rdma.Config{})
	guest := k.Start(t, "kpverbs client -a %s -p %d write:1 region write:5000 read:100@7 send-inv:3 recv send-se-inv:3 sleep:300", kernelpeer.Host, s.port)
	conn := s.accept(t)
	alone, memory := k.expose(t, conn.Expose, unio.ReadWrite)
	key, _ := alone.Key().AppendBinary(nil)
	got := make([]byte, 100)
	k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: got})
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: key})
	if c := k.wait(t, conn); c.Flags != unio.Invalidate || c.Value != uint64(alone.Key().STag) || !bytes.Equal(got[:c.N], kernelPattern(3, 5)) {
		t.Errorf("%+v, message %x", c, got[:c.N])
	}
	if !bytes.Equal(memory[:5000], kernelPattern(5000, 3)) {
		t.Error("our memory does not have what the guest wrote")
	}
	// The second time there is nothing to invalidate.
	k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: got})
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: []byte("go")})
	if err := k.wait(t, conn).Err; !errors.Is(err, unio.ErrDisconnected) {
		t.Errorf("a message that invalidates what is not there: %v", err)
	}
	if err := conn.Err(); !errors.Is(err, unio.ErrAccess) || !strings.Contains(err.Error(), "invalidate") {
		t.Error(err)
	}
	out, _ := guest.End()
	k.contains(t, out, "read:100@7: success fnv "+kernelSum(kernelPattern(5000, 3)[7:107]))
	k.contains(t, out, "send-inv:3: success")
	k.terminated(t, "layer 1, type 0, code 9") // RDMAP, remote protection error, as siw swaps them
}

// A server in the guest is written to, read, and echoes; all of it with memory in pieces too.
func kernelServer(t *testing.T, k *kernel) {
	guest, conn := k.dial(t, rdma.Config{}, "-e")
	if p := conn.Peer(); p.Unio || !p.CRC || p.Revision != 2 {
		t.Errorf("peer: %+v", p)
	}
	region := k.peerRegion(t, conn)
	want := kernelPattern(kernelBuffer, 0)

	for i, n := range []int{1, 0, 3, 1448, 5000, 65536} {
		message, back := kernelPattern(n, i), make([]byte, n+1)
		k.post(t, conn, unio.Request{Op: unio.OpRecv, Vec: kernelPieces(back)})
		k.do(t, conn, unio.Request{Op: unio.OpSend, Vec: kernelPieces(message)})
		if c := k.wait(t, conn); c.N != int64(n) || !bytes.Equal(back[:n], message) {
			t.Errorf("a message of %d bytes came back as another, of %d", n, c.N)
		}
	}
	for i, n := range []int{1, 7, 4096, 60001, 700_000} {
		data := kernelPattern(n, 40+i)
		k.do(t, conn, unio.Request{Op: unio.OpWrite, Region: region, Offset: int64(i), Vec: kernelPieces(data)})
		copy(want[i:], data)
		back := make([]byte, n+i)
		k.do(t, conn, unio.Request{Op: unio.OpRead, Region: region, Vec: kernelPieces(back)})
		if !bytes.Equal(back, want[:n+i]) {
			t.Errorf("%d bytes were read wrong", n)
		}
	}
	// more Reads than the peer lets be outstanding
	back := make([]byte, 64*1000)
	for i := range 64 {
		k.post(t, conn, unio.Request{Op: unio.OpRead, Region: region, Offset: int64(i) * 3001, Data: back[i*1000:][:1000]})
	}
	for range 64 {
		if c := k.wait(t, conn); c.Err != nil {
			t.Fatal(c.Err)
		}
	}
	for i := range 64 {
		if !bytes.Equal(back[i*1000:][:1000], want[i*3001:][:1000]) {
			t.Fatalf("Read %d is wrong", i)
		}
	}
	k.end(t, conn)
	out := guest.Success()
	k.contains(t, out, "received 65536 bytes fnv "+kernelSum(kernelPattern(65536, 5)))
	k.contains(t, out, "buffer: fnv "+kernelSum(want))
}

// A message of ours invalidates the guest's memory: it is gone afterwards.
func kernelServerInvalidates(t *testing.T, k *kernel) {
	guest, conn := k.dial(t, rdma.Config{}, "")
	region := k.peerRegion(t, conn)
	k.do(t, conn, unio.Request{Op: unio.OpWrite, Region: region, Data: kernelPattern(100, 1)})
	k.do(t, conn, unio.Request{Op: unio.OpSend, Flags: unio.Invalidate, Region: region, Data: kernelPattern(9, 2)})
	err := conn.Channel().Do(k.limited(t), unio.Request{Op: unio.OpRead, Region: region, Data: make([]byte, 10)})
	if !errors.Is(err, unio.ErrRevoked) {
		t.Errorf("Read of memory that was invalidated: %v", err)
	}
	out, _ := guest.End()
	k.contains(t, out, "received 9 bytes fnv "+kernelSum(kernelPattern(9, 2)))
}

// Both sides write, read and send at the same time. Without CRCs: when its socket's buffer has been full, siw sometimes counts the data
// of an FPDU twice in its CRC.
func kernelBothSides(t *testing.T, k *kernel) {
	d := rdma.NewDomain()
	exposure, memory := k.expose(t, d.Expose, unio.ReadWrite)
	copy(memory, kernelPattern(kernelBuffer, kernelSeed))
	key, _ := exposure.Key().AppendBinary(nil)
	guest, conn := k.dial(t, rdma.Config{Domain: d, PrivateData: key, CRC: rdma.CRCOff},
		"", "write:50000@20000*8", "read:50000@500000*8", "send:30000*8", "write:10*60", "read:33@400000*60", "send:1000*8", "recv")
	region := k.peerRegion(t, conn)
	back := make([]byte, 24*20_000)
	for i := range 24 {
		k.post(t, conn, unio.Request{ID: 1, Op: unio.OpRead, Region: region, Offset: 700_000 + int64(i), Data: back[i*20_000:][:20_000]})
		k.post(t, conn, unio.Request{ID: 2, Op: unio.OpWrite, Region: region, Offset: 800_000, Data: kernelPattern(30_000, 9)})
	}
	got := make([]byte, 16*30_000)
	for i := range 16 {
		k.post(t, conn, unio.Request{ID: 100 + uint64(i), Op: unio.OpRecv, Data: got[i*30_000:][:30_000]})
	}
	for range 24 + 24 + 16 {
		c := k.wait(t, conn)
		want := int64(30_000)
		if c.ID >= 108 {
			want = 1000
		}
		if c.Err != nil || c.ID >= 100 && c.N != want {
			t.Fatalf("%+v", c)
		}
	}
	for i := range 16 {
		want := kernelPattern(30_000, 3)
		if i >= 8 {
			want = kernelPattern(1000, 6)
		}
		if !bytes.Equal(got[i*30_000:][:len(want)], want) {
			t.Errorf("message %d is wrong", i)
		}
	}
	whole := kernelPattern(kernelBuffer, 0)
	for i := range 24 {
		if !bytes.Equal(back[i*20_000:][:20_000], whole[700_000+i:][:20_000]) {
			t.Errorf("Read %d is wrong", i)
		}
	}
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: []byte("bye")})
	guest.Line("received 3 bytes") // so that the last of its Sends is complete
	k.end(t, conn)
	out := guest.Success()
	k.contains(t, out, "read:50000@500000*8: success fnv "+kernelSum(kernelPattern(kernelBuffer, kernelSeed)[500_000:550_000]))
	k.contains(t, out, "read:33@400000*60: success fnv "+kernelSum(kernelPattern(kernelBuffer, kernelSeed)[400_000:400_033]))
	if !bytes.Equal(memory[20_000:70_000], kernelPattern(50_000, 1)) || !bytes.Equal(memory[:10], kernelPattern(10, 4)) {
		t.Error("our memory does not have what the guest wrote")
	}
}

const pings = 5

// rping's client: it names its source, we read it; it names its sink, we write what we read there; it compares.
func kernelRpingClient(t *testing.T, k *kernel) {
	s := k.listen(t, rdma.Config{})
	guest := k.Start(t, "rping -c -a %s -p %d -C %d -v -V", kernelpeer.Host, s.port, pings)
	conn := s.accept(t)
	named := make([]byte, 16)
	next := unio.Request{Op: unio.OpRecv, Data: named}
	k.post(t, conn, next)
	// turn takes a message that names memory of the peer, and is ready for the next one before it is asked for
	turn := func() *unio.Region {
		if c := k.wait(t, conn); c.Err != nil || c.N != 16 {
			t.Fatalf("%+v", c)
		}
		region := k.attach(t, conn, named)
		k.post(t, conn, next)
		return region
	}
	for i := range pings {
		source := turn()
		data := make([]byte, source.Size())
		k.do(t, conn, unio.Request{Op: unio.OpRead, Region: source, Data: data})
		if want := fmt.Sprintf("rdma-ping-%d: ", i); !bytes.HasPrefix(data, []byte(want)) {
			t.Fatalf("ping %d: %q", i, data)
		}
		k.do(t, conn, unio.Request{Op: unio.OpSend, Data: make([]byte, 16)})
		sink := turn()
		k.do(t, conn, unio.Request{Op: unio.OpWrite, Region: sink, Data: data})
		k.do(t, conn, unio.Request{Op: unio.OpSend, Data: make([]byte, 16)})
	}
	out := guest.Success()
	k.contains(t, out, fmt.Sprintf("ping data: rdma-ping-%d: ", pings-1))
	k.gone(t, conn)
}

// rping's server: the same, with our memory.
func kernelRpingServer(t *testing.T, k *kernel) {
	port, addr := k.Port(t)
	guest := k.Start(t, "rping -s -a 10.0.2.15 -p %d -C %d -v & listening %d; wait $!", port, pings, port)
	guest.Line("listening")
	conn := k.connect(t, addr, rdma.Config{})
	source, ping := k.expose(t, conn.Expose, unio.ReadOnly)
	sink, pong := k.expose(t, conn.Expose, unio.WriteOnly)
	for i := range pings {
		clear(ping[:64])
		copy(ping, fmt.Sprintf("rdma-ping-%d: from here", i))
		for _, e := range []*rdma.Exposure{source, sink} {
			answer := make([]byte, 16)
			k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: answer})
			key := e.Key()
			key.Size = 64
			named, _ := key.AppendBinary(nil)
			k.do(t, conn, unio.Request{Op: unio.OpSend, Data: named[:16]})
			if c := k.wait(t, conn); c.Err != nil || c.N != 16 {
				t.Fatalf("%+v", c)
			}
		}
		if text := ping[:bytes.IndexByte(ping, 0)]; !bytes.HasPrefix(pong, text) {
			t.Fatalf("ping %q came back as %q", text, pong[:64])
		}
	}
	k.end(t, conn)
	out, _ := guest.End() // its status is about the client's leaving
	k.contains(t, out, fmt.Sprintf("server ping data: rdma-ping-%d: from here", pings-1))
}

// ucmatose's server sends as soon as it knows that we are ready, which our RTR tells it.
func kernelUcmatose(t *testing.T, k *kernel) {
	const messages, size = 3, 200
	port, addr := k.Port(t)
	guest := k.Start(t, "ucmatose -p %d -c 1 -C %d -S %d & listening %d; wait $!", port, messages, size, port)
	guest.Line("listening")
	conn := k.connect(t, addr, rdma.Config{})
	for i := range messages {
		k.post(t, conn, unio.Request{ID: uint64(i), Op: unio.OpRecv, Data: make([]byte, size)})
	}
	for range messages {
		if c := k.wait(t, conn); c.Err != nil || c.N != size {
			t.Fatalf("%+v", c)
		}
	}
	for range messages {
		k.do(t, conn, unio.Request{Op: unio.OpSend, Data: make([]byte, size)})
	}
	guest.Line("data transfers complete")
	k.end(t, conn)
	guest.Success()
}

// CRCs, as either side wants them.
func kernelCRC(t *testing.T, k *kernel) {
	const ops = "write:3000 read:3000 write:1 read:1"
	asks := map[string]string{"mpa_crc_required": "Y"}
	refuses := map[string]string{"mpa_crc_strict": "Y"}
	for _, c := range []struct {
		name  string
		guest map[string]string
		ours  rdma.CRC
		crc   bool
		works bool
	}{
		{"the client asks, we follow", asks, rdma.CRCDefault, true, true},
		{"the client asks, so do we", asks, rdma.CRCRequired, true, true},
		{"the client asks, we refuse", asks, rdma.CRCOff, false, false},
		{"nobody asks", nil, rdma.CRCOff, false, true},
		{"the client does not ask, we do", nil, rdma.CRCRequired, true, true},
		{"the client refuses, we ask", refuses, rdma.CRCRequired, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.set(t, c.guest)
			s := k.listen(t, rdma.Config{CRC: c.ours})
			guest := k.Start(t, "kpverbs client -a %s -p %d %s", kernelpeer.Host, s.port, ops)
			if !c.works {
				if out, status := guest.End(); status == 0 {
					t.Errorf("connected:\n%s", out)
				}
				return
			}
			if conn := s.accept(t); conn.Peer().CRC != c.crc {
				t.Errorf("%+v", conn.Peer())
			}
			guest.Success()
		})
	}
	for _, c := range []struct {
		name  string
		guest map[string]string
		ours  rdma.CRC
		crc   bool
		works bool
	}{
		{"we ask, the server follows", nil, rdma.CRCDefault, true, true},
		{"we do not ask, the server follows", nil, rdma.CRCOff, false, true},
		{"we ask, the server refuses", refuses, rdma.CRCDefault, false, false},
		{"we do not ask, so the server does not either", asks, rdma.CRCOff, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.set(t, c.guest)
			port, addr := k.Port(t)
			k.Start(t, "kpverbs serve -p %d", port).Line("listening")
			conn, err := rdma.Dial(k.limited(t), addr, rdma.Config{CRC: c.ours})
			if !c.works {
				if err == nil {
					t.Errorf("connected, %+v", conn.Peer())
					k.end(t, conn)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if conn.Peer().CRC != c.crc {
				t.Errorf("%+v", conn.Peer())
			}
			data, back := kernelPattern(3001, 1), make([]byte, 3001)
			region := k.peerRegion(t, conn)
			k.do(t, conn, unio.Request{Op: unio.OpWrite, Region: region, Offset: 5, Data: data})
			k.do(t, conn, unio.Request{Op: unio.OpRead, Region: region, Offset: 5, Data: back})
			if !bytes.Equal(data, back) {
				t.Error("what was written is not what was read")
			}
			k.end(t, conn)
		})
	}
}

// A connection that one side's application does not want, with its reason.
func kernelRefused(t *testing.T, k *kernel) {
	t.Run("by us", func(t *testing.T) {
		var asked []byte
		s := k.listen(t, rdma.Config{Decide: func(in *rdma.Incoming) ([]byte, error) {
			asked = in.PrivateData
			return nil, errors.New("no such volume")
		}})
		out, status := k.Start(t, "kpverbs client -a %s -p %d -d 100 write:1", kernelpeer.Host, s.port).End()
		if status != 3 {
			t.Errorf("status %d", status)
		}
		k.contains(t, out, "RDMA_CM_EVENT_REJECTED")
		k.contains(t, out, fmt.Sprintf("14 bytes of private data: % x", "no such volume"))
		if len(asked) != 100 || !bytes.Equal(asked[16:], kernelPattern(100, 0x5a)[16:]) {
			t.Errorf("private data that came: %x", asked)
		}
	})
	t.Run("by the guest", func(t *testing.T) {
		port, addr := k.Port(t)
		guest := k.Start(t, "kpverbs serve -p %d -R -d 32", port)
		guest.Line("listening")
		_, err := rdma.Dial(k.limited(t), addr, rdma.Config{PrivateData: []byte("let me in")})
		var rejected *rdma.RejectedError
		if !errors.As(err, &rejected) || !errors.Is(err, unio.ErrAccess) || !bytes.Equal(rejected.PrivateData, kernelPattern(32, 0xa5)) {
			t.Errorf("%v", err)
		}
		k.contains(t, guest.Success(), fmt.Sprintf("% x", "let me in"))
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if _, status := k.Start(t, "kpverbs client -a %s -p %d", kernelpeer.Host, port).End(); status != 3 {
			t.Errorf("status %d", status)
		}
	})
}

// What a client does wrong ends its connection, with a Terminate that says what, and touches nothing.
func kernelClientViolates(t *testing.T, k *kernel) {
	// siw prints layer and type of the RFC's order the other way round
	for _, c := range []struct {
		op     string
		rights unio.Rights
		cause  error
		dmesg  string
	}{
		{"write-bad-stag:64", unio.ReadWrite, unio.ErrRevoked, "layer 1, type 1, code 0"},
		{"write-beyond:64", unio.ReadWrite, unio.ErrOutOfRange, "layer 1, type 1, code 1"},
		{"write-below:64", unio.ReadWrite, unio.ErrOutOfRange, "layer 1, type 1, code 1"},
		{"write:64", unio.ReadOnly, unio.ErrAccess, "layer 1, type 1, code 0"},
		{"read-bad-stag:64", unio.ReadWrite, unio.ErrRevoked, "layer 1, type 0, code 0"},
		{"read-beyond:64", unio.ReadWrite, unio.ErrOutOfRange, "layer 1, type 0, code 1"},
		{"read:64", unio.WriteOnly, unio.ErrAccess, "layer 1, type 0, code 2"},
		{"send-bad-inv:64", unio.ReadWrite, unio.ErrAccess, "layer 1, type 0, code 9"},
		{"send:65", unio.ReadWrite, unio.ErrOutOfRange, "layer 2, type 1, code 5"},
	} {
		t.Run(c.op+" "+c.rights.String(), func(t *testing.T) {
			s := k.listenWith(t, rdma.Config{}, c.rights)
			guest := k.Start(t, "kpverbs client -a %s -p %d write:0 recv %s sleep:300", kernelpeer.Host, s.port, c.op)
			conn := s.accept(t)
			k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: make([]byte, 64)})
			k.do(t, conn, unio.Request{Op: unio.OpSend})
			want := unio.ErrDisconnected
			if strings.HasPrefix(c.op, "send:") {
				want = unio.ErrOutOfRange // it is this Recv that is too short
			}
			if err := k.wait(t, conn).Err; !errors.Is(err, want) {
				t.Errorf("the Recv that was waiting: %v", err)
			}
			if err := conn.Err(); !errors.Is(err, c.cause) || !errors.Is(err, unio.ErrDisconnected) {
				t.Errorf("connection: %v; want %v", err, c.cause)
			}
			guest.End()
			k.terminated(t, c.dmesg)
			if !bytes.Equal(s.memory, kernelPattern(kernelBuffer, kernelSeed)) {
				t.Error("our memory was changed")
			}
		})
	}
}

// What we do wrong the guest answers with a Terminate, and the request that it is about fails with its reason.
func kernelWeViolate(t *testing.T, k *kernel) {
	const size = kernelBuffer
	for _, c := range []struct {
		name    string
		options string
		change  func(*rdma.Key)
		request unio.Request
		cause   error
	}{
		{"Read, bad STag", "", func(k *rdma.Key) { k.STag ^= 0xffff00 }, unio.Request{Op: unio.OpRead, Data: make([]byte, 64)}, unio.ErrRevoked},
		{"Read, beyond", "", func(k *rdma.Key) { k.Size *= 2 }, unio.Request{Op: unio.OpRead, Offset: size - 1, Data: make([]byte, 64)}, unio.ErrOutOfRange},
		{"Write, bad STag", "", func(k *rdma.Key) { k.STag ^= 0xffff00 }, unio.Request{Op: unio.OpWrite, Data: make([]byte, 64)}, unio.ErrRevoked},
		{"Write, beyond", "", func(k *rdma.Key) { k.Size *= 2 }, unio.Request{Op: unio.OpWrite, Offset: size - 1, Data: make([]byte, 64)}, unio.ErrOutOfRange},
		{"Write, no right", "-A r", func(*rdma.Key) {}, unio.Request{Op: unio.OpWrite, Data: make([]byte, 64)}, unio.ErrAccess},
	} {
		t.Run(c.name, func(t *testing.T) {
			for try := 1; !k.violates(t, c.options, c.change, c.request, c.cause); try++ {
				if try == 5 {
					t.Fatalf("no Terminate came in %d tries", try)
				}
			}
		})
	}
	for _, c := range []struct{ name, options string }{{"Send, longer than the receive", "-b 64"}, {"Send, no receive", "-r 0"}} {
		t.Run(c.name, func(t *testing.T) {
			for try := 1; !k.sendsTooMuch(t, c.options); try++ {
				if try == 5 {
					t.Fatalf("no Terminate came in %d tries", try)
				}
			}
		})
	}
}

// sendsTooMuch sends a message that the guest cannot take, and reports whether it has said why.
func (k *kernel) sendsTooMuch(t *testing.T, options string) bool {
	t.Helper()
	guest, conn := k.dial(t, rdma.Config{}, options)
	k.settle(t, conn)
	k.do(t, conn, unio.Request{Op: unio.OpSend, Data: make([]byte, 65)}) // complete once TCP has it
	k.ended(t, conn)
	guest.End()
	err := conn.Err()
	if !errors.Is(err, unio.ErrDisconnected) {
		t.Errorf("connection: %v", err)
	}
	// siw has one code for both, that of no buffer
	said := errors.Is(err, unio.ErrBusy)
	if !said && !strings.Contains(err.Error(), "closed by the peer") {
		t.Errorf("connection: %v", err)
		return true
	}
	return said
}

// violates carries out a request that must fail, and reports whether the guest has said why. siw leaves the Terminate out
// when it is sending something else.
func (k *kernel) violates(t *testing.T, options string, change func(*rdma.Key), r unio.Request, cause error) bool {
	t.Helper()
	guest, conn := k.dial(t, rdma.Config{}, options)
	k.settle(t, conn)
	var key rdma.Key
	if err := key.UnmarshalBinary(conn.PeerData()); err != nil {
		t.Fatal(err)
	}
	change(&key)
	var err error
	if r.Region, err = conn.Attach(k.limited(t), key, unio.ReadWrite); err != nil {
		t.Fatal(err)
	}
	k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: make([]byte, 64)}) // a bystander
	err = conn.Channel().Do(k.limited(t), r)
	var op *unio.OpError
	if !errors.As(err, &op) || op.Peer != conn.RemoteAddr().String() {
		t.Errorf("%v", err)
	}
	if err := k.wait(t, conn).Err; !errors.Is(err, unio.ErrDisconnected) || errors.Is(err, cause) {
		t.Errorf("the Recv beside it: %v", err)
	}
	out, _ := guest.End()
	k.contains(t, out, "buffer: fnv "+kernelSum(kernelPattern(kernelBuffer, 0)))
	switch {
	case errors.Is(err, cause):
		if err := conn.Err(); op.Layer == rdma.Layer || !errors.Is(err, cause) || !errors.Is(err, unio.ErrDisconnected) {
			t.Errorf("%v; connection: %v; want %v", op, err, cause)
		}
		return true
	case errors.Is(err, unio.ErrDisconnected) && strings.Contains(err.Error(), "closed by the peer"):
		return false
	}
	t.Errorf("%v; want %v", err, cause)
	return true
}

// settle makes a round trip. Without it a violation may come in one piece with the RTR; siw then forgets to tell its application, which
// hangs for ever in rdma_disconnect, and all of the guest's rdma_cm with it.
func (k *kernel) settle(t *testing.T, conn *rdma.Conn) {
	t.Helper()
	k.do(t, conn, unio.Request{Op: unio.OpRead, Region: k.peerRegion(t, conn), Data: make([]byte, 1)})
}

// Revision 1 of MPA, from either side.
func kernelRevision1(t *testing.T, k *kernel) {
	t.Run("client", func(t *testing.T) {
		k.set(t, map[string]string{"mpa_version": "1"})
		s := k.listen(t, rdma.Config{})
		guest := k.Start(t, "kpverbs client -a %s -p %d write:5000 read:5000 send:9", kernelpeer.Host, s.port)
		conn := s.accept(t)
		got := make([]byte, 100)
		k.do(t, conn, unio.Request{Op: unio.OpRecv, Data: got})
		if p := conn.Peer(); p.Revision != 1 || !bytes.Equal(got[:9], kernelPattern(9, 3)) {
			t.Errorf("%+v, message %x", p, got[:9])
		}
		k.contains(t, guest.Success(), "read:5000: success fnv "+kernelSum(kernelPattern(5000, 1)))
	})
	t.Run("server", func(t *testing.T) {
		guest, conn := k.dial(t, rdma.Config{Plain: true}, "-e")
		if p := conn.Peer(); p.Revision != 1 {
			t.Errorf("%+v", p)
		}
		region := k.peerRegion(t, conn)
		data, back := kernelPattern(5000, 9), make([]byte, 5000)
		k.do(t, conn, unio.Request{Op: unio.OpWrite, Region: region, Data: data})
		k.do(t, conn, unio.Request{Op: unio.OpRead, Region: region, Data: back})
		if !bytes.Equal(back, data) {
			t.Error("what was written is not what was read")
		}
		k.end(t, conn)
		guest.Success()
	})
}

// In the peer-to-peer model the client sends an RTR by itself, so that we may speak first.
func kernelPeerToPeer(t *testing.T, k *kernel) {
	for _, c := range []struct{ name, rtr, crc string }{{"Write", "128", "N"}, {"Read", "64", "N"}, {"either", "192", "N"}, {"Read, CRC", "64", "Y"}} {
		t.Run(c.name, func(t *testing.T) {
			k.set(t, map[string]string{"peer_to_peer": "Y", "rtr_type": c.rtr, "mpa_crc_required": c.crc})
			s := k.listen(t, rdma.Config{})
			guest := k.Start(t, "kpverbs client -a %s -p %d recv send:7 read:9", kernelpeer.Host, s.port)
			conn := s.accept(t)
			got := make([]byte, 100)
			k.post(t, conn, unio.Request{Op: unio.OpRecv, Data: got})
			k.do(t, conn, unio.Request{Op: unio.OpSend, Data: kernelPattern(77, 1)})
			if c := k.wait(t, conn); c.N != 7 || !bytes.Equal(got[:7], kernelPattern(7, 2)) {
				t.Errorf("%+v, message %x", c, got[:c.N])
			}
			k.contains(t, guest.Success(), "received 77 bytes fnv "+kernelSum(kernelPattern(77, 1)))
		})
	}
}

// ------------------------------------------------------------------------------------------------ what they use

const (
	kernelBuffer = 1 << 20 // size of the memory on both sides, in bytes
	kernelSeed   = 200     // our memory is kernelPattern(kernelBuffer, kernelSeed) at first
	kernelLimit  = 20 * time.Second
)

// A kernel is the guest.
type kernel struct{ *kernelpeer.Guest }

// set gives siw parameters until the end of the test.
func (k *kernel) set(t *testing.T, parameters map[string]string) {
	t.Helper()
	for name, value := range parameters {
		file := "/sys/module/siw/parameters/" + name
		old := strings.TrimSpace(k.Run(t, "cat %s && echo %s >%s", file, value, file))
		t.Cleanup(func() { k.Run(t, "echo %s >%s", old, file) })
	}
}

// terminated checks that the last Terminate that siw has received is the one said.
func (k *kernel) terminated(t *testing.T, want string) {
	t.Helper()
	out := k.Run(t, "dmesg -c | grep 'got TERMINATE' | tail -n 1")
	k.contains(t, out, "siw: got TERMINATE. "+want)
}

// A kernelListener is a Listener of ours for clients in the guest.
type kernelListener struct {
	*rdma.Listener
	k      *kernel
	port   int
	memory []byte // named in the Reply's private data
}

func (k *kernel) listen(t *testing.T, cfg rdma.Config) *kernelListener {
	t.Helper()
	return k.listenWith(t, cfg, unio.ReadWrite)
}

func (k *kernel) listenWith(t *testing.T, cfg rdma.Config, rights unio.Rights) *kernelListener {
	t.Helper()
	cfg.Domain = rdma.NewDomain()
	exposure, memory := k.expose(t, cfg.Domain.Expose, rights)
	copy(memory, kernelPattern(kernelBuffer, kernelSeed))
	if cfg.Decide == nil {
		cfg.Decide = func(*rdma.Incoming) ([]byte, error) { return exposure.Key().AppendBinary(nil) }
	}
	l, err := rdma.Listen(k.limited(t), "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &kernelListener{l, k, l.Addr().(*net.TCPAddr).Port, memory}
}

func (l *kernelListener) accept(t *testing.T) *rdma.Conn {
	t.Helper()
	conn, err := l.Accept(l.k.limited(t))
	if err != nil {
		_, last := l.Failures()
		t.Fatal(err, last)
	}
	t.Cleanup(func() { l.k.end(t, conn) })
	return conn
}

// dial starts kpverbs as a server and connects to it.
func (k *kernel) dial(t *testing.T, cfg rdma.Config, options string, ops ...string) (*kernelpeer.Script, *rdma.Conn) {
	t.Helper()
	port, addr := k.Port(t)
	guest := k.Start(t, "kpverbs serve -p %d %s %s", port, options, strings.Join(ops, " "))
	guest.Line("listening")
	return guest, k.connect(t, addr, cfg)
}

func (k *kernel) connect(t *testing.T, addr string, cfg rdma.Config) *rdma.Conn {
	t.Helper()
	conn, err := rdma.Dial(k.limited(t), addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.end(t, conn) })
	return conn
}

// end closes a connection of ours.
func (k *kernel) end(t *testing.T, conn *rdma.Conn) {
	t.Helper()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// ended waits until the connection has ended.
func (k *kernel) ended(t *testing.T, conn *rdma.Conn) {
	t.Helper()
	select {
	case <-conn.Done():
	case <-k.limited(t).Done():
		t.Fatal("the connection did not end")
	}
}

// gone waits until the peer has left, properly.
func (k *kernel) gone(t *testing.T, conn *rdma.Conn) {
	t.Helper()
	k.ended(t, conn)
	if err := conn.Err(); !errors.Is(err, unio.ErrDisconnected) || !strings.Contains(err.Error(), "closed by the peer") {
		t.Error(err)
	}
}

// limited is a context with a time limit.
func (k *kernel) limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), kernelLimit)
	t.Cleanup(cancel)
	return ctx
}

func (k *kernel) do(t *testing.T, conn *rdma.Conn, r unio.Request) {
	t.Helper()
	if err := conn.Channel().Do(k.limited(t), r); err != nil {
		t.Fatal(err, "connection:", conn.Err())
	}
}

func (k *kernel) post(t *testing.T, conn *rdma.Conn, r unio.Request) {
	t.Helper()
	if _, err := conn.Channel().Post(r); err != nil {
		t.Fatal(err, "connection:", conn.Err())
	}
}

// wait returns the next completion.
func (k *kernel) wait(t *testing.T, conn *rdma.Conn) unio.Completion {
	t.Helper()
	var done [1]unio.Completion
	if n, err := conn.Channel().Wait(k.limited(t), done[:]); n != 1 {
		t.Fatal("no completion:", err, "connection:", conn.Err())
	}
	return done[0]
}

// expose makes memory for the peer.
func (k *kernel) expose(t *testing.T, where func(*unio.Buffer, unio.Rights) (*rdma.Exposure, error), rights unio.Rights) (*rdma.Exposure, []byte) {
	t.Helper()
	buf, err := unio.NewBuffer(kernelBuffer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := buf.Free(); err != nil {
			t.Error(err)
		}
	})
	e, err := where(buf, rights)
	if err != nil {
		t.Fatal(err)
	}
	return e, buf.Bytes()
}

// peerRegion attaches the memory that the peer's private data names.
func (k *kernel) peerRegion(t *testing.T, conn *rdma.Conn) *unio.Region {
	t.Helper()
	return k.attach(t, conn, conn.PeerData())
}

func (k *kernel) attach(t *testing.T, conn *rdma.Conn, named []byte) *unio.Region {
	t.Helper()
	var key rdma.Key
	if err := key.UnmarshalBinary(named); err != nil {
		t.Fatal(err)
	}
	region, err := conn.Attach(k.limited(t), key, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return region
}

// kernelPattern is what kpverbs' operation number k sends, and its buffer for 0.
func kernelPattern(n, k int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i>>8 + 31*k)
	}
	return b
}

// kernelPieces cuts b, if it is long enough, at odd places.
func kernelPieces(b []byte) [][]byte {
	if len(b) < 3 {
		return slices.Collect(slices.Chunk(b, max(len(b), 1)))
	}
	return [][]byte{b[:1], b[1 : len(b)/3+1], b[len(b)/3+1:]}
}

// kernelSum is how kpverbs prints what came.
func kernelSum(b []byte) string {
	h := fnv.New32a()
	_, _ = h.Write(b) // never fails
	return fmt.Sprintf("%08x", binary.BigEndian.Uint32(h.Sum(nil)))
}

func (k *kernel) contains(t *testing.T, out, want string) {
	t.Helper()
	if !strings.Contains(out, want) {
		t.Errorf("%q is not in what was printed:\n%s", want, out)
	}
}
