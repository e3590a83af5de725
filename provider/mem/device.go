package mem

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// Layers, as errors name them; also the URL schemes.
const (
	layerMem = "mem"
	layerDAX = "dax"
)

// device is the provider of one mapping. All of it is immutable once open.
type device struct {
	info    unio.Info
	mapping *memory.Mapping
	mem     []byte   // all of the mapping
	file    *os.File // nil for DRAM
	durable durability
	// frees says that the system takes pages back; without it Discard zeroes.
	frees bool
}

// errByteOrder is what big-endian processors get: words are little-endian, and
// the processor's atomics are not.
var errByteOrder = errors.New("this processor is big-endian, the words of a region are not")

// mutations are the operations that change bytes.
var mutations = unio.Ops(unio.OpWrite, unio.OpDiscard, unio.OpWriteZeroes, unio.OpCompareSwap, unio.OpFetchAdd)

// newDevice returns the provider of a mapping, which then belongs to it.
// The caller completes it.
func newDevice(m *memory.Mapping, info unio.Info) (*device, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.Join(fmt.Errorf("%w: %w", unio.ErrUnsupported, errByteOrder), m.Close())
	}
	info.AtomicUnit = wordSize
	info.Native = unio.Ops(unio.OpRead, unio.OpFlush)
	if !info.ReadOnly {
		info.Native |= mutations
		info.NativeDurable = mutations
	}
	return &device{info: info, mapping: m, mem: m.Bytes(), durable: volatile{}}, nil
}

// Info implements unio.Provider.
func (d *device) Info() unio.Info { return d.info }

// Attach implements unio.Provider. There is one region, without a name.
func (d *device) Attach(_ context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	if name != "" {
		return nil, fmt.Errorf("%w: no such region: this device has one, whose name is empty", unio.ErrInvalid)
	}
	return region{d}, nil
}

// NewQueue implements unio.Provider.
func (d *device) NewQueue(unio.QueueConfig) (unio.Queue, error) { return newQueue(d), nil }

// Close implements unio.Provider. It does not flush.
func (d *device) Close() error {
	err := d.mapping.Close()
	if d.file != nil {
		err = errors.Join(err, d.file.Close())
	}
	return err
}

// region is the device's only one. Its bytes stay when it is closed.
type region struct{ d *device }

// Size implements unio.Handle.
func (r region) Size() int64 { return r.d.mapping.Size() }

// Memory implements unio.Mapped: of a file it gives nothing, since that can fault and has to be written back.
func (r region) Memory() []byte {
	if r.d.file != nil {
		return nil
	}
	return r.d.mem
}

// Close implements unio.Handle.
func (r region) Close() error { return nil }
