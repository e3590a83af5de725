package file

// Config says how to open a file. The zero value works for a file that exists.
type Config struct {
	// Size, in bytes, makes the file at least this long. 0 leaves it.
	Size int64
	// Create makes the file if it does not exist; then Size is needed. Its
	// space is reserved, unless Sparse.
	Create bool
	// Sparse leaves new space of the file unreserved: it is found, or not, when
	// it is written.
	Sparse bool
	// ReadOnly opens the file for reading.
	ReadOnly bool
	// Direct says whether to bypass the page cache. Default Auto.
	Direct Direct
	// Engine says how requests reach the kernel. Default EngineAuto.
	Engine Engine
	// SQPoll has a kernel thread take requests, so that posting costs no system
	// call; it keeps a processor busy while there is work and 2 ms after.
	SQPoll bool
	// IOPoll polls the device for completions, in the kernel, instead of waiting
	// for its interrupt. It needs Direct and a device with poll queues.
	IOPoll IOPoll
	// Workers bounds the threads of the posix engine. Default 32.
	Workers int
}

// Direct says whether to bypass the page cache.
type Direct string

// The ways to treat the page cache.
const (
	Auto     Direct = "auto" // bypass it where the file allows
	Required Direct = "on"   // bypass it or fail
	Buffered Direct = "off"  // use it
)

// Engine says how requests reach the kernel.
type Engine string

// The engines.
const (
	EngineAuto  Engine = "auto"     // IOURing where the kernel permits it
	EngineRing  Engine = "io_uring" // or fail
	EnginePosix Engine = "posix"    // blocking system calls on worker threads
)

// IOPoll says how the kernel learns of completions.
type IOPoll string

// The ways to learn of completions.
const (
	IOPollOff    IOPoll = "off"    // by interrupt
	IOPollOn     IOPoll = "on"     // by polling
	IOPollHybrid IOPoll = "hybrid" // by sleeping part of the time, then polling
)

const defaultWorkers = 32
