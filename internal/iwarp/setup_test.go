package iwarp

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
)

func initiatorOf(t *testing.T, cfg SetupConfig, private string) *Initiator {
	t.Helper()
	i, err := NewInitiator(cfg, []byte(private))
	must(t, err)
	return i
}

func responderOf(t *testing.T, cfg SetupConfig) *Responder {
	t.Helper()
	r, err := NewResponder(cfg)
	must(t, err)
	return r
}

func frameOctets(t *testing.T, f Frame) []byte {
	t.Helper()
	b, err := AppendFrame(nil, &f)
	must(t, err)
	return b
}

// connect runs a whole setup. The frames go over in pieces of the given size.
func connect(t *testing.T, i *Initiator, r *Responder, pieces int) (io, ro Outcome) {
	t.Helper()
	for in := i.Request(); len(in) > 0 && ro.Status == StatusPending; {
		n := min(pieces, len(in))
		used, o := r.Feed(in[:n])
		if used != n {
			t.Fatalf("%d octets used of %d", used, n)
		}
		in, ro = in[n:], o
	}
	if ro.Status == StatusDecide {
		ro = r.Accept([]byte("welcome"))
	}
	for in := ro.Send; len(in) > 0; {
		n := min(pieces, len(in))
		_, io = i.Feed(in[:n])
		in = in[n:]
	}
	return io, ro
}

func TestSetup(t *testing.T) {
	type side struct{ ird, ord uint16 }
	for _, c := range []struct {
		name string
		i, r SetupConfig
		crc  bool
		rtr  RTRSet
		// what is in force
		initiator, responder side
	}{
		{"defaults", SetupConfig{}, SetupConfig{}, true, 0, side{0, 0}, side{0, 0}},
		// RFC 6581 section 9.1.
		{"same depths", SetupConfig{IRD: 8, ORD: 8}, SetupConfig{IRD: 8, ORD: 8}, true, 0, side{8, 8}, side{8, 8}},
		{"responder has less", SetupConfig{IRD: 8, ORD: 16}, SetupConfig{IRD: 4, ORD: 2}, true, 0, side{8, 4}, side{4, 2}},
		{"responder has more", SetupConfig{IRD: 3, ORD: 2}, SetupConfig{IRD: 100, ORD: 100}, true, 0, side{3, 2}, side{2, 3}},
		{"no reads", SetupConfig{}, SetupConfig{IRD: 8, ORD: 8}, true, 0, side{0, 0}, side{0, 0}},
		{"most", SetupConfig{IRD: MaxDepth, ORD: MaxDepth}, SetupConfig{IRD: MaxDepth, ORD: MaxDepth}, true, 0, side{MaxDepth, MaxDepth}, side{MaxDepth, MaxDepth}},
		// RFC 5044 section 7.1.1, C: if either asks.
		{"initiator asks for CRC", SetupConfig{}, SetupConfig{CRC: CRCIfAsked}, true, 0, side{}, side{}},
		{"responder asks for CRC", SetupConfig{CRC: CRCIfAsked}, SetupConfig{}, true, 0, side{}, side{}},
		{"neither asks for CRC", SetupConfig{CRC: CRCIfAsked}, SetupConfig{CRC: CRCIfAsked}, false, 0, side{}, side{}},
		{"never CRC", SetupConfig{CRC: CRCNever}, SetupConfig{CRC: CRCIfAsked}, false, 0, side{}, side{}},
		// Revision 1: nothing is negotiated.
		{"plain", SetupConfig{Plain: true, IRD: 4, ORD: 5}, SetupConfig{IRD: 6, ORD: 7}, true, 0, side{4, 5}, side{6, 7}},
		// RFC 6581 section 9.2.
		{"RTR by Write", SetupConfig{RTR: RTRWrite}, SetupConfig{}, true, RTRWrite, side{}, side{}},
		{"RTR by Send", SetupConfig{RTR: RTRSend}, SetupConfig{}, true, RTRSend, side{}, side{}},
		{"RTR by Read needs a request", SetupConfig{RTR: RTRRead}, SetupConfig{}, true, RTRRead, side{0, 1}, side{1, 0}},
		{"one of many", SetupConfig{RTR: allRTR}, SetupConfig{}, true, RTRWrite, side{}, side{}},
		{"what both have", SetupConfig{RTR: RTRSend | RTRRead}, SetupConfig{RTR: RTRWrite | RTRRead}, true, RTRRead, side{0, 1}, side{1, 0}},
	} {
		for _, pieces := range []int{1, 7, 1000} {
			t.Run(fmt.Sprintf("%s, pieces of %d", c.name, pieces), func(t *testing.T) {
				i, r := initiatorOf(t, c.i, "hello"), responderOf(t, c.r)
				io, ro := connect(t, i, r, pieces)
				if io.Status != StatusReady || ro.Status != StatusReady {
					t.Fatalf("initiator %+v, responder %+v", io, ro)
				}
				is, rs := i.Settings(), r.Settings()
				if !is.Initiator || rs.Initiator || is.CRC != c.crc || rs.CRC != c.crc || is.RTR != c.rtr || rs.RTR != c.rtr {
					t.Errorf("initiator %+v, responder %+v", is, rs)
				}
				if (side{is.IRD, is.ORD}) != c.initiator || (side{rs.IRD, rs.ORD}) != c.responder {
					t.Errorf("initiator %+v, responder %+v", is, rs)
				}
				if string(r.Request().Private) != "hello" || string(i.Reply().Private) != "welcome" {
					t.Errorf("private data %q and %q", r.Request().Private, i.Reply().Private)
				}
				if is.Enhanced == c.i.Plain || is.Revision != rs.Revision {
					t.Errorf("initiator %+v, responder %+v", is, rs)
				}
			})
		}
	}
}

// TestCRCInOneFrame: "when this bit is '1' in either" (RFC 5044 section 7.1.1), also where the Reply does not repeat it.
func TestCRCInOneFrame(t *testing.T) {
	for _, c := range []struct {
		policy CRCPolicy
		reply  bool
		want   bool
	}{{CRCAlways, false, true}, {CRCIfAsked, true, true}, {CRCIfAsked, false, false}} {
		i := initiatorOf(t, SetupConfig{CRC: c.policy, Plain: true}, "")
		_, o := i.Feed(frameOctets(t, Frame{Reply: true, Revision: 1, CRC: c.reply}))
		if o.Status != StatusReady || i.Settings().CRC != c.want {
			t.Errorf("policy %d, Reply %v: %+v", c.policy, c.reply, i.Settings())
		}
	}
}

// TestDepthsLeftToTheApplications: 0x3fff, RFC 6581 section 9.1.
func TestDepthsLeftToTheApplications(t *testing.T) {
	cfg := SetupConfig{IRD: 5, ORD: 6}
	r := responderOf(t, cfg)
	r.Feed(frameOctets(t, Frame{Revision: 2, Enhanced: true, Negotiation: Negotiation{IRD: ulpDepth, ORD: ulpDepth}}))
	o := r.Accept(nil)
	f, _, err := ParseFrame(o.Send)
	if err != nil || f.Negotiation.IRD != ulpDepth || f.Negotiation.ORD != ulpDepth {
		t.Errorf("answer %+v, %v", f, err)
	}
	if s := r.Settings(); s.IRD != 5 || s.ORD != 6 || s.PeerIRD != ulpDepth {
		t.Errorf("responder %+v", s)
	}
	i := initiatorOf(t, cfg, "")
	if _, o := i.Feed(o.Send); o.Status != StatusReady {
		t.Fatalf("%+v", o)
	}
	if s := i.Settings(); s.IRD != 5 || s.ORD != 6 || s.PeerORD != ulpDepth {
		t.Errorf("initiator %+v", s)
	}
}

func TestResponderRefuses(t *testing.T) {
	enhanced := Frame{Revision: 2, Enhanced: true, Negotiation: Negotiation{IRD: 1, ORD: 1}}
	change := func(f func(*Frame)) []byte {
		g := enhanced
		f(&g)
		return frameOctets(t, g)
	}
	for _, c := range []struct {
		name   string
		cfg    SetupConfig
		in     []byte
		err    error
		reject bool // with a Reply
	}{
		// RFC 5044 section 7.1.1, Key; section 7.1.2, rule 5 and 8.
		{"wrong key", SetupConfig{}, []byte("MPA ID Reg"), ErrFrame, false},
		{"responder and responder", SetupConfig{}, change(func(f *Frame) { f.Reply = true }), ErrFrame, false},
		// Rev.
		{"revision 0", SetupConfig{}, change(func(f *Frame) { f.Enhanced, f.Revision = false, 0 }), ErrRevision, false},
		{"revision 3", SetupConfig{}, change(func(f *Frame) { f.Revision = 3 }), ErrRevision, false},
		// PD_Length, rule 9.
		{"private data too long", SetupConfig{}, []byte(requestKey + "\x00\x01\x02\x01"), ErrFrame, false},
		{"enhanced without IRD and ORD", SetupConfig{}, []byte(requestKey + "\x10\x02\x00\x00"), ErrFrame, false},
		// M.
		{"markers", SetupConfig{}, change(func(f *Frame) { f.Markers = true }), ErrMarkers, true},
		{"markers, plain", SetupConfig{}, frameOctets(t, Frame{Revision: 1, Markers: true}), ErrMarkers, true},
		// C, where an administrator forbids it.
		{"CRC", SetupConfig{CRC: CRCNever}, change(func(f *Frame) { f.CRC = true }), ErrCRC, true},
		{"early FPDU", SetupConfig{}, append(change(func(*Frame) {}), 0), ErrEarly, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := responderOf(t, c.cfg)
			_, o := r.Feed(c.in)
			if o.Status != StatusFailed || (o.Send != nil) != c.reject {
				t.Fatalf("%+v", o)
			}
			wantErr(t, o.Err, c.err)
			if c.reject {
				checkRejection(t, o.Send, c.in)
			}
			for _, o := range []Outcome{r.Accept(nil), r.Reject(nil), r.Closed(), r.Expired()} {
				wantErr(t, o.Err, ErrMisuse)
			}
		})
	}
}

// checkRejection: R set, M clear, C ours, everything else as it came, as Linux siw answers.
func checkRejection(t *testing.T, reply, request []byte) {
	t.Helper()
	f, n, err := ParseFrame(reply)
	asked, _, _ := ParseFrame(request)
	if err != nil || n != len(reply) || !f.Reply || !f.Reject || f.Markers || f.Revision != asked.Revision || f.Enhanced != asked.Enhanced {
		t.Errorf("Reply %+v, %v", f, err)
	}
	if len(f.Private) != 0 || f.Negotiation != (Negotiation{}) || asked.Markers && !f.CRC {
		t.Errorf("Reply %+v", f)
	}
}

func TestInitiatorRefuses(t *testing.T) {
	good := Frame{Reply: true, Revision: 2, Enhanced: true, CRC: true, Negotiation: Negotiation{IRD: 4, ORD: 4}}
	change := func(f func(*Frame)) []byte {
		g := good
		f(&g)
		return frameOctets(t, g)
	}
	cfg := SetupConfig{IRD: 4, ORD: 4}
	for _, c := range []struct {
		name  string
		cfg   SetupConfig
		in    []byte
		err   error
		cause Cause // of the Terminate to be sent
	}{
		{"wrong key", cfg, []byte("HTTP/1.1 400"), ErrFrame, 0},
		{"initiator and initiator", cfg, change(func(f *Frame) { f.Reply = false }), ErrFrame, 0},
		{"revision 0", cfg, change(func(f *Frame) { f.Enhanced, f.Revision = false, 0 }), ErrRevision, 0},
		{"revision 3", cfg, change(func(f *Frame) { f.Revision = 3 }), ErrRevision, 0},
		{"revision 2 in answer to 1", SetupConfig{Plain: true}, change(func(f *Frame) { f.Enhanced = false }), ErrRevision, 0},
		{"plain answer", cfg, change(func(f *Frame) { f.Enhanced = false }), ErrEnhanced, 0},
		{"plain answer of revision 1", cfg, change(func(f *Frame) { f.Enhanced, f.Revision = false, 1 }), ErrEnhanced, 0},
		{"markers", cfg, change(func(f *Frame) { f.Markers = true }), ErrMarkers, 0},
		{"CRC", SetupConfig{CRC: CRCNever}, change(func(*Frame) {}), ErrCRC, CauseMPACatastrophic},
		{"CRC, plain", SetupConfig{CRC: CRCNever, Plain: true}, frameOctets(t, Frame{Reply: true, CRC: true, Revision: 1}), ErrCRC, 0},
		{"rejected", cfg, change(func(f *Frame) { f.Reject = true }), ErrRejected, 0},
		{"rejected without IRD and ORD", cfg, frameOctets(t, Frame{Reply: true, Reject: true, Revision: 1}), ErrRejected, 0},
		// RFC 6581 section 9.1: "MUST send a TERM message".
		{"responder wants more Reads", cfg, change(func(f *Frame) { f.Negotiation.ORD = 5 }), ErrDepth, CauseIRD},
		{"responder permits too few Reads", SetupConfig{IRD: 4, ORD: 4, MinORD: 4}, change(func(f *Frame) { f.Negotiation.IRD = 3 }), ErrDepth, CauseIRD},
		// Section 9.2.
		{"no RTR in common", SetupConfig{IRD: 4, RTR: RTRSend}, change(func(f *Frame) {
			f.Negotiation.PeerToPeer, f.Negotiation.RTR = true, RTRWrite
		}), ErrRTR, CauseRTR},
		{"peer to peer ignored", SetupConfig{IRD: 4, RTR: RTRSend}, change(func(*Frame) {}), ErrRTR, CauseRTR},
		{"flags without peer to peer", SetupConfig{IRD: 4, RTR: RTRSend}, change(func(f *Frame) { f.Negotiation.RTR = RTRSend }), ErrRTR, CauseRTR},
		{"RTR by Read with IRD 0", SetupConfig{IRD: 4, RTR: RTRRead}, change(func(f *Frame) {
			f.Negotiation = Negotiation{PeerToPeer: true, RTR: RTRRead}
		}), ErrRTR, CauseRTR},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := initiatorOf(t, c.cfg, "")
			_, o := i.Feed(c.in)
			if o.Status != StatusFailed || (o.Send != nil) != (c.cause != 0) {
				t.Fatalf("%+v", o)
			}
			wantErr(t, o.Err, c.err)
			if c.cause != 0 {
				checkLastWord(t, o.Send, c.cause)
			}
			_, o = i.Feed(c.in)
			wantErr(t, o.Err, ErrMisuse)
		})
	}
}

func checkLastWord(t *testing.T, fpdu []byte, want Cause) {
	t.Helper()
	st, err := NewStream(Settings{CRC: true}, StreamConfig{})
	must(t, err)
	_, e := st.Receiver().Step(fpdu)
	if e.Kind != EventMessage || e.Segment.Opcode != OpTerminate || e.Terminate.Cause != want || e.Terminate.DDPSize != 0 {
		t.Errorf("event %+v", e)
	}
}

// TestFPDUsBehindTheReply: Linux siw does not wait for the initiator's first FPDU.
func TestFPDUsBehindTheReply(t *testing.T) {
	i, r := initiatorOf(t, SetupConfig{}, ""), responderOf(t, SetupConfig{})
	r.Feed(i.Request())
	reply := r.Accept(nil).Send
	n, o := i.Feed(append(bytes.Clone(reply), 0, 14))
	if n != len(reply) || o.Status != StatusReady {
		t.Errorf("%d octets, %+v", n, o)
	}
}

// TestDecision: the application's rejection, and what does not fit.
func TestDecision(t *testing.T) {
	i, r := initiatorOf(t, SetupConfig{ORD: 3}, "hi"), responderOf(t, SetupConfig{IRD: 2})
	r.Feed(i.Request())
	for _, o := range []Outcome{r.Accept(make([]byte, 509)), r.Reject(make([]byte, 509))} {
		wantErr(t, o.Err, ErrConfig)
		if o.Status != StatusDecide {
			t.Errorf("%+v", o)
		}
	}
	o := r.Reject([]byte("no such volume"))
	if o.Status != StatusFailed || o.Err != nil {
		t.Errorf("%+v", o)
	}
	_, o = i.Feed(o.Send)
	wantErr(t, o.Err, ErrRejected)
	if f := i.Reply(); string(f.Private) != "no such volume" || f.Negotiation.IRD != 2 {
		t.Errorf("%+v", f)
	}
}

// TestMinORD: "MAY reject the connection request if the initiator IRD is not sufficient ... and specify the required ORD"
// (RFC 6581 section 9.1).
func TestMinORD(t *testing.T) {
	i, r := initiatorOf(t, SetupConfig{IRD: 3}, ""), responderOf(t, SetupConfig{ORD: 8, MinORD: 4})
	r.Feed(i.Request())
	o := r.Accept(nil)
	wantErr(t, o.Err, ErrDepth)
	_, io := i.Feed(o.Send)
	wantErr(t, io.Err, ErrRejected)
	if i.Reply().Negotiation.ORD != 4 {
		t.Errorf("%+v", i.Reply())
	}
}

func TestTimeoutAndClose(t *testing.T) {
	for name, o := range map[string]struct {
		got  Outcome
		want error
	}{
		"initiator expires": {initiatorOf(t, SetupConfig{}, "").Expired(), ErrTimeout},
		"initiator closed":  {initiatorOf(t, SetupConfig{}, "").Closed(), ErrClosed},
		"responder expires": {responderOf(t, SetupConfig{}).Expired(), ErrTimeout},
		"responder closed":  {responderOf(t, SetupConfig{}).Closed(), ErrClosed},
	} {
		if o.got.Status != StatusFailed || !errors.Is(o.got.Err, o.want) {
			t.Errorf("%s: %+v", name, o.got)
		}
	}
}

func TestSetupConfig(t *testing.T) {
	for name, cfg := range map[string]SetupConfig{
		"CRC policy":     {CRC: 3},
		"IRD":            {IRD: MaxDepth + 1},
		"ORD":            {ORD: 0x7fff},
		"MinORD":         {MinORD: 1},
		"RTR set":        {RTR: 8},
		"RTR when plain": {Plain: true, RTR: RTRSend},
	} {
		_, err := NewInitiator(cfg, nil)
		wantErr(t, err, ErrConfig)
		if !cfg.Plain {
			_, err = NewResponder(cfg)
			wantErr(t, err, ErrConfig)
		}
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for size, cfg := range map[int]SetupConfig{512: {Plain: true}, 508: {}} {
		if _, err := NewInitiator(cfg, make([]byte, size)); err != nil {
			t.Error(err)
		}
		_, err := NewInitiator(cfg, make([]byte, size+1))
		wantErr(t, err, ErrConfig)
	}
}

// TestSetupAgainstCaptures: with the configuration that the peers had, our initiator sends what Linux siw sent and takes its
// Reply, and our responder gives the Reply that siw gave.
func TestSetupAgainstCaptures(t *testing.T) {
	siwsOwn := map[string]string{
		"gso-write.pcap":          "echoes a flag of its own",
		"p2p-no-rtr-offered.pcap": "asks for peer-to-peer without naming an RTR",
		"crc-refused.pcap":        "IRD and ORD of a rejection are 0",
	}
	for _, name := range captureFiles(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if siwsOwn[filepath.Base(name)] != "" {
				t.Skip(siwsOwn[filepath.Base(name)])
			}
			connections, err := replayFile(name)
			must(t, err)
			for _, c := range connections {
				checkSetup(t, &c.request, &c.reply)
			}
		})
	}
}

func checkSetup(t *testing.T, request, reply *Frame) {
	t.Helper()
	cfg := SetupConfig{
		CRC: CRCIfAsked, Plain: request.Revision == 1,
		IRD: request.Negotiation.IRD, ORD: request.Negotiation.ORD, RTR: request.Negotiation.RTR,
	}
	if request.CRC {
		cfg.CRC = CRCAlways
	}
	i, err := NewInitiator(cfg, request.Private)
	must(t, err)
	if !bytes.Equal(i.Request(), frameOctets(t, *request)) {
		t.Errorf("Request\n% x, siw's\n% x", i.Request(), frameOctets(t, *request))
	}
	siws := frameOctets(t, *reply)
	_, o := i.Feed(siws)
	if reply.Reject != errors.Is(o.Err, ErrRejected) || !reply.Reject && o.Status != StatusReady {
		t.Errorf("siw's Reply: %+v", o)
	}
	r := responderOf(t, SetupConfig{CRC: CRCIfAsked, IRD: max(reply.Negotiation.IRD, request.Negotiation.ORD), ORD: reply.Negotiation.ORD})
	r.Feed(i.Request())
	if o = r.Accept(reply.Private); reply.Reject {
		r = responderOf(t, SetupConfig{CRC: CRCIfAsked, IRD: reply.Negotiation.IRD, ORD: reply.Negotiation.ORD})
		r.Feed(i.Request())
		o = r.Reject(reply.Private)
	}
	ours, _, err := ParseFrame(o.Send)
	if err != nil || !reflect.DeepEqual(ours, *reply) {
		t.Errorf("Reply\n%+v, siw's\n%+v", ours, *reply)
	}
}
