package uniotest

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// Size is how many bytes of its region the suite uses.
const Size = 4 << 20

// A Config says how to reach the device under test.
type Config struct {
	// Open opens a fresh device whose region has at least Size bytes, all
	// zero. The suite closes it. It is called several times, also while a
	// device that it returned earlier is open. Required.
	Open func(t testing.TB) *unio.Device
	// Region is the name to attach; default "".
	Region string
	// Reopen opens once more the medium of dev, which the suite has closed.
	// Leave it nil where nothing outlives the device.
	Reopen func(t testing.TB, dev *unio.Device) *unio.Device
	// Crash cuts the power of dev, which may have requests in flight, and
	// opens what is left of its medium. It closes dev. Leave it nil where a
	// crash cannot be simulated.
	Crash func(t testing.TB, dev *unio.Device) *unio.Device
	// Allocates says that the device is a test double that allocates memory
	// for every request.
	Allocates bool
	// Patience is how long a request may take before it counts as lost;
	// default 20 seconds.
	Patience time.Duration
}

const defaultPatience = 20 * time.Second

var (
	seedFlag  = flag.Uint64("uniotest.seed", 0, "repeat the random histories of this seed; 0 takes a new one")
	scaleFlag = flag.Int("uniotest.n", 0, "percent of the usual number of rounds; 0 is 100, or 25 with -short")
)

// withDefaults checks the configuration and fills in what is left out.
func (c Config) withDefaults(t *testing.T) Config {
	t.Helper()
	if c.Open == nil {
		t.Fatal("uniotest: Config.Open is nil; it must open the device to test")
	}
	if c.Patience <= 0 {
		c.Patience = defaultPatience
	}
	return c
}

// seed returns the seed of this run.
func seed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	if s, err := strconv.ParseUint(os.Getenv("UNIOTEST_SEED"), 10, 64); err == nil && s != 0 {
		return s
	}
	return uint64(time.Now().UnixNano())
}

// scale returns how much to do, in percent.
func scale() int {
	if *scaleFlag > 0 {
		return *scaleFlag
	}
	if n, err := strconv.Atoi(os.Getenv("UNIOTEST_N")); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		return 25
	}
	return 100
}
