package table

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

type item struct {
	key     Key
	touched atomic.Bool
	users   atomic.Int64
}

func (i *item) Key() Key      { return i.key }
func (i *item) Touched() bool { return i.touched.Swap(false) }
func (i *item) Retire() bool  { return i.users.Load() == 0 }

func TestBounded(t *testing.T) {
	tab := New[item](64)
	for p := range int64(10000) {
		k := Key{1, p}
		tab.Put(&item{key: k})
		if e := tab.Find(k); e == nil || e.key != k {
			t.Fatalf("page %d is not found", p)
		}
		if tab.Len() > 64 {
			t.Fatalf("%d entries", tab.Len())
		}
	}
}

// TestInUse fills a set with entries that cannot leave.
func TestInUse(t *testing.T) {
	tab := New[item](1)
	var all []*item
	for p := range int64(3 * ways) {
		e := &item{key: Key{1, p}}
		e.users.Store(1)
		all = append(all, e)
		tab.Put(e)
	}
	for _, e := range all {
		if tab.FindAll(e.key) != e {
			t.Errorf("%v is gone", e.key)
		}
	}
	n := 0
	tab.All(func(*item) bool { n++; return true })
	if n != len(all) || tab.Len() != n {
		t.Errorf("%d entries of %d, Len %d", n, len(all), tab.Len())
	}
	for _, e := range all {
		e.users.Store(0)
	}
	tab.Put(&item{key: Key{2, 0}})
	tab.Put(&item{key: Key{2, 1}})
	for _, e := range all {
		if got := tab.FindAll(e.key); got != nil {
			tab.Remove(got)
		}
	}
	if tab.Len() != 2 {
		t.Errorf("%d entries are left, want 2", tab.Len())
	}
}

// TestClock: what is used stays.
func TestClock(t *testing.T) {
	tab := New[item](ways)
	hot := &item{key: Key{7, 7}}
	tab.Put(hot)
	for p := range int64(1000) {
		hot.touched.Store(true)
		tab.Put(&item{key: Key{1, p}})
		if tab.Find(hot.key) != hot {
			t.Fatalf("the entry in use was thrown out by number %d", p)
		}
	}
}

func TestConcurrent(t *testing.T) {
	tab := New[item](256)
	var wg sync.WaitGroup
	for v := range uint64(4) {
		wg.Go(func() {
			for p := range int64(5000) {
				k := Key{v, p % 300}
				if e := tab.FindAll(k); e == nil {
					tab.Put(&item{key: k})
				} else if e.key != k {
					t.Errorf("%v found for %v", e.key, k)
				} else if p%7 == 0 {
					tab.Remove(e)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tab := New[item](2 * n)
			for p := range int64(n) {
				tab.Put(&item{key: Key{1, p}})
			}
			p := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				p = (p*5 + 1) & int64(n-1)
				if tab.Find(Key{1, p}) == nil && n == 1 {
					b.Fatal("not found", p)
				}
			}
		})
	}
}
