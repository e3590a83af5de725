package volume

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

func newID() (id format.ID) {
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func idString(id format.ID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// layer names this package in errors; also in Info.
const layer = "volume"

// attachMembers attaches the regions that a pool is or is to be made of. What
// it attached is detached again when it fails.
func attachMembers(ctx context.Context, cfg Config, rights unio.Rights) (members []*member, err error) {
	defer func() {
		if err != nil {
			detachMembers(members)
		}
	}()
	for i, m := range cfg.Members {
		if m.Device == nil {
			return members, fmt.Errorf("%w: member %d has no device", unio.ErrInvalid, i)
		}
		for j, o := range cfg.Members[:i] {
			if o == m {
				return members, fmt.Errorf("%w: members %d and %d are the same region", unio.ErrInvalid, j, i)
			}
		}
		info := m.Device.Info()
		if ops := info.Native | info.Provided; rights&unio.Write != 0 &&
			(info.ReadOnly || !ops.Has(unio.OpWrite) || !ops.Has(unio.OpFlush) || !ops.Has(unio.OpWriteZeroes)) {
			return members, fmt.Errorf("%w: member %d, %s, cannot be written and flushed: it offers %v", unio.ErrUnsupported, i, info.Name, ops)
		}
		if info.BlockSize > format.SumBlock {
			return members, fmt.Errorf("%w: member %d, %s, has blocks of %d bytes, more than %d", unio.ErrUnsupported, i, info.Name, info.BlockSize, format.SumBlock)
		}
		reg, err := m.Device.Attach(ctx, m.Region, rights)
		if err != nil {
			return members, fmt.Errorf("member %d: %w", i, err)
		}
		members = append(members, &member{dev: m.Device, reg: reg})
	}
	return members, nil
}

func detachMembers(members []*member) {
	for _, m := range members {
		_ = m.reg.Close()
	}
}

// closeMembers detaches the members and closes their devices.
func closeMembers(members []*member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.reg.Close())
	}
	for i, m := range members {
		seen := false
		for _, o := range members[:i] {
			seen = seen || o.dev == m.dev
		}
		if !seen {
			errs = append(errs, m.dev.Close())
		}
	}
	return errors.Join(errs...)
}

// readSuperblock reads both copies of a member's superblock and returns the
// better one. The error says what is there instead. damaged says what is wrong
// with the other copy, if anything is.
func readSuperblock(m *medium, i int) (sb *format.Superblock, damaged, err error) {
	size := m.members[i].reg.Size()
	if size < format.SuperblockB+format.SuperblockSize {
		return nil, nil, fmt.Errorf("%w: it has %d bytes", format.ErrBlank, size)
	}
	var copies [2]*format.Superblock
	var errs [2]error
	for k, at := range []int64{format.SuperblockA, format.SuperblockB} {
		p := make([]byte, format.SuperblockSize)
		if err := m.read(i, at, p); err != nil {
			errs[k] = fmt.Errorf("the copy at byte %d: %w", at, err)
			continue
		}
		if copies[k], errs[k] = format.DecodeSuperblock(p); errs[k] != nil {
			copies[k] = nil
			errs[k] = fmt.Errorf("the copy at byte %d: %w", at, errs[k])
		}
	}
	a, b := copies[0], copies[1]
	switch {
	case a == nil && b == nil:
		return nil, nil, worse(errs[0], errs[1])
	case a == nil:
		return b, errs[0], nil
	case b == nil, b.Pool == a.Pool && b.Generation <= a.Generation:
		return a, errs[1], nil
	case b.Pool != a.Pool:
		return a, fmt.Errorf("%w: the copies are of two pools", format.ErrDamaged), nil
	}
	return b, nil, nil
}

// worse returns which of two errors says more about what is on a member.
func worse(a, b error) error {
	for _, cause := range []error{format.ErrNewer, format.ErrDamaged, format.ErrForeign} {
		for _, err := range []error{a, b} {
			if errors.Is(err, cause) {
				return err
			}
		}
	}
	if errors.Is(a, format.ErrBlank) {
		return b // blank too, or what kept it from being read
	}
	return a
}

// refuseMember turns what is wrong with a member into what to do about it.
func refuseMember(i int, name string, err error) error {
	hint := ""
	cause := unio.ErrMedia
	switch {
	case errors.Is(err, format.ErrBlank):
		cause, hint = unio.ErrInvalid, "create a pool first, or give the right device"
	case errors.Is(err, format.ErrForeign):
		cause, hint = unio.ErrInvalid, "give the right device; to destroy what is there, create a pool with Force"
	case errors.Is(err, format.ErrNewer):
		cause, hint = unio.ErrUnsupported, "use a program that is at least as new as the one that made the pool"
	case errors.Is(err, format.ErrDamaged):
		hint = "both copies of the superblock are lost: restore the device from a copy"
	}
	if hint != "" {
		hint = ": " + hint
	}
	return fmt.Errorf("member %d, %s: %w: %w%s", i, name, cause, err, hint)
}

// checkMembers says what is wrong with the members of a pool as a whole.
func checkMembers(members []*member, pool format.ID) error {
	for i, m := range members {
		name := m.dev.Info().Name
		sb := m.sb
		switch {
		case sb.Pool != pool:
			return fmt.Errorf("member %d, %s: %w: it belongs to pool %s, the catalogue to %s: give the device and the catalogue of one pool",
				i, name, unio.ErrInvalid, idString(sb.Pool), idString(pool))
		case strings.Contains(name, idString(pool)):
			return fmt.Errorf("member %d, %s: %w: a pool on a volume of its own", i, name, unio.ErrInvalid)
		case len(sb.Members) != len(members):
			return fmt.Errorf("%w: pool %s has %d members, %d are given%s", unio.ErrInvalid, idString(pool), len(sb.Members), len(members), missing(sb, members))
		case sb.Index != i:
			return fmt.Errorf("member %d, %s: %w: it is member %d of its pool: give the members in their order", i, name, unio.ErrInvalid, sb.Index)
		case m.reg.Size() < sb.Size:
			return fmt.Errorf("member %d, %s: %w: it has %d bytes and had %d when the pool was made: it is truncated; make it as long again, or restore it from a copy",
				i, name, unio.ErrMedia, m.reg.Size(), sb.Size)
		}
	}
	return nil
}

// missing says which members of a pool are not given.
func missing(sb *format.Superblock, members []*member) string {
	var names []string
	for i, id := range sb.Members {
		found := false
		for _, m := range members {
			found = found || m.sb.Index == i
		}
		if !found {
			names = append(names, fmt.Sprintf("%d (%s)", i, idString(id)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": missing " + strings.Join(names, ", ")
}
