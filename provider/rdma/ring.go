package rdma

// A ring is a queue that grows as it needs to and then stays: who uses it bounds what is in it. The zero value is empty.
type ring[T any] struct {
	items      []T // length a power of two, or 0
	head, tail uint32
}

func (r *ring[T]) len() int { return int(r.tail - r.head) }

// at returns the i-th item from the front, to be changed in place.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+uint32(i))&uint32(len(r.items)-1)] }

// front returns the oldest item. There must be one.
func (r *ring[T]) front() *T { return r.at(0) }

func (r *ring[T]) push(v T) {
	if r.len() == len(r.items) {
		r.grow()
	}
	r.items[r.tail&uint32(len(r.items)-1)] = v
	r.tail++
}

func (r *ring[T]) pop() (v T) {
	var none T
	p := r.front()
	v, *p = *p, none
	r.head++
	return v
}

// remove takes out the i-th item.
func (r *ring[T]) remove(i int) {
	for ; i > 0; i-- {
		*r.at(i) = *r.at(i - 1)
	}
	r.pop()
}

func (r *ring[T]) grow() {
	items := make([]T, max(4, 2*len(r.items)))
	n := r.len()
	for i := range n {
		items[i] = *r.at(i)
	}
	r.items, r.head, r.tail = items, 0, uint32(n)
}
