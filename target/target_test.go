package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/faults"
)

func TestAdmission(t *testing.T) {
	var mu sync.Mutex
	var events []Event
	disk := memoryDevice(t, 1<<20)
	cfg := Config{
		Exports:     []Export{{Name: "disk", Device: disk}, {Name: "archive", Device: disk, ReadOnly: true}, {Name: "secret", Device: disk, Clients: []string{"alice"}}},
		Connections: 3,
		OnEvent: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		},
	}
	r := serve(t, cfg)
	for _, c := range []struct {
		region   string
		readOnly bool
		names    []string
		rights   unio.Rights
	}{
		{"disk", false, nil, unio.ReadWrite},
		{"disk", true, nil, unio.ReadOnly},
		{"archive", false, nil, unio.ReadOnly},
		{"secret", false, []string{"bob", "alice"}, unio.ReadWrite},
		{"secret", false, []string{"bob"}, 0},
		{"secret", false, nil, 0},
		{"nowhere", false, nil, 0},
		{"", false, nil, 0},
	} {
		s, err := r.Target.serve(&rdma.Incoming{Region: c.region, ReadOnly: c.readOnly, TLS: verified(c.names...)})
		if c.rights == 0 {
			if err == nil {
				t.Errorf("%+v is admitted", c)
			}
			continue
		}
		if err != nil || s.Rights != c.rights || s.Store.Size() != 1<<20 || s.Store.Memory() == nil || !s.Info.Ops.Has(unio.OpFetchAdd) || s.Info.AtomicUnit != 8 || s.Memory != defaultPerConnection {
			t.Errorf("%+v: %+v, %v", c, s, err)
			continue
		}
		s.Closed()
	}
	_, hidden := r.Target.serve(&rdma.Incoming{Region: "secret"})
	_, missing := r.Target.serve(&rdma.Incoming{Region: "secreT"})
	if strings.ToLower(missing.Error()) != hidden.Error() {
		t.Errorf("%q and %q tell who asks which exports there are", hidden, missing)
	}
	clients := []*client{r.attach("disk"), r.attach("disk"), r.attach("disk")}
	if _, err := r.tryAttach("disk", false); err == nil {
		t.Error("more connections than the limit")
	}
	for _, c := range clients {
		c.close()
	}
	if s := r.Stats(); s.Connections != 0 || s.Admitted != 7 || s.Rejected != 7 {
		t.Errorf("%+v", s)
	}
	count := map[EventKind]int{}
	for _, e := range events {
		count[e.Kind]++
		if (e.Kind == Rejected) != (e.Err != nil) {
			t.Errorf("%+v", e)
		}
	}
	if count[Attached] != 7 || count[Detached] != 7 || count[Rejected] != 7 {
		t.Errorf("events: %v", count)
	}
}

// verified is the state of a connection whose client has proved to have these names.
func verified(names ...string) *tls.ConnectionState {
	if names == nil {
		return nil
	}
	c := &x509.Certificate{DNSNames: names}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
}

func TestNamesOf(t *testing.T) {
	spiffe, _ := url.Parse("spiffe://example/db")
	for _, c := range []struct {
		cert x509.Certificate
		want []string
	}{
		{x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}, []string{"alice"}},
		{x509.Certificate{Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"db.example"}}, []string{"db.example"}},
		{x509.Certificate{URIs: []*url.URL{spiffe}, EmailAddresses: []string{"a@example"}}, []string{"spiffe://example/db", "a@example"}},
		{x509.Certificate{}, nil},
	} {
		s := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&c.cert}}
		if got := namesOf(s); got != nil {
			t.Errorf("a certificate that nobody has verified has the names %q", got)
		}
		s.VerifiedChains = [][]*x509.Certificate{{&c.cert}}
		if got := namesOf(s); !slices.Equal(got, c.want) {
			t.Errorf("names %q, want %q", got, c.want)
		}
	}
}

func TestVerbsDefault(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}, VerbsDefault: "disk"})
	r.attach("").close()
}

func TestBadConfig(t *testing.T) {
	disk := memoryDevice(t, 1<<20)
	ro := closing(t, uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{ReadOnly: true}).Open())
	one := func(x Export) []Export { return []Export{x} }
	for _, c := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"no name", Config{Exports: one(Export{Device: disk})}, unio.ErrInvalid},
		{"a name with a NUL", Config{Exports: one(Export{Name: "a\x00b", Device: disk})}, unio.ErrInvalid},
		{"a long name", Config{Exports: one(Export{Name: strings.Repeat("n", 129), Device: disk})}, unio.ErrInvalid},
		{"no device", Config{Exports: one(Export{Name: "disk"})}, unio.ErrInvalid},
		{"the name twice", Config{Exports: []Export{{Name: "disk", Device: disk}, {Name: "disk", Device: disk, ReadOnly: true}}}, unio.ErrInvalid},
		{"no such region", Config{Exports: one(Export{Name: "disk", Device: disk, Region: "none"})}, unio.ErrInvalid},
		{"writing to a read-only device", Config{Exports: one(Export{Name: "disk", Device: ro})}, unio.ErrAccess},
		{"a default that is not there", Config{VerbsDefault: "disk"}, unio.ErrInvalid},
		{"little memory", Config{Memory: 1000}, unio.ErrInvalid},
		{"little memory for connections", Config{PerConnection: 1000}, unio.ErrInvalid},
		{"less than no connections", Config{Connections: -1}, unio.ErrInvalid},
	} {
		if _, err := New(c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	r := serve(t, Config{Exports: one(Export{Name: "disk", Device: ro, ReadOnly: true})})
	r.attach("disk").close()
}

// A thousand connections with 64 requests each keep to the memory there is, and all are served.
func TestThousandConnections(t *testing.T) {
	const connections, depth, limit = 1000, 64, 34 << 20
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: limit})
	m.hold(unio.AllOps)
	var clients []*client
	var all []*request
	check := func() {
		t.Helper()
		s := r.Stats()
		if s.MemoryTaken > limit || s.Exports[0].MemoryHeld > limit/2 || s.Exports[0].MemoryInUse > limit/2 {
			t.Fatalf("more memory than there is: %+v", s)
		}
	}
	for i := range int64(connections) {
		c := r.attach("disk")
		var qs []*request
		for j := range int64(depth) {
			op, n := unio.OpRead, int64(4096)
			switch j % 16 {
			case 0:
				op = unio.OpWrite
			case 8:
				n = 64 << 10
			}
			qs = append(qs, c.request(op, (i*depth+j)<<12, n, nil))
		}
		c.post(qs...)
		clients, all = append(clients, c), append(all, qs...)
		check()
	}
	if s := r.Stats().Exports[0]; s.MemoryInUse < limit/4 || s.InFlight != s.Lanes*laneDepth || s.MemoryWaits < connections/2 {
		t.Errorf("not full: %+v", s)
	}
	m.hold(0)
	for i, q := range all {
		if err := q.wait(); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			check()
		}
	}
	for _, c := range clients {
		c.close()
	}
	if s := r.Stats().Exports[0]; s.Operations != connections*depth || s.MemoryInUse != 0 {
		t.Errorf("%+v", s)
	}
}

// A device that does not answer takes neither memory nor time from another export.
func TestStalledDeviceKeepsToItself(t *testing.T) {
	m := &medium{stubborn: true}
	r := serve(t, Config{
		Exports: []Export{{Name: "stalled", Device: m.open(t)}, {Name: "disk", Device: memoryDevice(t, regionSize)}},
		Memory:  64 << 20,
	})
	m.hold(unio.AllOps)
	var stalled []*client
	var stuck []*request
	for i := range int64(64) {
		c := r.attach("stalled")
		var qs []*request
		for j := range int64(32) {
			qs = append(qs, c.request(unio.OpRead, (i*32+j)<<16, 64<<10, nil))
		}
		c.post(append(qs, c.request(unio.OpFlush, 0, 0, nil))...)
		stalled, stuck = append(stalled, c), append(stuck, qs...)
	}
	if s := r.Stats().Exports[0]; s.MemoryHeld > s.MemoryMost || s.MemoryMost != 24<<20 {
		t.Errorf("%+v", s)
	}
	healthy := func() {
		t.Helper()
		before := r.Stats().Exports
		c := r.attach("disk")
		defer c.close()
		for range 50 {
			var qs []*request
			for j := range int64(200) { // in all 12.5 of the 16 MiB that are guaranteed
				qs = append(qs, c.request(unio.OpRead, j%100<<16, 64<<10, nil))
			}
			for part := range slices.Chunk(qs, 50) {
				c.post(part...)
			}
			for _, q := range qs {
				select {
				case err := <-q.done:
					q.forget()
					if err != nil {
						t.Fatal(err)
					}
				default:
					t.Fatal("memory that answers at once is waited for")
				}
			}
		}
		after := r.Stats().Exports
		if i := len(after) - 1; after[i].MemoryWaits != before[len(before)-1].MemoryWaits {
			t.Error("memory was short")
		}
	}
	healthy()
	removed := make(chan error, 1)
	go func() {
		removed <- r.SetExports([]Export{{Name: "disk", Device: r.exports.Load().byName["disk"].region.Device()}})
	}()
	wait(t, func() bool { return len(r.Stats().Exports) == 1 })
	healthy() // while SetExports waits for the other
	select {
	case err := <-removed:
		t.Errorf("SetExports returned while operations are in flight: %v", err)
	default:
	}
	m.hold(0)
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if n := m.inFlight.Load(); n != 0 {
		t.Errorf("%d operations in flight", n)
	}
	for _, q := range stuck {
		if err := q.wait(); err != nil && !errors.Is(err, unio.ErrRevoked) {
			t.Fatal(err)
		}
	}
	for _, c := range stalled {
		c.close()
	}
}

// A client that does not take what it has asked for keeps others from nothing.
func TestSlowReader(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, regionSize)}}, Memory: 34 << 20})
	var slow []*client
	for range 6 {
		c := r.attach("disk")
		c.slow = true
		for j := range int64(400) {
			c.post(c.request(unio.OpRead, j%100<<16, 64<<10, nil))
		}
		slow = append(slow, c)
	}
	c := r.attach("disk")
	for range 1000 {
		q := c.request(unio.OpRead, 0, 4096, nil)
		c.post(q)
		select {
		case <-q.done:
			q.forget()
		default:
			t.Fatal("it waits")
		}
	}
	c.close()
	for _, c := range slow {
		c.mu.Lock()
		c.slow = false
		c.mu.Unlock()
		for ended := false; !ended; {
			c.mu.Lock()
			c.release()
			ended = len(c.backlog) == 0 && c.held == 0
			c.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		c.close()
	}
}

// When SetExports has returned, nothing of an export that is gone is in flight, and nothing comes any more.
func TestRemovalUnderLoad(t *testing.T) {
	disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: regionSize, Seed: 6})
	stays := memoryDevice(t, regionSize)
	r := serve(t, Config{Exports: []Export{{Name: "stays", Device: stays}}})
	keep := r.attach("stays")
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		defer keep.close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := keep.write(0, make([]byte, 4096)); err != nil {
				t.Error(err)
				return
			}
			runtime.Gosched() // it ends in this goroutine, and others want to run too
		}
	})
	for round := range 8 {
		dev := disk.Open()
		if round%2 == 1 {
			var err error
			if dev, err = faults.Wrap(dev, "any 1/50 delay 1h", uint64(round)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SetExports([]Export{{Name: "stays", Device: stays}, {Name: "goes", Device: dev}}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range int64(20) {
			c := r.attach("goes")
			all.Go(func() {
				defer c.close()
				c.hammer(t, i)
			})
		}
		wait(t, func() bool { return r.Stats().Exports[1].Operations > 50 })
		within(t, "SetExports", func() {
			if err := r.SetExports([]Export{{Name: "stays", Device: stays}}); err != nil {
				t.Error(err)
			}
		})
		s := dev.Stats()
		if s.Posted != s.Completed {
			t.Errorf("%d operations are in flight", s.Posted-s.Completed)
		}
		if _, err := r.tryAttach("goes", false); err == nil {
			t.Error("it can still be attached")
		}
		within(t, "the load", all.Wait)
		if n := dev.Stats().Posted; n != s.Posted {
			t.Errorf("%d operations came later", n-s.Posted)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	others.Wait()
}

// hammer reads, writes and flushes until the export is no more.
func (c *client) hammer(t *testing.T, i int64) {
	for {
		qs := []*request{c.request(unio.OpFlush, 0, 0, nil)}
		for j := range int64(8) {
			qs = append(qs, c.request(unio.OpWrite, (i*8+j)<<12, 4096, make([]byte, 4096)))
			qs = append(qs, c.request(unio.OpRead, (i*8+j)<<12, 4096, nil))
		}
		c.post(qs...)
		revoked := 0
		for _, q := range qs {
			switch err := q.wait(); {
			case err == nil:
			case errors.Is(err, unio.ErrRevoked):
				revoked++
			default:
				t.Error(err)
				return
			}
		}
		if revoked == len(qs) {
			return
		}
	}
}

// A change of rights ends the connections that have more than is left, and no other.
func TestRightsChange(t *testing.T) {
	disk := memoryDevice(t, 1<<20)
	x := Export{Name: "disk", Device: disk}
	r := serve(t, Config{Exports: []Export{x}})
	writer := r.attach("disk")
	reader, err := r.tryAttach("disk", true)
	if err != nil {
		t.Fatal(err)
	}
	x.ReadOnly = true
	changed := make(chan error, 1)
	go func() { changed <- r.SetExports([]Export{x}) }()
	wait(t, func() bool { return r.Stats().Exports[0].ReadOnly })
	select {
	case err := <-changed:
		t.Errorf("SetExports returned while a client has rights that are no more: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	writer.close() // its connection is ended
	if err := <-changed; err != nil {
		t.Error(err)
	}
	if err := reader.read(0, make([]byte, 4096)); err != nil {
		t.Error(err)
	}
	again := r.attach("disk")
	if again.s.rights != unio.ReadOnly {
		t.Errorf("rights %v", again.s.rights)
	}
	x.ReadOnly = false
	if err := r.SetExports([]Export{x}); err != nil {
		t.Error(err)
	}
	last := r.attach("disk")
	if last.s.rights != unio.ReadWrite || r.Stats().Connections != 3 {
		t.Errorf("rights %v, %d connections", last.s.rights, r.Stats().Connections)
	}
	x.Clients = []string{"alice"}
	go func() { changed <- r.SetExports([]Export{x}) }()
	wait(t, func() bool {
		c, err := r.tryAttach("disk", false)
		if err == nil {
			c.close()
		}
		return err != nil
	})
	for _, c := range []*client{reader, again, last} {
		c.close()
	}
	if err := <-changed; err != nil {
		t.Error(err)
	}
}

// What is wrong with new exports changes nothing.
func TestFailedChange(t *testing.T) {
	disk := memoryDevice(t, 1<<20)
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: disk}}})
	c := r.attach("disk")
	defer c.close()
	err := r.SetExports([]Export{{Name: "disk", Device: disk, ReadOnly: true}, {Name: "new", Device: disk}, {Name: "bad", Device: disk, Region: "none"}})
	if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), `export "bad"`) {
		t.Error(err)
	}
	if s := r.Stats(); len(s.Exports) != 1 || s.Exports[0].ReadOnly {
		t.Errorf("%+v", s)
	}
	if err := c.write(0, make([]byte, 4096)); err != nil {
		t.Error(err)
	}
	if n := len(r.pool.arenas); n != 1 {
		t.Errorf("%d arenas", n)
	}
}

func TestDrain(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	c := r.attach("disk")
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(ctx) }()
	wait(t, func() bool {
		c, err := r.tryAttach("disk", false)
		if err == nil {
			c.close()
		}
		return errors.Is(err, errShuttingDown)
	})
	if err := c.write(0, make([]byte, 4096)); err != nil {
		t.Error("who is there is no longer served: ", err)
	}
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { drained <- r.Drain(context.Background()) }()
	c.close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := r.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := r.Listen(context.Background(), "127.0.0.1:0"); !errors.Is(err, unio.ErrClosed) {
		t.Error(err)
	}
}

// Close waits for connections, ends everything, and may be called again.
func TestClose(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	c := r.attach("disk")
	m.hold(unio.AllOps)
	var qs []*request
	for i := range int64(600) {
		qs = append(qs, c.request(unio.OpRead, i<<12, 4096, nil))
	}
	c.post(qs...)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := r.Target.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for i, q := range qs { // cancelled, or never posted
		if err := q.wait(); !errors.Is(err, unio.ErrRevoked) {
			t.Fatal(i, err)
		}
	}
	c.close()
	within(t, "Close", all.Wait)
	if err := r.SetExports(nil); !errors.Is(err, unio.ErrClosed) {
		t.Error(err)
	}
	if s := r.Stats(); s.MemoryTaken != 0 || s.Connections != 0 || len(s.Exports) != 0 {
		t.Errorf("%+v", s)
	}
}

// Lanes come with connections, up to one for each processor.
func TestLanesGrow(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	var clients []*client
	for range 20 {
		clients = append(clients, r.attach("disk"))
	}
	e := r.exports.Load().order[0]
	want := min(maxLanes, runtime.GOMAXPROCS(0))
	if n := r.Stats().Exports[0].Lanes; n != want {
		t.Errorf("%d lanes, want %d", n, want)
	}
	if d := slices.Max(e.load) - slices.Min(e.load); d > 1 {
		t.Errorf("connections on the lanes: %v", e.load)
	}
	for _, c := range clients {
		c.close()
	}
	if slices.Max(e.load) != 0 {
		t.Errorf("connections on the lanes after all have gone: %v", e.load)
	}
}
