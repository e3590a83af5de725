package iwarp

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	req, rep := hex.EncodeToString([]byte(requestKey)), hex.EncodeToString([]byte(replyKey))
	for _, c := range []struct {
		name, octets string
		frame        Frame
	}{
		{"plain", req + "40" + "01" + "0000", Frame{CRC: true, Revision: 1, Private: []byte{}}},
		{"plain with private data", req + "00" + "01" + "0002" + "6869", Frame{Revision: 1, Private: []byte("hi")}},
		{"S is reserved in revision 1", req + "10" + "01" + "0000", Frame{Revision: 1, Reserved: 0x10, Private: []byte{}}},
		{"rejecting", rep + "20" + "01" + "0000", Frame{Reply: true, Reject: true, Revision: 1, Private: []byte{}}},
		{"markers", req + "80" + "01" + "0000", Frame{Markers: true, Revision: 1, Private: []byte{}}},
		{
			"enhanced", req + "50" + "02" + "0006" + "00080010" + "6869",
			Frame{CRC: true, Enhanced: true, Revision: 2, Negotiation: Negotiation{IRD: 8, ORD: 16}, Private: []byte("hi")},
		},
		{
			"peer to peer", rep + "10" + "02" + "0004" + "c001c002",
			Frame{Reply: true, Enhanced: true, Revision: 2, Negotiation: Negotiation{IRD: 1, ORD: 2, PeerToPeer: true, RTR: allRTR}, Private: []byte{}},
		},
		{"revision 2, not enhanced", req + "00" + "02" + "0000", Frame{Revision: 2, Private: []byte{}}},
		{"all reserved bits", req + "0f" + "02" + "0000", Frame{Reserved: 0xf, Revision: 2, Private: []byte{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			octets, _ := hex.DecodeString(c.octets)
			f, n, err := ParseFrame(append(bytes.Clone(octets), "more"...))
			if err != nil || n != len(octets) || !reflect.DeepEqual(f, c.frame) {
				t.Errorf("%+v, %d octets, %v\nwant %+v", f, n, err, c.frame)
			}
			if again, err := AppendFrame(nil, &f); err != nil || !bytes.Equal(again, octets) {
				t.Errorf("encoded as %x, %v\nwant       %s", again, err, c.octets)
			}
			for i := range octets {
				if _, n, err := ParseFrame(octets[:i]); err != nil || n <= i {
					t.Errorf("%d octets: %d, %v", i, n, err)
				}
			}
		})
	}
}

func TestMalformedFrames(t *testing.T) {
	for name, octets := range map[string]string{
		"wrong key":                    "MPA ID Rex Frame",
		"wrong from the first octet":   "G",
		"too much private data":        requestKey + "\x00\x01\x02\x01",
		"enhanced without IRD and ORD": requestKey + "\x10\x02\x00\x03",
		"HTTP":                         "GET / HTTP/1.1\r\n",
	} {
		_, _, err := ParseFrame([]byte(octets))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		wantErr(t, err, ErrFrame)
	}
	if _, n, err := ParseFrame([]byte(requestKey + "\x00\x01\x02\x00")); err != nil || n != frameHeaderSize+MaxPrivateData {
		t.Errorf("512 octets of private data: %d, %v", n, err)
	}
}

func TestFrameLimits(t *testing.T) {
	for name, f := range map[string]Frame{
		"513 octets":          {Revision: 1, Private: make([]byte, 513)},
		"509 octets enhanced": {Revision: 2, Enhanced: true, Private: make([]byte, 509)},
		"enhanced revision 1": {Revision: 1, Enhanced: true},
		"IRD of 15 bits":      {Revision: 2, Enhanced: true, Negotiation: Negotiation{IRD: 0x4000}},
		"ORD of 15 bits":      {Revision: 2, Enhanced: true, Negotiation: Negotiation{ORD: 0x4000}},
	} {
		_, err := AppendFrame(nil, &f)
		if err == nil || !strings.HasPrefix(err.Error(), ErrConfig.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := AppendFrame(nil, &Frame{Revision: 2, Enhanced: true, Private: make([]byte, 508)}); err != nil || len(b) != 532 {
		t.Errorf("%d octets, %v", len(b), err)
	}
}
