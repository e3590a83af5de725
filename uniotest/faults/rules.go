package faults

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unio-stack/unio"
)

// An Action is what happens to a request.
type Action uint8

// The actions.
const (
	Error Action = 1 + iota // fail with Rule.Cause, without touching anything
	Delay                   // wait for Rule.Delay first
	Short                   // transfer at most Rule.Bytes
	Lost                    // succeed without doing anything
	Torn                    // be split into pieces of Rule.Bytes by a power cut
)

var actionNames = []string{Error: "error", Delay: "delay", Short: "short", Lost: "lost", Torn: "torn"}

func (a Action) String() string {
	if a > 0 && int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// causes are what Error rules can name.
var causes = map[string]error{
	"access": unio.ErrAccess, "busy": unio.ErrBusy, "checksum": unio.ErrChecksum,
	"disconnected": unio.ErrDisconnected, "media": unio.ErrMedia, "nospace": unio.ErrNoSpace,
	"range": unio.ErrOutOfRange, "revoked": unio.ErrRevoked, "timeout": unio.ErrTimeout,
}

// A Rule chooses requests and says what happens to them. See the package
// documentation; the zero value of each filter lets everything through.
type Rule struct {
	Op         unio.Opcode // 0 is any
	One, In    int64       // probability One/In
	After      int64
	Nth        int64
	From, To   int64 // bytes; To is not in the range, and 0 is no filter
	Region     string
	OnlyRegion bool // Region is a filter
	Unflushed  bool

	Action Action
	Cause  error         // of Error
	Delay  time.Duration // of Delay
	Bytes  int64         // of Short and Torn
}

// AtPowerCut reports whether the rule has its effect at a power cut.
func (r Rule) AtPowerCut() bool { return r.Unflushed || r.Action == Torn }

// Applies reports whether the action makes sense for the operation.
func (a Action) Applies(op unio.Opcode) bool {
	transfers := unio.Ops(unio.OpRead, unio.OpWrite, unio.OpDiscard, unio.OpWriteZeroes)
	switch a {
	case Short:
		return transfers.Has(op)
	case Lost:
		return op != unio.OpRead && transfers.Has(op) || op == unio.OpFlush
	case Torn:
		return op == unio.OpWrite || op == unio.OpWriteZeroes
	}
	return true
}

// Rules are tried in order.
type Rules []Rule

// String returns rules that Parse understands, one a line.
func (rs Rules) String() string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String returns the rule as Parse understands it.
func (r Rule) String() string {
	words := []string{"any"}
	if r.Op != 0 {
		words[0] = r.Op.String()
	}
	if r.To != 0 {
		words = append(words, "at", formatBytes(r.From)+".."+formatBytes(r.To))
	}
	if r.OnlyRegion {
		words = append(words, "region", formatName(r.Region))
	}
	if r.After != 0 {
		words = append(words, "after", strconv.FormatInt(r.After, 10))
	}
	if r.Nth != 0 {
		words = append(words, "nth", strconv.FormatInt(r.Nth, 10))
	}
	if r.In != 0 {
		words = append(words, fmt.Sprintf("%d/%d", r.One, r.In))
	}
	if r.Unflushed {
		words = append(words, "unflushed")
	}
	words = append(words, r.Action.String())
	switch r.Action {
	case Error:
		words = append(words, causeName(r.Cause))
	case Delay:
		words = append(words, r.Delay.String())
	case Short, Torn:
		words = append(words, formatBytes(r.Bytes))
	}
	return strings.Join(words, " ")
}

func causeName(cause error) string {
	for _, name := range causeNames() {
		if errors.Is(cause, causes[name]) {
			return name
		}
	}
	return "?"
}

// causeNames returns the causes that rules can name, sorted.
func causeNames() []string {
	names := make([]string, 0, len(causes))
	for name := range causes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var byteUnits = []struct {
	suffix string
	shift  int
}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}

func formatBytes(n int64) string {
	for _, u := range byteUnits {
		if n != 0 && n&(1<<u.shift-1) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatName quotes a name that is not a plain word.
func formatName(name string) string {
	for _, c := range name {
		if c <= ' ' || c == '"' || c == '#' || c > '~' {
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
