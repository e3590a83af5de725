package evaluation

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/unio-stack/unio"
)

// An Answer says whether a claim held when it was tried.
type Answer string

// The answers.
const (
	Yes    Answer = "yes"
	No     Answer = "no"
	NotRun Answer = "not run" // it could not be tried here
)

// A Check is a claim, and what came of trying it.
type Check struct {
	Property string `json:"property"`
	Claim    string `json:"claim"`
	Tried    string `json:"tried"` // what was done
	Answer   Answer `json:"answer"`
	Figure   string `json:"figure,omitempty"` // what was counted
	Reason   string `json:"reason,omitempty"` // why the answer is not yes
	// Broken: the answer is no, although unio says that it can.
	Broken bool `json:"broken,omitempty"`
}

// A trial is how a claim is tried. The error says why it does not hold.
type trial struct {
	property, claim, tried string
	run                    func(ctx context.Context, l *lab) (figure string, err error)
}

var (
	// errNotOffered: unio does not say that it can do this.
	errNotOffered = errors.New("not offered")
	// errCannotTry: this machine has not what it takes.
	errCannotTry = errors.New("it cannot be tried here")
)

// patience is how long a trial may take.
const patience = 20 * time.Second

// try carries the trial out.
func (t trial) try(ctx context.Context, l *lab) Check {
	c := Check{Property: t.property, Claim: t.claim, Tried: t.tried, Answer: Yes}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: not done within %v", unio.ErrTimeout, patience))
	defer cancel()
	var err error
	c.Figure, err = t.run(ctx, l)
	if err == nil {
		return c
	}
	c.Answer, c.Reason = No, err.Error()
	switch {
	case errors.Is(err, errNotOffered):
	case errors.Is(err, errCannotTry), runtime.GOOS != "linux" && errors.Is(err, unio.ErrUnsupported):
		c.Answer = NotRun
	default:
		c.Broken = true
	}
	return c
}

// checks lists the trials, property by property.
func checks() []trial {
	var all []trial
	for _, p := range []struct {
		property string
		trials   []trial
	}{
		{"private channels", privateTrials()},
		{"asynchronous posting", asynchronousTrials()},
		{"polled completion", polledTrials()},
		{"registered memory, zero copy", copyTrials()},
		{"byte addressing", byteTrials()},
		{"rich operations", operationTrials()},
		{"protection", protectionTrials()},
		{"order and durability", durableTrials()},
		{"one stack, local and remote", unifiedTrials()},
		{"help of the hardware", hardwareTrials()},
	} {
		for _, t := range p.trials {
			t.property = p.property
			all = append(all, t)
		}
	}
	return all
}
