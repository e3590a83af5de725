package unio

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestScheduleAgainstModel posts, finishes, fails and cancels requests with
// fences and silence at random, on a device that does nothing by itself, and
// compares what the queue holds and what completes with a model that knows no
// more than the promises.
func TestScheduleAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		depth := rapid.IntRange(1, 6).Draw(rt, "depth")
		r := newRig(t, Info{}, ChannelConfig{Depth: depth})
		m := &scheduleModel{rig: r, depth: depth, failing: map[uint64]bool{}}
		r.q.fail = func(op *Op) error {
			if m.failing[op.ID] {
				return ErrMedia
			}
			return nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"post":   m.post,
			"finish": m.finish,
			"cancel": m.cancel,
			"":       m.check,
		})
		if err := r.ch.Close(); err != nil {
			rt.Fatal(err)
		}
		for _, e := range m.inFlight() {
			e.ended, e.failed = true, true
		}
		m.check(rt)
		if err := r.dev.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// A scheduleModel is what should have happened.
type scheduleModel struct {
	*rig
	depth   int
	posted  []*scheduled
	failing map[uint64]bool // IDs that the device fails
}

// scheduled is a request of a scheduleModel.
type scheduled struct {
	id                       uint64
	flags                    Flags
	ended, failed, delivered bool
}

// places is how many places of the channel are taken.
func (m *scheduleModel) places() (n int) {
	for _, e := range m.posted {
		if !e.ended || !e.delivered && !e.forgotten() {
			n++
		}
	}
	return n
}

// forgotten: it has ended without a completion.
func (e *scheduled) forgotten() bool { return e.ended && !e.failed && e.flags&Silent != 0 }

func (m *scheduleModel) inFlight() (out []*scheduled) {
	for _, e := range m.posted {
		if !e.ended {
			out = append(out, e)
		}
	}
	return out
}

func (m *scheduleModel) post(t *rapid.T) {
	flags := rapid.SliceOfN(rapid.SampledFrom([]Flags{0, 0, Fence, Silent, Fence | Silent}), 1, 4).Draw(t, "flags")
	var reqs []Request
	for i, f := range flags {
		reqs = append(reqs, m.req(uint64(len(m.posted)+i), OpRead, int64(i)*512, 512, f))
	}
	room := min(len(reqs), m.depth-m.places())
	n, err := m.ch.Post(reqs...)
	switch {
	case n > room, n < len(reqs) && !errors.Is(err, ErrFull), n == len(reqs) && err != nil:
		t.Fatalf("Post accepted %d of %d, with room for %d: %v", n, len(reqs), room, err)
	case n < room && flags[n]&Fence == 0:
		t.Fatalf("Post refused a request without a fence: %d of %d, with room for %d", n, len(reqs), room)
	case n < room && len(m.inFlight()) == 0:
		t.Fatal("Post refused a fence on an idle channel")
	}
	for i := range n {
		m.posted = append(m.posted, &scheduled{id: reqs[i].ID, flags: flags[i]})
	}
}

func (m *scheduleModel) finish(t *rapid.T) {
	ids := m.q.ids()
	if len(ids) == 0 {
		t.Skip("nothing is in the queue")
	}
	id := rapid.SampledFrom(ids).Draw(t, "id")
	e := m.posted[id]
	e.ended, e.failed = true, rapid.IntRange(0, 4).Draw(t, "fail") == 0
	m.failing[id] = e.failed
	m.q.finish(id)
}

func (m *scheduleModel) cancel(t *rapid.T) {
	flying := m.inFlight()
	if len(flying) == 0 {
		t.Skip("nothing is in flight")
	}
	if rapid.IntRange(0, 9).Draw(t, "all") == 0 {
		m.ch.CancelAll()
	} else {
		flying = []*scheduled{rapid.SampledFrom(flying).Draw(t, "request")}
		m.ch.Cancel(flying[0].id)
	}
	for _, e := range flying {
		e.ended, e.failed = true, true
	}
}

// check fetches all completions and compares.
func (m *scheduleModel) check(t *rapid.T) {
	done := make([]Completion, m.depth+1)
	got := map[uint64]bool{}
	for _, c := range done[:m.ch.Poll(done)] {
		if _, twice := got[c.ID]; twice {
			t.Fatalf("request %d completed twice", c.ID)
		}
		got[c.ID] = c.Err != nil
	}
	want, queued := map[uint64]bool{}, []uint64{}
	allEnded, silentEnded := true, true // of what was posted before
	for _, e := range m.posted {
		if e.ended && !e.forgotten() && !e.delivered && silentEnded {
			want[e.id], e.delivered = e.failed, true
		}
		if !e.ended && (e.flags&Fence == 0 || allEnded) {
			queued = append(queued, e.id)
		}
		allEnded = allEnded && e.ended
		silentEnded = silentEnded && (e.ended || e.flags&Silent == 0)
	}
	if !maps.Equal(got, want) {
		t.Fatalf("completions (of ID: failed) %v, want %v", got, want)
	}
	if inQueue := slices.Sorted(slices.Values(m.q.ids())); !slices.Equal(inQueue, queued) {
		t.Fatalf("the queue holds %v, want %v", inQueue, queued)
	}
}
