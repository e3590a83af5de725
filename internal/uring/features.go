package uring

// FeatureID names one thing that kernels have or lack.
type FeatureID int

// The features that Probe reports, in the order of [Features.List].
const (
	FeatureRing           FeatureID = iota // rings at all, with what New always needs
	FeatureEventfd                         // RegisterEventfd
	FeatureEventfdDisable                  // SetEventfdEnabled
	FeatureReadWrite                       // Read, Write
	FeatureFallocate                       // Fallocate
	FeatureAsyncCancel                     // AsyncCancel by user data
	FeatureAttach                          // Config.AttachTo
	FeatureSQPoll                          // Config.SQPoll without privileges, on plain descriptors
	FeatureExtArg                          // timeouts in SubmitAndWait
	FeatureBufferUpdate                    // UpdateBuffer, ClearBuffer
	FeatureWorkers                         // RegisterIOWQMaxWorkers
	FeatureCQESkip                         // SQECQESkipSuccess
	FeatureSubmitAll                       // a bad request does not stop the batch
	FeatureMsgRing                         // MsgRing
	FeatureRingFD                          // RegisterRingFD
	FeatureSparse                          // empty tables without giving them whole
	FeatureCancelAll                       // CancelAll, CancelAny
	FeatureCoopTaskrun                     // Config.CoopTaskrun
	FeatureSingleIssuer                    // Config.SingleIssuer
	FeatureSyncCancel                      // SyncCancel
	FeatureDeferTaskrun                    // Config.DeferTaskrun
	FeatureNoSQArray                       // submission without an index array
	FeatureIOPoll                          // Config.IOPoll; whether a device polls is its own matter
	FeatureHybridIOPoll                    // Config.HybridIOPoll
	FeatureVectoredFixed                   // ReadvFixed, WritevFixed
	featureCount
)

// featureTable gives each feature's name and the kernel that brought it.
var featureTable = [featureCount]struct {
	name  string
	needs Version
}{
	FeatureRing:           {"ring", Version{5, 6}},
	FeatureEventfd:        {"eventfd", Version{5, 2}},
	FeatureEventfdDisable: {"eventfd-disable", Version{5, 8}},
	FeatureReadWrite:      {"read-write", Version{5, 6}},
	FeatureFallocate:      {"fallocate", Version{5, 6}},
	FeatureAsyncCancel:    {"async-cancel", Version{5, 5}},
	FeatureAttach:         {"attach", Version{5, 6}},
	FeatureSQPoll:         {"sqpoll", Version{5, 11}},
	FeatureExtArg:         {"ext-arg", Version{5, 11}},
	FeatureBufferUpdate:   {"buffer-update", Version{5, 13}},
	FeatureWorkers:        {"iowq-max-workers", Version{5, 15}},
	FeatureCQESkip:        {"cqe-skip", Version{5, 17}},
	FeatureSubmitAll:      {"submit-all", Version{5, 18}},
	FeatureMsgRing:        {"msg-ring", Version{5, 18}},
	FeatureRingFD:         {"ring-fd", Version{5, 18}},
	FeatureSparse:         {"sparse-tables", Version{5, 19}},
	FeatureCancelAll:      {"cancel-all", Version{5, 19}},
	FeatureCoopTaskrun:    {"coop-taskrun", Version{5, 19}},
	FeatureSingleIssuer:   {"single-issuer", Version{6, 0}},
	FeatureSyncCancel:     {"sync-cancel", Version{6, 0}},
	FeatureDeferTaskrun:   {"defer-taskrun", Version{6, 1}},
	FeatureNoSQArray:      {"no-sqarray", Version{6, 6}},
	FeatureIOPoll:         {"iopoll", Version{5, 1}},
	FeatureHybridIOPoll:   {"hybrid-iopoll", Version{6, 13}},
	FeatureVectoredFixed:  {"vectored-fixed", Version{6, 15}},
}

// String is the feature's name as a person and JSON read it.
func (id FeatureID) String() string {
	if id < 0 || id >= featureCount {
		return "unknown"
	}
	return featureTable[id].name
}

// Needs is the kernel version that brought the feature.
func (id FeatureID) Needs() Version {
	if id < 0 || id >= featureCount {
		return Version{}
	}
	return featureTable[id].needs
}

// Feature is what Probe found about one feature.
type Feature struct {
	ID        FeatureID `json:"-"`
	Name      string    `json:"name"`
	Available bool      `json:"available"`
	Needs     Version   `json:"needs"`         // the kernel version that brought it
	Why       string    `json:"why,omitempty"` // when absent: the cause
}

// Features is what Probe found on this system.
type Features struct {
	Release string    `json:"release"`           // the kernel's own name for itself
	Kernel  Version   `json:"kernel"`            // its version
	Refused string    `json:"refused,omitempty"` // who forbids io_uring here: a sysctl or a seccomp filter
	List    []Feature `json:"features"`
}

// Has tells whether the feature is available. A nil receiver has none.
func (f *Features) Has(id FeatureID) bool { return f.Get(id).Available }

// Get is what was found about one feature.
func (f *Features) Get(id FeatureID) Feature {
	if f == nil || id < 0 || int(id) >= len(f.List) {
		return Feature{ID: id, Name: id.String(), Needs: id.Needs(), Why: "not probed"}
	}
	return f.List[id]
}

// newFeatures lists every feature as absent for one reason.
func newFeatures(why string) *Features {
	f := &Features{List: make([]Feature, featureCount)}
	for id := range featureCount {
		f.List[id] = Feature{ID: id, Name: id.String(), Needs: id.Needs(), Why: why}
	}
	return f
}
