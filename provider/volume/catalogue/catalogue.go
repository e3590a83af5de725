// Package catalogue is where a pool keeps its names, sizes and maps: a small
// ordered store of keys and values whose transactions are all or nothing and
// durable. [OpenBolt] keeps it in a file, [Memory] nowhere.
package catalogue

// A Catalogue is an ordered store of keys and values, open for one pool. Its
// methods may be called from any goroutine, except Close, which comes last.
type Catalogue interface {
	// View calls f with a consistent state, and returns its error.
	View(f func(Reader) error) error
	// Update calls f and makes what it has changed durable, all of it or,
	// when f or Update fails, nothing; only an error that comes from making it
	// durable leaves open which. Updates come one after the other.
	Update(f func(Writer) error) error
	// Close releases the catalogue, for others to open.
	Close() error
}

// A Reader reads a state of the catalogue. What it returns must not be changed,
// and is valid until the function it was given to returns.
type Reader interface {
	// Get returns the value of a key, or nil.
	Get(key []byte) []byte
	// Scan calls f with the keys from the given one on, in order, until it
	// returns false.
	Scan(from []byte, f func(key, value []byte) bool)
}

// A Writer changes the catalogue. It must not be changed during a Scan.
type Writer interface {
	Reader
	// Put sets the value of a key; value is kept.
	Put(key, value []byte) error
	// Delete removes a key, if it is there.
	Delete(key []byte) error
}
