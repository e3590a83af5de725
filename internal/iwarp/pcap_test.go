package iwarp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// This file reads classic pcap files and puts TCP streams together.

// A flow is one direction of a TCP connection.
type flow struct{ from, to netip.AddrPort }

func (f flow) reverse() flow { return flow{f.to, f.from} }

// A chunk is new, in-order data of a flow, at the place in the capture where it became readable.
type chunk struct {
	flow flow
	data []byte
}

// readCapture returns the data of all TCP flows of a capture, in the order in which it came.
func readCapture(name string) ([]chunk, error) {
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	packets, err := pcapPackets(file)
	if err != nil {
		return nil, err
	}
	streams := map[flow]*tcpStream{}
	var chunks []chunk
	for i, p := range packets {
		f, segment, err := tcpSegmentOf(p.link, p.data)
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", i+1, err)
		}
		if segment == nil {
			continue
		}
		if streams[f] == nil {
			streams[f] = &tcpStream{}
		}
		if data := streams[f].add(segment); len(data) > 0 {
			chunks = append(chunks, chunk{f, data})
		}
	}
	for f, s := range streams {
		if len(s.early) > 0 {
			return nil, fmt.Errorf("%v to %v: octets are missing from the capture", f.from, f.to)
		}
	}
	return chunks, nil
}

type packet struct {
	link uint32
	data []byte
}

func pcapPackets(b []byte) ([]packet, error) {
	if len(b) < 24 {
		return nil, errors.New("not a pcap file")
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch binary.LittleEndian.Uint32(b) {
	case 0xa1b2c3d4, 0xa1b23c4d:
	case 0xd4c3b2a1, 0x4d3cb2a1:
		order = binary.BigEndian
	default:
		return nil, errors.New("not a pcap file")
	}
	link := order.Uint32(b[20:]) & 0xfffffff
	var packets []packet
	for b = b[24:]; len(b) > 0; {
		if len(b) < 16 || uint64(len(b)-16) < uint64(order.Uint32(b[8:])) {
			return nil, errors.New("truncated pcap file")
		}
		n := order.Uint32(b[8:])
		if n != order.Uint32(b[12:]) {
			return nil, errors.New("packets were cut off by the capture")
		}
		packets = append(packets, packet{link, b[16 : 16+n]})
		b = b[16+n:]
	}
	return packets, nil
}

// tcpSegmentOf finds the TCP segment in a packet; it returns nil if there is none.
func tcpSegmentOf(link uint32, b []byte) (flow, []byte, error) {
	skip := map[uint32]int{1: 14, 101: 0, 113: 16, 276: 20} // Ethernet, IP, Linux cooked 1 and 2
	n, known := skip[link]
	if !known {
		return flow{}, nil, fmt.Errorf("link type %d", link)
	}
	if link == 1 && len(b) >= 18 && binary.BigEndian.Uint16(b[12:]) == 0x8100 {
		n += 4
	}
	if len(b) < n+20 {
		return flow{}, nil, nil
	}
	b = b[n:]
	switch {
	case b[0]>>4 == 4 && b[9] == 6:
		return ipv4Segment(b)
	case b[0]>>4 == 6 && len(b) >= 40 && b[6] == 6:
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		from, _ := netip.AddrFromSlice(b[8:24])
		to, _ := netip.AddrFromSlice(b[24:40])
		return withPorts(from, to, b, 40, total)
	}
	return flow{}, nil, nil
}

func ipv4Segment(b []byte) (flow, []byte, error) {
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return flow{}, nil, errors.New("fragment")
	}
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	return withPorts(from, to, b, int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:])))
}

func withPorts(from, to netip.Addr, b []byte, start, end int) (flow, []byte, error) {
	if end > len(b) || end-start < 20 {
		return flow{}, nil, errors.New("truncated packet")
	}
	s := b[start:end]
	f := flow{
		netip.AddrPortFrom(from, binary.BigEndian.Uint16(s)),
		netip.AddrPortFrom(to, binary.BigEndian.Uint16(s[2:])),
	}
	return f, s, nil
}

// A tcpStream puts segments in order.
type tcpStream struct {
	known bool
	next  uint32            // sequence number that is due
	early map[uint32][]byte // segments beyond it, by sequence number
}

func (s *tcpStream) add(segment []byte) []byte {
	seq, flags := binary.BigEndian.Uint32(segment[4:]), segment[13]
	header := int(segment[12]>>4) * 4
	if header > len(segment) {
		return nil
	}
	data := segment[header:]
	const syn = 2
	if flags&syn != 0 {
		seq++
	}
	if !s.known {
		s.known, s.next, s.early = true, seq, map[uint32][]byte{}
	}
	if len(data) > 0 {
		if old, ok := s.early[seq]; !ok || len(old) < len(data) {
			s.early[seq] = data
		}
	}
	return s.drain()
}

// drain removes what is due from early.
func (s *tcpStream) drain() []byte {
	var out []byte
	for progress := true; progress; {
		progress = false
		for seq, data := range s.early {
			done := int32(s.next - seq) // octets of data that came before
			if done < 0 {
				continue
			}
			delete(s.early, seq)
			if int(done) < len(data) {
				out = append(out, data[done:]...)
				s.next += uint32(len(data)) - uint32(done)
				progress = true
			}
		}
	}
	return out
}
