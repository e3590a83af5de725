//go:build linux

package uring

import (
	"math"
	"os"
	"time"
)

func (c *Config) entries() uint32 {
	if c.Entries == 0 {
		return DefaultEntries
	}
	return c.Entries
}

// check finds settings that contradict each other, which the kernel would answer with a bare EINVAL.
func (c *Config) check() error {
	for _, rule := range []struct {
		broken bool
		why    string
	}{
		{c.DeferTaskrun && !c.SingleIssuer, "DeferTaskrun needs SingleIssuer"},
		{c.SQPoll && c.DeferTaskrun, "DeferTaskrun and SQPoll exclude each other"},
		{c.SQPoll && c.CoopTaskrun, "CoopTaskrun and SQPoll exclude each other"},
		{c.HybridIOPoll && !c.IOPoll, "HybridIOPoll needs IOPoll"},
		{c.SQPin && !c.SQPoll, "SQPin needs SQPoll"},
		{c.SQIdle != 0 && !c.SQPoll, "SQIdle needs SQPoll"},
		{c.SQIdle < 0 || c.SQIdle/time.Millisecond > math.MaxUint32, "SQIdle is out of range"},
		{c.SQIdle > 0 && c.SQIdle < time.Millisecond, "SQIdle is less than a millisecond"},
		{c.CQEntries != 0 && c.CQEntries < c.entries(), "CQEntries is less than Entries"},
	} {
		if rule.broken {
			return &ConfigError{Why: rule.why}
		}
	}
	return nil
}

func (c *Config) params() (params, error) {
	if err := c.check(); err != nil {
		return params{}, err
	}
	p := params{flags: c.setupFlags(), cqEntries: c.CQEntries}
	if c.SQPoll {
		p.sqThreadIdle = uint32(c.SQIdle / time.Millisecond)
		p.sqThreadCPU = c.SQCPU
	}
	return p, nil
}

func (c *Config) setupFlags() uint32 {
	flags := uint32(setupClamp)
	for _, f := range []struct {
		on   bool
		bits uint32
	}{
		{c.CQEntries != 0, setupCQSize},
		{c.SingleIssuer, setupSingleIssuer},
		{c.DeferTaskrun, setupDeferTaskrun | setupTaskrunFlag},
		{c.CoopTaskrun, setupCoopTaskrun | setupTaskrunFlag},
		{c.SQPoll, setupSQPoll},
		{c.SQPin, setupSQAff},
		{c.IOPoll, setupIOPoll},
		{c.HybridIOPoll, setupHybridIOPoll},
		{c.AttachTo != nil, setupAttachWQ},
	} {
		if f.on {
			flags |= f.bits
		}
	}
	return flags
}

// ConfigError says which settings contradict each other. It Is os.ErrInvalid.
type ConfigError struct{ Why string }

func (e *ConfigError) Error() string { return "uring: config: " + e.Why }

// Is makes a ConfigError os.ErrInvalid.
func (e *ConfigError) Is(target error) bool { return target == os.ErrInvalid }
