package uniotest

import "github.com/unio-stack/unio"

// checkStats: the statistics of a channel say what it has done, and those of
// the device are the sum over all channels, also the closed ones.
func checkStats(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	start := r.dev.Stats()
	ch := r.channel(unio.ChannelConfig{})
	b, err := unio.NewBuffer(64 << 10)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = b.Free() })
	for i := range int64(10) {
		r.must(ch, unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: i * 8192, Data: b.Bytes()[:8192]})
		r.must(ch, unio.Request{Op: unio.OpRead, Region: r.reg, Offset: i * 8192, Data: b.Bytes()[:4096]})
	}
	s := ch.Stats()
	want := unio.Stats{Posted: 20, Completed: 20, BytesRead: 10 * 4096, BytesWritten: 10 * 8192}
	got := unio.Stats{Posted: s.Posted, Completed: s.Completed, Failed: s.Failed, BytesRead: s.BytesRead, BytesWritten: s.BytesWritten}
	if r.info.BlockSize <= 4096 && r.info.MemoryAlign <= 4096 {
		got.BouncedBytes = s.BouncedBytes
	}
	if got != want {
		r.Errorf("statistics %+v, want %+v", got, want)
	}
	if s.Doorbells < 1 || s.Syscalls < 0 || s.Inline < 0 || s.Misuse != 0 {
		r.Errorf("statistics %+v are not plausible", s)
	}
	r.ragged(ch)
	s = ch.Stats()
	r.check(ch.Close())
	if after := ch.Stats(); after.Posted != s.Posted || after.BytesRead != s.BytesRead {
		r.Errorf("Close changed the statistics from %+v to %+v", s, after)
	}
	if d := r.dev.Stats(); d.Posted-start.Posted != s.Posted || d.BytesWritten-start.BytesWritten != s.BytesWritten {
		r.Errorf("the device counts %+v after %+v of its only channel", d, s)
	}
}

// ragged checks that copied bytes are counted where there is a block size.
func (r *rig) ragged(ch *unio.Channel) {
	r.Helper()
	before := ch.Stats()
	r.write(ch, 3, payload(r.rng, 5))
	s := ch.Stats()
	copied := s.BouncedBytes - before.BouncedBytes
	if block := r.info.BlockSize; block > 1 && copied < 5 || block == 1 && r.info.MemoryAlign == 1 && copied != 0 {
		r.Errorf("a write of 5 bytes at offset 3 counts %d copied bytes with a block size of %d", copied, block)
	}
	if n := s.BytesWritten - before.BytesWritten; n != 5 {
		r.Errorf("a write of 5 bytes counts as %d", n)
	}
}
