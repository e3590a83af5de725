package catalogue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/unio-stack/unio"
)

// patience is how long another process may take to let go of the file.
const patience = 200 * time.Millisecond

var bucket = []byte("pool")

// boltCatalogue keeps a catalogue in a bbolt file.
type boltCatalogue struct{ db *bolt.DB }

// OpenBolt opens the catalogue in the file at path, and makes the file if
// create is set; then it must not exist. It fails with [unio.ErrBusy] while
// another process, or this one, has it open.
func OpenBolt(path string, create bool) (Catalogue, error) {
	if err := prepare(path, create); err != nil {
		return nil, fmt.Errorf("catalogue %s: %w", path, err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: patience, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("catalogue %s: %w: the pool is open already, here or in another process: close it there", path, unio.ErrBusy)
	case err != nil:
		return nil, fmt.Errorf("catalogue %s: %w (if it is damaged, put a copy of it in its place)", path, err)
	}
	c := &boltCatalogue{db}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err == nil && create {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("catalogue %s: %w", path, err), db.Close())
	}
	return c, nil
}

// prepare makes sure that the file is there, or is not. A file that is made is
// left empty, for bbolt to begin.
func prepare(path string, create bool) error {
	if !create {
		st, err := os.Stat(path)
		if err == nil && st.Size() == 0 {
			return fmt.Errorf("%w: it is empty", unio.ErrInvalid)
		}
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// syncDir makes a new file's name durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return nil // a directory that only grants passage cannot be synced
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

func (c *boltCatalogue) View(f func(Reader) error) error {
	return c.db.View(func(tx *bolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) })
}

func (c *boltCatalogue) Update(f func(Writer) error) error {
	return c.db.Update(func(tx *bolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) })
}

func (c *boltCatalogue) Close() error { return c.db.Close() }

// boltTx is a transaction.
type boltTx struct{ b *bolt.Bucket }

func (t boltTx) Get(key []byte) []byte       { return t.b.Get(key) }
func (t boltTx) Put(key, value []byte) error { return t.b.Put(key, value) }
func (t boltTx) Delete(key []byte) error     { return t.b.Delete(key) }
func (t boltTx) Scan(from []byte, f func(key, value []byte) bool) {
	c := t.b.Cursor()
	for k, v := c.Seek(from); k != nil && f(k, v); k, v = c.Next() {
	}
}
