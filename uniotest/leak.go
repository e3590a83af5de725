package uniotest

import (
	"fmt"
	"os"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio/internal/memory"
)

// An inventory is what the process holds at one moment.
type inventory struct {
	goroutines goleak.Option
	blocks     int
	files      map[string]int // open descriptors by what they refer to
	mappings   map[string]int // mappings that have a name, by it
}

// takeInventory notes what there is.
func takeInventory() inventory {
	startPoller()
	blocks, _ := memory.Live()
	return inventory{
		goroutines: goleak.IgnoreCurrent(),
		blocks:     blocks, files: openFiles(), mappings: namedMappings(),
	}
}

// leaks describes what there is now that was not there then.
func (v inventory) leaks() (found []string) {
	if err := goleak.Find(v.goroutines); err != nil {
		found = append(found, "goroutines: "+err.Error())
	}
	if n, size := memory.Live(); n > v.blocks {
		found = append(found, fmt.Sprintf("%d Buffers (%d bytes in all; %d were there before)", n-v.blocks, size, v.blocks))
	}
	found = append(found, surplus("open descriptors of", v.files, openFiles())...)
	return append(found, surplus("mappings of", v.mappings, namedMappings())...)
}

// surplus describes what there is more of after than before.
func surplus(what string, before, after map[string]int) (found []string) {
	for name, n := range after {
		if n > before[name] {
			found = append(found, fmt.Sprintf("%d %s %s", n-before[name], what, name))
		}
	}
	return found
}

// startPoller makes the runtime open the descriptors of its poller, so that
// they do not count as leaks.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		_ = r.Close()
		_ = w.Close()
	}
}
