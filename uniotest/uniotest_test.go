package uniotest_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/crash"
	"github.com/unio-stack/unio/uniotest/faults"
)

type disk struct {
	name string
	cfg  uniotest.RAMDiskConfig
}

// disks are the shapes of disk that make the core do all it can.
var disks = []disk{
	{"bytes", uniotest.RAMDiskConfig{NativeDurable: unio.AllOps}},
	{"blocks of 512", uniotest.RAMDiskConfig{
		BlockSize: 512, MemoryAlign: 4, ZeroUnit: 4096, MaxTransfer: 64 << 10, MaxDepth: 64, Short: 8,
		Native: unio.AllOps &^ unio.Ops(unio.OpCompareSwap, unio.OpFetchAdd),
	}},
	{"blocks of 4096", uniotest.RAMDiskConfig{
		BlockSize: 4096, MemoryAlign: 4096, MaxTransfer: 128 << 10, AtomicUnit: 512,
		Native: unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush),
	}},
	{"inline", uniotest.RAMDiskConfig{
		BlockSize: 8, ZeroUnit: 512, Inline: 2, Short: 5, NativeDurable: unio.Ops(unio.OpWrite),
		Native: unio.AllOps &^ unio.Ops(unio.OpWriteZeroes),
	}},
}

func TestRAMDisk(t *testing.T) {
	readOnly := disk{"read-only", uniotest.RAMDiskConfig{ReadOnly: true, BlockSize: 512, Native: unio.Ops(unio.OpRead)}}
	for _, d := range append(slices.Clip(disks), readOnly) {
		t.Run(d.name, func(t *testing.T) {
			media := map[*unio.Device]*uniotest.RAMDisk{}
			uniotest.Run(t, uniotest.Config{
				Open: func(t testing.TB) *unio.Device {
					disk := uniotest.NewRAMDisk(t, d.cfg)
					dev := disk.Open()
					media[dev] = disk
					return dev
				},
				Reopen: func(t testing.TB, dev *unio.Device) *unio.Device {
					again := media[dev].Open()
					media[again] = media[dev]
					return again
				},
			})
		})
	}
}

// TestFaults runs the suite over a device whose faults no application notices.
func TestFaults(t *testing.T) {
	const rules = `
		any 1/20 delay 20us
		read 1/3 short 4096
		write 1/4 short 8KiB
		write-zeroes 1/2 short 4KiB`
	for _, d := range disks {
		t.Run(d.name, func(t *testing.T) {
			media := map[*unio.Device]*uniotest.RAMDisk{}
			open := func(t testing.TB, disk *uniotest.RAMDisk) *unio.Device {
				dev, err := faults.Wrap(disk.Open(), rules, 1)
				if err != nil {
					t.Fatal(err)
				}
				media[dev] = disk
				return dev
			}
			uniotest.Run(t, uniotest.Config{
				Open:   func(t testing.TB) *unio.Device { return open(t, uniotest.NewRAMDisk(t, d.cfg)) },
				Reopen: func(t testing.TB, dev *unio.Device) *unio.Device { return open(t, media[dev]) },
			})
		})
	}
}

// TestCrash runs the suite over crash devices, whose power it cuts.
func TestCrash(t *testing.T) {
	for _, d := range disks {
		t.Run(d.name, func(t *testing.T) {
			devices := map[*unio.Device]*crash.Device{}
			media := map[*unio.Device]*uniotest.RAMDisk{}
			rng := rand.New(rand.NewPCG(1, 1))
			open := func(t testing.TB, disk *uniotest.RAMDisk) *unio.Device {
				dev, err := crash.Wrap(disk.Open(), crash.Config{})
				if err != nil {
					t.Fatal(err)
				}
				devices[dev.Device], media[dev.Device] = dev, disk
				return dev.Device
			}
			uniotest.Run(t, uniotest.Config{
				Allocates: true,
				Open:      func(t testing.TB) *unio.Device { return open(t, uniotest.NewRAMDisk(t, d.cfg)) },
				Reopen:    func(t testing.TB, dev *unio.Device) *unio.Device { return open(t, media[dev]) },
				Crash: func(t testing.TB, dev *unio.Device) *unio.Device {
					cfg := d.cfg
					var err error
					if cfg.Image, err = devices[dev].Image("", rng); err != nil {
						t.Fatal(err)
					}
					if err := dev.Close(); err != nil {
						t.Error(err)
					}
					return open(t, uniotest.NewRAMDisk(t, cfg))
				},
			})
		})
	}
}
