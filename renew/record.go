package renew

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
)

// A Record is record.json of a target: what cannot be seen in its files. It is
// a hint. Losing it costs a reload, never a certificate.
type Record struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the version of CA and Profile
	CA          string    `json:"ca,omitempty"`          // that issued it
	Profile     string    `json:"profile,omitempty"`     // it was asked for
	IssuedAt    time.Time `json:"issued_at,omitzero"`    // when it was obtained

	Orders      map[string]Attempt    `json:"orders,omitempty"`      // obtaining, by CA, since the last success
	RenewalInfo RenewalInfo           `json:"ari,omitzero"`          // of the newest version
	Deployments map[string]Deployment `json:"deployments,omitempty"` // by name
	Notified    Notified              `json:"notified,omitzero"`     // what the operator was notified of
	TLSA        TLSARecord            `json:"tlsa,omitzero"`         // records by which peers know the key
	External    Imported              `json:"external,omitzero"`     // of the files, if the certificate is external
}

// A Deployment is how far the newest version got in one deployment.
type Deployment struct {
	Deployed   string    `json:"deployed,omitempty"`    // fingerprint that was installed and reloaded
	Verified   string    `json:"verified,omitempty"`    // fingerprint that was seen served, or deployed where nothing is verified
	At         time.Time `json:"at,omitzero"`           // of Verified
	ConfigHash string    `json:"config_hash,omitempty"` // of the configuration it was done with
	Attempt    Attempt   `json:"attempt,omitzero"`
}

// Notified is what the operator was notified of since all was well.
type Notified struct {
	Failing  time.Time `json:"failing,omitzero"`  // last; zero: not notified
	Expiring time.Time `json:"expiring,omitzero"` // likewise
	Attempt  Attempt   `json:"attempt,omitzero"`  // to notify
}

// A TLSARecord is what is kept of the TLSA records of a target.
type TLSARecord struct {
	rollover.Record
	Attempt Attempt `json:"attempt,omitzero"` // passes in a row that found a mismatch
}

// RenewalInfo is the window in which a CA wants a certificate replaced (RFC 9773), and the
// instant chosen within it.
type RenewalInfo struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the certificate
	Start       time.Time `json:"start,omitzero"`        // of the window; zero: the CA did not say
	End         time.Time `json:"end,omitzero"`
	Chosen      time.Time `json:"chosen,omitzero"` // drawn once for a window (RFC 9773, section 4.2)
	Explanation string    `json:"explanation,omitempty"`
	Next        time.Time `json:"next,omitzero"` // when to ask again
	Failures    int       `json:"failures,omitempty"`
	Error       string    `json:"error,omitempty"`
}

// Imported is what a record knows of the files of an external certificate.
type Imported struct {
	Mark        string    `json:"mark,omitempty"`        // of the files that were imported last
	Fingerprint string    `json:"fingerprint,omitempty"` // of the version they became
	ReplacedAt  time.Time `json:"replaced_at,omitzero"`  // when they replaced others of the same source
	FailedMark  string    `json:"failed_mark,omitempty"` // of the files that could not be imported
	Attempt     Attempt   `json:"attempt,omitzero"`      // of importing them, since the last success
}

const recordFile = "record.json"

// LoadRecord reads the record of a target. One that is missing or damaged is an
// empty one.
func LoadRecord(s *keypair.Store, name string) (Record, error) {
	var r Record
	data, err := s.ReadFile(name, recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if json.Unmarshal(data, &r) != nil {
		return Record{}, nil
	}
	return r, nil
}

// save writes the record. After a power failure the one before may be there
// again: what is done twice then is a reload.
func (r Record) save(s *keypair.Store, name string) error { return r.write(s.WriteHint, name) }

func (r Record) write(write func(name, file string, data []byte) error, name string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return write(name, recordFile, append(data, '\n'))
}

// issued notes a new certificate.
func (r *Record) issued(t Target, ca, fingerprint string, now time.Time) {
	r.Fingerprint, r.CA, r.Profile, r.Orders, r.RenewalInfo = fingerprint, ca, t.Profile, nil, RenewalInfo{}
	r.IssuedAt = now.UTC().Truncate(time.Second)
}

// failedOrder keeps the failure of an order at ca.
func (r *Record) failedOrder(ca string, a Attempt) {
	if r.Orders == nil {
		r.Orders = map[string]Attempt{}
	}
	r.Orders[ca] = a
}

// deployment keeps how far a deployment got.
func (r *Record) deployment(name string, d Deployment) {
	if r.Deployments == nil {
		r.Deployments = map[string]Deployment{}
	}
	r.Deployments[name] = d
}

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

// saved keeps a record in memory if err says that it was not written.
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
