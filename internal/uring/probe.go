//go:build linux

package uring

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Probe asks the kernel what it offers, by its own tables where it has them and otherwise by trying on small rings that
// it closes again. It takes around a millisecond; nothing is remembered between calls. From any goroutine.
//
// When rings are refused altogether the Features say why for each of them, Refused names a policy that forbids
// them, and the error is that of New.
func Probe() (*Features, error) {
	runtime.LockOSThread() // the trial rings of one thread
	defer runtime.UnlockOSThread()
	ring, err := New(Config{Entries: 4})
	if err != nil {
		return refusedFeatures(err), err
	}
	defer ring.Close()
	f := newFeatures("")
	f.Release, f.Kernel = kernelRelease(), runningKernel()
	p := &prober{ring: ring}
	if err := p.readOps(); err != nil {
		return refusedFeatures(err), err
	}
	for id := range featureCount {
		f.List[id] = p.judge(f.List[id], f.Kernel)
	}
	return f, nil
}

// refusedFeatures is what a system that gives no rings has.
func refusedFeatures(err error) *Features {
	f := newFeatures(err.Error())
	f.Release, f.Kernel = kernelRelease(), runningKernel()
	if errors.Is(err, unix.EPERM) {
		if r := refusal(); r.known {
			f.Refused = r.reason
		}
	}
	return f
}

// prober checks one feature at a time on a plain ring.
type prober struct {
	ring *Ring
	ops  [probeOps]bool // IORING_REGISTER_PROBE's answer
}

// judge fills in what the check of one feature found.
func (p *prober) judge(f Feature, kernel Version) Feature {
	err := featureChecks[f.ID](p)
	f.Available = err == nil
	switch {
	case err == nil:
	case kernel.Before(f.Needs):
		f.Why = fmt.Sprintf("needs Linux %s; this is %s", f.Needs, kernel)
	default:
		f.Why = err.Error()
	}
	return f
}

// readOps asks which opcodes the kernel knows.
func (p *prober) readOps() error {
	reg := new(probeReg)
	_, err := p.ring.register("PROBE", Version{5, 6}, registerProbe, unsafe.Pointer(reg), probeOps)
	if err != nil {
		return err
	}
	for i, op := range reg.ops {
		p.ops[i] = i < int(reg.opsLen) && op.flags&opSupported != 0
	}
	return nil
}

// featureChecks holds one check per feature: nil means available.
var featureChecks = [featureCount]func(*prober) error{
	FeatureRing:           func(*prober) error { return nil },
	FeatureEventfd:        (*prober).eventfd,
	FeatureEventfdDisable: hasCQFlags,
	FeatureReadWrite:      hasOps(opRead, opWrite),
	FeatureFallocate:      hasOps(opFallocate),
	FeatureAsyncCancel:    hasOps(opAsyncCancel),
	FeatureAttach:         (*prober).attach,
	FeatureSQPoll:         (*prober).sqPoll,
	FeatureExtArg:         hasBits(featExtArg, "IORING_FEAT_EXT_ARG"),
	FeatureBufferUpdate:   hasBits(featRsrcTags, "IORING_FEAT_RSRC_TAGS"),
	FeatureWorkers:        (*prober).workers,
	FeatureCQESkip:        hasBits(featCQESkip, "IORING_FEAT_CQE_SKIP"),
	FeatureSubmitAll:      hasSetup(setupSubmitAll, "IORING_SETUP_SUBMIT_ALL"),
	FeatureMsgRing:        hasOps(opMsgRing),
	FeatureRingFD:         (*prober).ringFD,
	FeatureSparse:         (*prober).sparse,
	FeatureCancelAll:      (*prober).cancelAll,
	FeatureCoopTaskrun:    opens(Config{CoopTaskrun: true}),
	FeatureSingleIssuer:   opens(Config{SingleIssuer: true}),
	FeatureSyncCancel:     (*prober).syncCancel,
	FeatureDeferTaskrun:   opens(Config{SingleIssuer: true, DeferTaskrun: true}),
	FeatureNoSQArray:      hasSetup(setupNoSQArray, "IORING_SETUP_NO_SQARRAY"),
	FeatureIOPoll:         opens(Config{IOPoll: true}),
	FeatureHybridIOPoll:   opens(Config{IOPoll: true, HybridIOPoll: true}),
	FeatureVectoredFixed:  hasOps(opReadvFixed, opWritevFixed),
}

// opens checks that a ring of that kind can be made.
func opens(c Config) func(*prober) error {
	c.Entries = 4
	return func(*prober) error {
		r, err := New(c)
		if err != nil {
			return err
		}
		return r.Close()
	}
}

func hasOps(ops ...int) func(*prober) error {
	return func(p *prober) error {
		for _, op := range ops {
			if !p.ops[op] {
				return fmt.Errorf("the kernel's list of operations lacks number %d", op)
			}
		}
		return nil
	}
}

func hasBits(bit uint32, name string) func(*prober) error {
	return func(p *prober) error {
		if p.ring.features&bit == 0 {
			return fmt.Errorf("the kernel does not report %s", name)
		}
		return nil
	}
}

// hasSetup checks a flag that New sets where it can.
func hasSetup(bit uint32, name string) func(*prober) error {
	return func(p *prober) error {
		if p.ring.setupFlags&bit == 0 {
			return fmt.Errorf("the kernel does not take %s", name)
		}
		return nil
	}
}

func hasCQFlags(p *prober) error {
	if !p.ring.cqFlagsMapped {
		return errors.New("the kernel's completion ring has no flags")
	}
	return nil
}

func (p *prober) eventfd() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	defer unix.Close(fd)
	if err := p.ring.RegisterEventfd(fd); err != nil {
		return err
	}
	return p.ring.UnregisterEventfd()
}

func (p *prober) attach() error { return opens(Config{AttachTo: p.ring})(p) }

func (p *prober) sqPoll() error {
	if err := opens(Config{SQPoll: true})(p); err != nil {
		return err
	}
	return hasBits(featSQPollNonfixed, "IORING_FEAT_SQPOLL_NONFIXED")(p)
}

func (p *prober) workers() error {
	_, _, err := p.ring.RegisterIOWQMaxWorkers(0, 0) // reads the limits
	return err
}

func (p *prober) ringFD() error {
	if err := p.ring.RegisterRingFD(); err != nil {
		return err
	}
	return p.ring.UnregisterRingFD()
}

// sparse asks for both tables with the flag itself, without the fall-back that the Register calls have.
func (p *prober) sparse() error {
	reg := &rsrcRegister{nr: 1, flags: rsrcRegisterSparse}
	size := unsafe.Sizeof(*reg)
	if _, err := p.ring.register("FILES2", Version{5, 19}, registerFiles2, unsafe.Pointer(reg), size); err != nil {
		return err
	}
	if err := p.ring.UnregisterFiles(); err != nil {
		return err
	}
	if _, err := p.ring.register("BUFFERS2", Version{5, 19}, registerBuffers2, unsafe.Pointer(reg), size); err != nil {
		return err
	}
	return p.ring.UnregisterBuffers()
}

// cancelAll cancels everything on a ring where nothing runs: kernels without the flags say EINVAL.
func (p *prober) cancelAll() error {
	sqe := p.ring.Next()
	if sqe == nil {
		return errors.New("the trial ring is full")
	}
	sqe.AsyncCancel(0, CancelAll|CancelAny)
	if _, err := p.ring.Submit(); err != nil {
		return err
	}
	var done [1]CQE
	if p.ring.Reap(done[:]) != 1 {
		return errors.New("the trial request did not complete")
	}
	if err := done[0].Err(); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// syncCancel cancels a request that is not there, which SyncCancel answers with success.
func (p *prober) syncCancel() error {
	_, err := p.ring.SyncCancel(^uint64(0), 0, 0)
	return err
}
