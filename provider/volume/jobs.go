package volume

import (
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
)

// A resizeJob changes the size of a volume. What a shrinking volume loses is
// made zeroes first, so that it does not come back when the volume grows.
type resizeJob struct {
	reply
	v     *volume // nil: the one of that name
	name  string
	size  int64
	was   int64
	begun bool
	steps steps
}

func (j *resizeJob) step(k *keeper) (done bool, err error) {
	if !j.begun {
		j.begun = true
		if err := j.prepare(k); err != nil {
			return true, err
		}
	}
	return j.steps.try(k)
}

func (j *resizeJob) prepare(k *keeper) error {
	if err := k.checkSize(j.size); err != nil {
		return err
	}
	if j.v == nil {
		rec, err := k.find(j.name)
		if err != nil {
			return err
		}
		if j.v = k.inUse(rec); j.v.attached {
			return fmt.Errorf("%w: it is attached: resize its region", unio.ErrBusy)
		}
	}
	if j.v.revoked.Load() {
		return unio.ErrRevoked
	}
	j.was = j.v.size.Load()
	if j.size < j.was {
		keep := (j.size + k.p.extent - 1) >> k.p.shift
		if tail := min(keep<<k.p.shift, j.was) - j.size; tail > 0 {
			j.steps = append(j.steps, &blank{v: j.v, off: j.size, n: tail})
		}
		j.v.size.Store(j.size) // nothing new goes there
		j.steps = append(j.steps, recordSize{j}, &vacate{v: j.v, next: keep, end: allPages}, holes{j.v, keep})
		return nil
	}
	j.steps = append(j.steps, recordSize{j})
	return nil
}

// end makes what failed undone as far as it can be.
func (j *resizeJob) end(k *keeper, err error) {
	if err != nil && j.was > 0 {
		if rec, e := k.record(j.v.id); e == nil {
			j.v.size.Store(rec.size)
		}
	}
	if j.v != nil {
		if e := k.forgetVolume(j.v); err == nil {
			err = e
		}
	}
	j.reply.end(k, err)
}

func (k *keeper) record(id uint64) (rec *volumeRecord, err error) {
	err = k.p.cat.View(func(r catalogue.Reader) error {
		rec, err = getVolume(r, id)
		return err
	})
	return rec, err
}

// recordSize writes the new size into the catalogue, after what was made
// zeroes is durable.
type recordSize struct{ j *resizeJob }

func (s recordSize) try(k *keeper) (done bool, err error) {
	v, size := s.j.v, s.j.size
	if size < s.j.was {
		if v.position > size { // the log is not to know better
			v.position = size
			k.log.moved[v] = struct{}{}
			if err := k.retire(); err != nil {
				return false, err
			}
		}
		if err := k.m.flush(); err != nil {
			return false, err
		}
	}
	err = k.p.cat.Update(func(w catalogue.Writer) error {
		rec, err := getVolume(w, v.id)
		if err != nil {
			return err
		}
		rec.size, rec.position = size, min(rec.position, size)
		return w.Put(idKey(keyVolume, v.id), rec.encode())
	})
	if err == nil {
		v.size.Store(size)
	}
	return err == nil, err
}

// holes drops the holes of a volume from a page on out of the table.
type holes struct {
	v    *volume
	from int64
}

func (s holes) try(k *keeper) (done bool, err error) {
	k.dropAll(s.v.id, s.from)
	return true, nil
}

// A deleteJob deletes a volume: first its name, then its extents. If the pool
// is opened in between, that goes on.
type deleteJob struct {
	reply
	name  string
	force bool
	v     *volume
	steps steps
}

func (j *deleteJob) step(k *keeper) (done bool, err error) {
	if j.v == nil {
		if err := j.prepare(k); err != nil {
			return true, err
		}
	}
	return j.steps.try(k)
}

func (j *deleteJob) prepare(k *keeper) error {
	rec, err := k.find(j.name)
	if err != nil {
		return err
	}
	v := k.inUse(rec)
	if v.attached && !j.force {
		return fmt.Errorf("%w: it is attached: close its regions, or have it revoked with force", unio.ErrBusy)
	}
	err = k.p.cat.Update(func(w catalogue.Writer) error {
		for _, key := range [][]byte{nameKey(j.name), idKey(keyVolume, rec.id)} {
			if err := w.Delete(key); err != nil {
				return err
			}
		}
		return w.Put(idKey(keyDying, rec.id), []byte{1})
	})
	if err != nil {
		return err
	}
	v.revoked.Store(true)
	j.v = v
	j.steps = steps{&vacate{v: v, end: allPages}, holes{v, 0}, buried{v}}
	return nil
}

func (j *deleteJob) end(k *keeper, err error) {
	if j.v != nil {
		if e := k.forgetVolume(j.v); err == nil {
			err = e
		}
	}
	j.reply.end(k, err)
}

// buried removes the last trace of a volume.
type buried struct{ v *volume }

func (s buried) try(k *keeper) (done bool, err error) {
	err = k.p.cat.Update(func(w catalogue.Writer) error { return w.Delete(idKey(keyDying, s.v.id)) })
	return err == nil, err
}
