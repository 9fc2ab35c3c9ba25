package renew

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"keypaird/renew/keypair"
)

// A Record is record.json of a target: what cannot be seen in its files. It is
// a hint. Losing it costs a reload, never a certificate.
type Record struct {
	Fingerprint string    `json:"fingerprint,omitempty"` // of the version that CA and Profile tell of
	CA          string    `json:"ca,omitempty"`          // that issued it
	Profile     string    `json:"profile,omitempty"`     // it was asked for
	IssuedAt    time.Time `json:"issued_at,omitzero"`    // when it was obtained

	Orders      map[string]Attempt    `json:"orders,omitempty"`      // obtaining, by CA, since the last success
	Advice      Advice                `json:"ari,omitzero"`          // of the CA, when to replace the newest
	Deployments map[string]Deployment `json:"deployments,omitempty"` // by name
	Notified    Notified              `json:"notified,omitzero"`     // what the operator was notified of
	TLSA        TLSARecord            `json:"tlsa,omitzero"`         // records by which peers know the key
	External    Taken                 `json:"external,omitzero"`     // of the files, if the certificate is bought
}

// A Deployment is how far the newest version got in one deployment.
type Deployment struct {
	Deployed string    `json:"deployed,omitempty"` // fingerprint that was installed and reloaded
	Verified string    `json:"verified,omitempty"` // fingerprint that was seen served, or deployed where nothing is verified
	At       time.Time `json:"at,omitzero"`        // of Verified
	Manner   string    `json:"manner,omitempty"`   // sum of how it was done
	Attempt  Attempt   `json:"attempt,omitzero"`
}

// Notified is what the operator was notified of since all was well.
type Notified struct {
	Failing  time.Time `json:"failing,omitzero"`  // last; zero: not notified
	Expiring time.Time `json:"expiring,omitzero"` // likewise
	Attempt  Attempt   `json:"attempt,omitzero"`  // to notify
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
	r.Fingerprint, r.CA, r.Profile, r.Orders, r.Advice = fingerprint, ca, t.Profile, nil, Advice{}
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
