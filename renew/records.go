package renew

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"keypaird/renew/keypair"
)

// Records writes the records of targets through to the disk. A record that the
// disk did not take is kept in memory, so that backoff holds while this process
// lives, and is written again by the next pass. The zero value is ready. Its
// methods may be called concurrently.
type Records struct {
	mu      sync.Mutex
	unsaved map[string]unsavedRecord // by target
}

// An unsavedRecord could not be written.
type unsavedRecord struct {
	record   Record      // never changed
	replaces fs.FileInfo // of the file on disk; nil: none that can be read
}

// Save writes the record of a target. After a power failure, the one before may
// be there again.
func (r *Records) Save(store *keypair.Store, name string, rec Record) error {
	return r.saved(store, name, rec, rec.save(store, name))
}

// SaveDurably is Save for what must survive a power failure.
func (r *Records) SaveDurably(store *keypair.Store, name string, rec Record) error {
	return r.saved(store, name, rec, rec.write(store.WriteFile, name))
}

// saved keeps a record in memory if writing it ended in err.
func (r *Records) saved(store *keypair.Store, name string, rec Record, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unsaved, name)
	if err != nil {
		if r.unsaved == nil {
			r.unsaved = map[string]unsavedRecord{}
		}
		r.unsaved[name] = unsavedRecord{rec.clone(), recordInfo(store, name)}
	}
	return err
}

// LoadState is the function LoadState with what the disk did not take.
func (r *Records) LoadState(store *keypair.Store, name string) (State, error) {
	s, err := LoadState(store, name)
	if err != nil {
		return s, err
	}
	if rec, ok := r.pending(store, name); ok {
		s.Record = rec
	}
	return s, nil
}

// pending returns the record of a target that is still to be written. A record
// that another process has written since takes its place.
func (r *Records) pending(store *keypair.Store, name string) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours, ok := r.unsaved[name]
	if ok && !sameFile(ours.replaces, recordInfo(store, name)) {
		delete(r.unsaved, name)
		ok = false
	}
	if !ok {
		return Record{}, false
	}
	return ours.record.clone(), true
}

// clone returns a record that shares nothing with r that could be changed.
func (r Record) clone() Record {
	r.Orders, r.Deployments, r.TLSA.Names = maps.Clone(r.Orders), maps.Clone(r.Deployments), maps.Clone(r.TLSA.Names)
	return r
}

func recordInfo(store *keypair.Store, name string) fs.FileInfo {
	info, err := os.Lstat(filepath.Join(store.Dir(name), recordFile))
	if err != nil {
		return nil
	}
	return info
}

// sameFile reports whether a file was not replaced: a record is never changed in
// place.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}
