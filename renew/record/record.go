package record

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/rollover"
	"keypaird/renew/seen"
)

// A Record is record.json of a target: facts that its files do not show. It is a
// hint. Losing it costs a reload, never a certificate. One half is about ordering, the
// other about what this machine does with what was ordered.
type Record struct {
	Ordering

	Deployments map[string]Deployment `json:"deployments,omitempty"` // by name
	Notified    Notified              `json:"notified,omitzero"`     // notices sent to the operator
	Fleet       Fleet                 `json:"fleet,omitzero"`        // of the certificate, if machines share it
}

// An Ordering is the half of a Record about what was ordered. Machines that share a
// certificate share it: each may be the next to order.
type Ordering struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the version that CA and Profile describe
	CA          string    `json:"ca,omitempty"`          // that issued it; NameOfExternal if its files were imported
	Profile     string    `json:"profile,omitempty"`     // of the order
	IssuedAt    time.Time `json:"issued_at,omitzero"`    // when it was obtained

	Orders      map[string]backoff.Attempt `json:"orders,omitempty"`  // failures since the last success, by CA
	RenewalInfo renewalinfo.Info           `json:"ari,omitzero"`      // of the newest version
	TLSA        TLSA                       `json:"tlsa,omitzero"`     // keys and TLSA records (DANE)
	External    Imported                   `json:"external,omitzero"` // of the files, if the certificate is external
	Revoked     Revocation                 `json:"revoked,omitzero"`  // the last
}

// A Revocation says which certificate of the target the operator has revoked.
type Revocation struct {
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
}

// TimeFor returns when a certificate was revoked; zero if it was not, or is nil.
func (v Revocation) TimeFor(leaf *x509.Certificate) time.Time {
	if leaf == nil || v.At.IsZero() || v.Fingerprint != keypair.Fingerprint(leaf) {
		return time.Time{}
	}
	return v.At
}

// String returns "was revoked at" and the time, to follow a subject.
func (v Revocation) String() string {
	return "was revoked at " + v.At.UTC().Format("2006-01-02 15:04Z")
}

// A Fleet says which certificate was last taken from other machines or published to
// them. The serial number of a target never goes down.
type Fleet struct {
	Serial      uint64 `json:"serial"`
	Fingerprint string `json:"fingerprint"`
}

// MarshalJSON writes both halves as one, in the order that the file always had.
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Fingerprint string                     `json:"fingerprint,omitempty"`
		CA          string                     `json:"ca,omitempty"`
		Profile     string                     `json:"profile,omitempty"`
		IssuedAt    time.Time                  `json:"issued_at,omitzero"`
		Orders      map[string]backoff.Attempt `json:"orders,omitempty"`
		RenewalInfo renewalinfo.Info           `json:"ari,omitzero"`
		Deployments map[string]Deployment      `json:"deployments,omitempty"`
		Notified    Notified                   `json:"notified,omitzero"`
		TLSA        TLSA                       `json:"tlsa,omitzero"`
		External    Imported                   `json:"external,omitzero"`
		Fleet       Fleet                      `json:"fleet,omitzero"`
		Revoked     Revocation                 `json:"revoked,omitzero"`
	}{r.Fingerprint, r.CA, r.Profile, r.IssuedAt, r.Orders, r.RenewalInfo, r.Deployments, r.Notified, r.TLSA, r.External, r.Fleet, r.Revoked})
}

// A Deployment is the progress of the newest version in one deployment.
type Deployment struct {
	Deployed   string          `json:"deployed,omitempty"`    // fingerprint that was installed and reloaded
	Verified   string          `json:"verified,omitempty"`    // fingerprint that an endpoint served, or that was deployed without endpoints
	At         time.Time       `json:"at,omitzero"`           // of Verified
	ConfigHash string          `json:"config_hash,omitempty"` // of the configuration at that time
	Signature  string          `json:"signature,omitempty"`   // of its files when they were last seen as they should be
	Files      []string        `json:"files,omitempty"`       // that it writes, absolute
	Attempt    backoff.Attempt `json:"attempt,omitzero"`

	Left        map[string]string `json:"left,omitempty"` // files that it wrote before they were moved, with the fingerprint; never changed
	seen.Record                   // what its endpoints served
}

// Notified records the notices since the target was ok.
type Notified struct {
	Failing  time.Time       `json:"failing,omitzero"`  // last; zero: not notified
	Expiring time.Time       `json:"expiring,omitzero"` // likewise
	Attempt  backoff.Attempt `json:"attempt,omitzero"`  // to notify
}

// A TLSA stores the keys and TLSA records of a target.
type TLSA struct {
	rollover.Record
	Attempt backoff.Attempt `json:"attempt,omitzero"` // passes in a row that found a mismatch
}

// Imported records the files of an external certificate.
type Imported struct {
	Mark       string    `json:"mark,omitempty"`        // of the files that were imported last
	ReplacedAt time.Time `json:"replaced_at,omitzero"`  // when they replaced others of the same source
	FailedMark string    `json:"failed_mark,omitempty"` // of the files that could not be imported
}

// NameOfExternal stands in place of a CA's name for all external certificates.
const NameOfExternal = "external"

// File is the name of the file of a Record in the directory of its target.
const File = "record.json"

// Load reads the record of a target. A missing or damaged one is empty.
func Load(s *keypair.Store, name string) (Record, error) {
	data, err := s.ReadFile(name, File)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	r, _ := Parse(data)
	return r, err
}

// Parse returns the record in a file, nil if there is none. It is empty, and not whole, if
// the file is damaged.
func Parse(data []byte) (r Record, whole bool) {
	var read struct {
		Record
		earlier
	}
	if json.Unmarshal(data, &read) != nil {
		return Record{}, data == nil
	}
	read.rename(&read.Record)
	return read.Record, true
}

// save writes the record. A power failure may restore the one before: it costs
// another reload.
func (r Record) save(s *keypair.Store, name string) error { return r.write(s.WriteHint, name) }

func (r Record) write(write func(name, file string, data []byte) error, name string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return write(name, File, append(data, '\n'))
}

// SetIssued records a new certificate.
func (r *Record) SetIssued(profile, ca, fingerprint string, now time.Time) {
	r.Fingerprint, r.CA, r.Profile, r.Orders, r.RenewalInfo, r.External = fingerprint, ca, profile, nil, renewalinfo.Info{}, Imported{}
	r.IssuedAt = now.UTC().Truncate(time.Second)
}

// SetRevoked records that the operator has revoked a certificate.
func (r *Record) SetRevoked(fingerprint string, now time.Time) {
	r.Revoked = Revocation{fingerprint, now.UTC().Truncate(time.Second)}
}

// SetImported records that the newest version is from files.
func (r *Record) SetImported(fingerprint string, from Imported) {
	r.Ordering = Ordering{Fingerprint: fingerprint, CA: NameOfExternal, External: from, TLSA: r.TLSA, Revoked: r.Revoked}
}

// SetFailedOrder records the failure of an order at ca.
func (r *Record) SetFailedOrder(ca string, a backoff.Attempt) {
	if r.Orders == nil {
		r.Orders = map[string]backoff.Attempt{}
	}
	r.Orders[ca] = a
}

// SetDeployment records the progress of a deployment.
func (r *Record) SetDeployment(name string, d Deployment) {
	if r.Deployments == nil {
		r.Deployments = map[string]Deployment{}
	}
	r.Deployments[name] = d
}

// InUse lists the fingerprints that some deployment still uses.
func (r Record) InUse() []string {
	var list []string
	for _, d := range r.Deployments {
		list = slices.AppendSeq(append(list, d.Deployed), maps.Values(d.Left))
	}
	return list
}

// SetFiles records the files that the deployment of a certificate writes now. Others that
// it wrote before are left as they are, with what was deployed then.
func (d *Deployment) SetFiles(files []string, fingerprint string) {
	left := map[string]string{}
	maps.Copy(left, d.Left)
	for _, file := range d.Files {
		left[file] = cmp.Or(d.Deployed, fingerprint)
	}
	maps.DeleteFunc(left, func(file, _ string) bool { return slices.Contains(files, file) })
	d.Files, d.Left = files, left
}

// Undeploy forgets that a deployment has what it was given, for it to be given it again.
func (r *Record) Undeploy(name string) {
	if d, ok := r.Deployments[name]; ok {
		d.Deployed, d.Verified = "", ""
		r.Deployments[name] = d
	}
}

// Has reports whether a certificate was deployed.
func (d Deployment) Has(fingerprint string) bool {
	return d.Deployed == fingerprint || d.Verified == fingerprint
}

// Undo forgets that a certificate was deployed.
func (d *Deployment) Undo(fingerprint string) {
	if d.Deployed == fingerprint {
		d.Deployed = ""
	}
	if d.Verified == fingerprint {
		d.Verified = ""
	}
}

// Records writes the records of targets to the disk. A record that could not be
// written is kept in memory, so that its backoff holds in this process, and the
// next pass writes it again. The zero value is ready. Its methods may be called
// concurrently.
type Records struct {
	mu      sync.Mutex
	unsaved map[string]unsavedRecord // by target
	damages map[string]string        // by place, the last one noted
	damaged map[damagedFile]damageCount
}

// NoteDamage notes the damage at a place, and reports whether it differs from the last one
// noted there.
func (r *Records) NoteDamage(place, damage string) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.damages[place] == damage {
		return false
	}
	if r.damages == nil {
		r.damages = map[string]string{}
	}
	r.damages[place] = damage
	return true
}

// An unsavedRecord could not be written.
type unsavedRecord struct {
	record   Record      // never changed
	replaces fs.FileInfo // of the file on disk; nil: unreadable or missing
}

// Save writes the record of a target. A power failure may restore the one before.
func (r *Records) Save(store *keypair.Store, name string, rec Record) error {
	return r.saved(store, name, rec, rec.save(store, name))
}

// SaveDurably writes a record that must survive a power failure.
func (r *Records) SaveDurably(store *keypair.Store, name string, rec Record) error {
	return r.saved(store, name, rec, rec.write(store.WriteFile, name))
}

// saved keeps a record in memory if it could not be written because of err.
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

// Pending returns the unwritten record of a target, unless another process has
// written one since.
func (r *Records) Pending(store *keypair.Store, name string) (Record, bool) {
	if r == nil {
		return Record{}, false
	}
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

// clone returns a deep copy of r.
func (r Record) clone() Record {
	r.Orders, r.Deployments, r.TLSA.Names = maps.Clone(r.Orders), maps.Clone(r.Deployments), maps.Clone(r.TLSA.Names)
	return r
}

func recordInfo(store *keypair.Store, name string) fs.FileInfo {
	info, err := os.Lstat(filepath.Join(store.Dir(name), File))
	if err != nil {
		return nil
	}
	return info
}

// sameFile reports whether a and b are the same file: records are replaced, never
// changed in place.
func sameFile(a, b fs.FileInfo) bool {
	return a == b || a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}
