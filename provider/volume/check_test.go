package volume

import (
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// TestCheckNames spoils a pool in every way that Check knows, and wants each
// named.
func TestCheckNames(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*poolRig, []byte, catalogue.Writer)
		says  string
	}{
		"nothing":                 {func(*poolRig, []byte, catalogue.Writer) {}, ""},
		"a superblock":            {func(_ *poolRig, img []byte, _ catalogue.Writer) { img[60]++ }, "superblock"},
		"the log's heads":         {func(_ *poolRig, img []byte, _ catalogue.Writer) { clear(img[128<<10 : 136<<10]) }, "both heads"},
		"the dirty map":           {func(r *poolRig, img []byte, _ catalogue.Writer) { img[r.pool.p.members[0].sb.Dirty+9] ^= 1 }, "dirty map"},
		"data":                    {func(r *poolRig, img []byte, _ catalogue.Writer) { img[r.pool.p.members[0].sb.Data+5000] ^= 1 }, "bytes at 4096"},
		"a volume's record":       {func(_ *poolRig, _ []byte, w catalogue.Writer) { _ = w.Put(idKey(keyVolume, 1), []byte{1, 2}) }, "record of volume 1"},
		"no pool":                 {func(_ *poolRig, _ []byte, w catalogue.Writer) { _ = w.Delete([]byte{keyPool}) }, "of no pool"},
		"a name without a volume": {func(_ *poolRig, _ []byte, w catalogue.Writer) { _ = w.Put(nameKey("x"), make([]byte, 8)) }, `name "x"`},
		"a volume without a name": {func(_ *poolRig, _ []byte, w catalogue.Writer) { _ = w.Delete(nameKey("v")) }, "leads elsewhere"},
		"an extent twice": {func(_ *poolRig, _ []byte, w catalogue.Writer) {
			_ = w.Put(extentKey(1, 9), w.Get(extentKey(1, 0)))
		}, "as page 0 of volume 1 is"},
		"an extent that is none": {func(_ *poolRig, _ []byte, w catalogue.Writer) {
			_ = w.Put(extentKey(1, 9), encodePlace(space.At(7, 7)))
		}, "none"},
		"an extent past the end": {func(_ *poolRig, _ []byte, w catalogue.Writer) {
			_ = w.Put(extentKey(1, 1<<20), encodePlace(space.At(0, 20)))
		}, "ends before"},
		"an extent of no volume": {func(_ *poolRig, _ []byte, w catalogue.Writer) {
			_ = w.Put(extentKey(77, 0), encodePlace(space.At(0, 20)))
		}, "no such volume"},
		"a key": {func(_ *poolRig, _ []byte, w catalogue.Writer) { _ = w.Put([]byte("exx"), nil) }, "wrong length"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{}, rigDisk)
			r.write(r.create("v", VolumeConfig{Size: 1 << 20}), 0, random(300000, 1))
			pool := r.pool
			r.close()
			r.pool = pool // for spoil to look up where things are
			img := r.disks[0].Image()
			opened, err := r.cat.Open()
			must(t, err)
			must(t, opened.Update(func(w catalogue.Writer) error { c.spoil(r, img, w); return nil }))
			must(t, opened.Close())
			r.pool = nil
			r.disks[0] = diskOf(r, img)
			cfg := r.config()
			found, err := Check(t.Context(), cfg, true)
			must(t, err)
			var text strings.Builder
			for _, p := range found {
				text.WriteString(p.String() + "\n")
			}
			if !strings.Contains(text.String(), c.says) || (len(found) == 0) != (c.says == "") {
				t.Errorf("found %q, want %q", text.String(), c.says)
			}
			must(t, cfg.Catalogue.Close())
			must(t, cfg.Members[0].Device.Close())
		})
	}
}

// TestManyVolumes: what is not used costs nothing.
func TestManyVolumes(t *testing.T) {
	r := newRig(t, Config{Path: ""}, rigDisk)
	opened, n := r.pool.p.cat, uint64(20000)
	must(t, opened.Update(func(w catalogue.Writer) error {
		pool, err := decodePool(w.Get([]byte{keyPool}))
		if err != nil {
			return err
		}
		for id := pool.next; id < pool.next+n; id++ {
			rec := &volumeRecord{id: id, size: 1 << 40, name: "v" + string(rune('a'+id%26)) + idString(format.ID{byte(id), byte(id >> 8)})}
			if err := putAll(w, nameKey(rec.name), idKey(0, id)[1:], idKey(keyVolume, id), rec.encode()); err != nil {
				return err
			}
		}
		pool.next += n
		return w.Put([]byte{keyPool}, pool.encode())
	}))
	all, err := r.pool.Volumes(t.Context())
	if err != nil || uint64(len(all)) != n {
		t.Fatal(len(all), err)
	}
	reg := r.attach(all[777].Name)
	r.write(reg, 1<<39, []byte("x"))
	if len(r.pool.p.keep.volumes) != 1 || r.pool.p.active.Len() != 1 {
		t.Errorf("%d volumes and %d entries are in memory", len(r.pool.p.keep.volumes), r.pool.p.active.Len())
	}
	r.check()
	must(t, r.ch.Do(t.Context(), unio.Request{Op: unio.OpFlush, Region: reg}))
}
