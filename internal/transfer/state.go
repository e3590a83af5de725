package transfer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An Identity tells whether a file is still the one it was. What does not
// apply is zero.
type Identity struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time,omitempty"` // Unix nanoseconds
	Device  uint64 `json:"device,omitempty"`
	Inode   uint64 `json:"inode,omitempty"`
}

// A Header says which copy a State is about.
type Header struct {
	Format string   `json:"format"` // set by OpenState
	Source Identity `json:"source"`
	Target Identity `json:"target"`
	Chunk  int      `json:"chunk"` // bytes
}

// stateFormat changes when the file's layout does.
const stateFormat = "unio-cp-1"

// A State is the progress of a copy in a file, for a later call to take up.
//
// The file begins with its Header as a line of JSON. After that come records,
// each appended once what it tells is durable on the target: a count n, n
// CRC32C of the next n chunks, and a CRC32C of the record so far, all 32 bits
// little-endian. Reading stops at the first record that is not whole, so a
// State never says more than is so. It has one owner at a time.
type State struct {
	f    *os.File
	path string
	sums []uint32 // what the file says
}

// OpenState takes up the state in a file, if it is about the same copy, and
// otherwise begins a new one. why says, when a state that was there is not
// taken up, what differs.
func OpenState(path string, h Header) (s *State, why string, err error) {
	h.Format = stateFormat
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	s = &State{f: f, path: path}
	found, err := s.read()
	switch {
	case err != nil:
		why = "its notes cannot be read"
	case found == nil: // new
	default:
		why = found.differs(h)
	}
	if found != nil && why == "" {
		return s, "", nil
	}
	if err := s.begin(h); err != nil {
		_ = f.Close()
		return nil, "", err
	}
	return s, why, nil
}

// differs says in what way h is about another copy than o, or "".
func (h *Header) differs(o Header) string {
	switch {
	case h.Format != o.Format:
		return "its notes are of another version"
	case h.Source != o.Source:
		return "the source has changed"
	case h.Target != o.Target:
		return "the destination has changed"
	case h.Chunk != o.Chunk:
		return "the chunk size differs"
	}
	return ""
}

// Sums returns the checksums of the chunks that are on the target, from the
// first on.
func (s *State) Sums() []uint32 { return s.sums }

// read loads the file: nil if it is empty. The file's position is then where
// the next record goes.
func (s *State) read() (*Header, error) {
	r := bufio.NewReader(s.f)
	line, err := r.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	h := new(Header)
	if err := json.Unmarshal(line, h); err != nil {
		return nil, err
	}
	at := int64(len(line))
	for {
		sums, size := readRecord(r)
		if sums == nil {
			break
		}
		s.sums = append(s.sums, sums...)
		at += size
	}
	if err := s.f.Truncate(at); err != nil {
		return nil, err
	}
	_, err = s.f.Seek(at, io.SeekStart)
	return h, err
}

// maxRecord bounds what a damaged count can make us read.
const maxRecord = 1 << 24

// readRecord returns nil where there is no whole record.
func readRecord(r io.Reader) (sums []uint32, size int64) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxRecord {
		return nil, 0
	}
	body := make([]byte, 4*(int(n)+1))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, 0
	}
	end := 4 * int(n)
	if binary.LittleEndian.Uint32(body[end:]) != Sum(append(head[:], body[:end]...)) {
		return nil, 0
	}
	for i := range int(n) {
		sums = append(sums, binary.LittleEndian.Uint32(body[4*i:]))
	}
	return sums, int64(len(head) + len(body))
}

// begin makes the file say that nothing is copied.
func (s *State) begin(h Header) error {
	s.sums = nil
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	if _, err := s.f.WriteAt(append(line, '\n'), 0); err != nil {
		return err
	}
	if _, err := s.f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	return s.f.Sync()
}

// Advance appends what sums has more than the file: the [Sum] of each chunk,
// from the first on. The chunks must be durable on the target.
func (s *State) Advance(sums []uint32) error {
	for len(sums) > len(s.sums) {
		more := sums[len(s.sums):min(len(sums), len(s.sums)+maxRecord)]
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(more)))
		for _, v := range more {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = binary.LittleEndian.AppendUint32(b, Sum(b))
		if _, err := s.f.Write(b); err != nil {
			return fmt.Errorf("note the progress: %w", err)
		}
		s.sums = append(s.sums, more...)
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("note the progress: %w", err)
	}
	return nil
}

// Close keeps the file for a later call.
func (s *State) Close() error { return s.f.Close() }

// Remove ends the state: the copy is complete, or not to be taken up.
func (s *State) Remove() error {
	return errors.Join(s.f.Close(), os.Remove(s.path))
}

// StatePath returns where the state of a copy to a file is kept: beside it,
// under a hidden name.
func StatePath(target string) string {
	dir, base := filepath.Split(target)
	return filepath.Join(dir, "."+base+".unio-cp")
}
