package renew

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"time"

	"keypaird/renew/keypair"
)

// A Record is record.json of a target: what cannot be seen in its files. It is
// a hint. Losing it costs a reload, never a certificate.
type Record struct {
	CA      string      `json:"ca,omitempty"`      // that issued the newest version
	Profile string      `json:"profile,omitempty"` // it was asked for
	Issued  []time.Time `json:"issued,omitempty"`  // certificates for the present names in the last day; oldest first
	For     string      `json:"for,omitempty"`     // the names Issued counts, space separated
	Order   Attempt     `json:"order,omitzero"`    // obtaining

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
var backoff = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute, 24 * time.Hour}

// failed counts one more failure.
func (a Attempt) failed(err error, now time.Time) Attempt {
	wait := backoff[min(a.Failures, len(backoff)-1)]
	a.Failures++
	a.At = now.UTC().Truncate(time.Second)
	a.Next = a.At.Add(wait)
	a.Error, a.Remedy = err.Error(), Remedy(err)
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

// issued counts a certificate against the budget of its names.
func (r *Record) issued(names []string, now time.Time) {
	r.Issued = append(r.spent(names, now), now.UTC().Truncate(time.Second))
	r.For = strings.Join(names, " ")
}

// spent returns the times at which certificates for just these names were
// issued in the last day.
func (r *Record) spent(names []string, now time.Time) []time.Time {
	if r.For != strings.Join(names, " ") {
		return nil
	}
	var recent []time.Time
	for _, t := range r.Issued {
		if age := now.Sub(t); age < budgetPeriod {
			recent = append(recent, t)
		}
	}
	return recent
}
