package renew

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"keypaird/renew/keypair"
)

// A Record is record.json of a target: what cannot be seen in its files. It is
// a hint. Losing it costs a reload, never a certificate.
type Record struct {
	Fingerprint string      `json:"fingerprint,omitempty"` // of the version that CA and Profile tell of
	CA          string      `json:"ca,omitempty"`          // that issued it
	Profile     string      `json:"profile,omitempty"`     // it was asked for
	Issued      []time.Time `json:"issued,omitempty"`      // certificates for the present names in the last day; oldest first
	For         string      `json:"for,omitempty"`         // the names Issued counts, space separated
	Order       Attempt     `json:"order,omitzero"`        // obtaining

	Deployments map[string]Deployment `json:"deployments,omitempty"` // by name
}

// An Attempt remembers failures of one thing. The zero value is success.
type Attempt struct {
	Failures int       `json:"failures,omitempty"` // in a row
	At       time.Time `json:"at,omitzero"`        // of the last
	Next     time.Time `json:"next,omitzero"`      // try: not before
	Error    string    `json:"error,omitempty"`
	Remedy   string    `json:"remedy,omitempty"`
}

// A Deployment is how far the newest version got in one deployment.
type Deployment struct {
	Deployed string    `json:"deployed,omitempty"` // fingerprint that was installed and reloaded
	Verified string    `json:"verified,omitempty"` // fingerprint that was seen served, or deployed where nothing is verified
	At       time.Time `json:"at,omitzero"`        // of Verified
	Manner   string    `json:"manner,omitempty"`   // sum of how it was done
	Attempt  Attempt   `json:"attempt,omitzero"`
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

func (r Record) save(s *keypair.Store, name string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return s.WriteFile(name, recordFile, append(data, '\n'))
}

// backoff between tries: 1 min, 10 min, 100 min, then a day, as Let's Encrypt
// asks of clients.
var backoff = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, longest}

// waits reports whether the next try is to come later. A time further off than
// any backoff was written by a clock that was wrong.
func (a Attempt) waits(now time.Time) bool {
	return a.Next.After(now) && a.Next.Sub(now) <= longest
}

// longest is the longest backoff.
const longest = 24 * time.Hour

// failed counts one more failure. An err that knows the Earliest time at which
// another try makes sense is heeded, within bounds.
func (a Attempt) failed(err error, now time.Time) Attempt {
	a.Failures = max(a.Failures, 0) + 1
	wait := backoff[min(a.Failures, len(backoff))-1]
	a.At = now.UTC().Truncate(time.Second)
	a.Next = a.At.Add(wait)
	var limited interface{ Earliest() time.Time }
	if errors.As(err, &limited) && limited.Earliest().After(a.Next) {
		a.Next = limited.Earliest().UTC().Add(time.Second).Truncate(time.Second)
	}
	if latest := a.At.Add(longest); a.Next.After(latest) {
		a.Next = latest
	}
	a.Error, a.Remedy = strings.ReplaceAll(err.Error(), "\n", "; "), Remedy(err)
	return a
}

// Remedy returns what err says the operator can do, or "".
func Remedy(err error) string {
	var r interface{ Remedy() string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return ""
}

// issued notes a new certificate and counts it against the budget of its names.
func (r *Record) issued(t Target, ca, fingerprint string, now time.Time) {
	r.Fingerprint, r.CA, r.Profile, r.Order = fingerprint, ca, t.Profile, Attempt{}
	r.Issued = append(r.spent(t.Names, now), now.UTC().Truncate(time.Second))
	r.For = strings.Join(canonical(t.Names), " ")
}

// spent returns the times at which certificates for just these names were
// issued in the last day.
func (r *Record) spent(names []string, now time.Time) []time.Time {
	if r.For != strings.Join(canonical(names), " ") {
		return nil
	}
	var recent []time.Time
	for _, t := range r.Issued {
		if age := now.Sub(t); age.Abs() < budgetPeriod { // the clock may have been put back
			recent = append(recent, t)
		}
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent
}
