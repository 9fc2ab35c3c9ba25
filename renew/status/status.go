// Package status says how every target stands: what is live, until when, what
// comes next and why. It reads the state on disk and needs no daemon. Call
// [Collect] and print the [Document] with [Document.WriteText] or as JSON.
package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

// A Document is the answer of "keypaird status -json". Times are UTC, RFC 3339;
// fields may be added, none is renamed or removed.
type Document struct {
	Time    time.Time `json:"time"`
	Targets []Target  `json:"targets"`
}

// A Target is one certificate that is to be kept alive.
type Target struct {
	Name        string       `json:"name"`
	Names       []Name       `json:"names"`
	State       string       `json:"state"`            // "ok", "due", "pending", "failing", "missing", "expired", "damaged"
	Live        *Certificate `json:"live,omitempty"`   // what is in use
	Newest      *Certificate `json:"newest,omitempty"` // what is stored, if it is not what is in use
	Due         *time.Time   `json:"due,omitempty"`    // when the next certificate is ordered
	Next        Next         `json:"next"`
	Order       *Failure     `json:"order,omitempty"`  // of obtaining, if the last try failed
	Damage      *Damage      `json:"damage,omitempty"` // of the files, if they are not what they should be
	Deployments []Deployment `json:"deployments,omitempty"`
}

// A Name is a name on the certificate and the challenge type that proves it.
type Name struct {
	Name  string `json:"name"`
	Proof string `json:"proof"`
}

// A Certificate is one stored version.
type Certificate struct {
	Version     string    `json:"version"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the leaf, hexadecimal
	Issuer      string    `json:"issuer"`      // common name
	CA          string    `json:"ca,omitempty"`
	Dir         string    `json:"dir"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// Next is what the next pass would do.
type Next struct {
	Action renew.Action `json:"action"`
	Why    string       `json:"why"`
	At     *time.Time   `json:"at,omitempty"`
}

// A Failure is the last failure of something that has not succeeded since.
type Failure struct {
	Failures int       `json:"failures"` // in a row
	At       time.Time `json:"at"`
	Next     time.Time `json:"next"` // try of the daemon
	Error    string    `json:"error"`
	Remedy   string    `json:"remedy,omitempty"`
}

// A Damage is what keeps a target's files from being read.
type Damage struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

// A Deployment is how far the newest certificate got in one deployment.
type Deployment struct {
	Name    string     `json:"name"`
	State   string     `json:"state"`             // "verified": seen served; "deployed": reloaded, no endpoint to look at; "unverified": reloaded, not seen served; "pending"
	At      *time.Time `json:"at,omitempty"`      // of the last success
	Failure *Failure   `json:"failure,omitempty"` // of the last try, if it failed
}

// A Subject is a target and how its names are proven.
type Subject struct {
	renew.Target
	Proofs   map[string]string // challenge type by name
	Verifies map[string]bool   // the deployments with endpoints to look at
}

// Collect reads how subjects stand at now. Files of a target that are damaged
// are part of the answer; a state that may not be read is an error.
func Collect(store *keypair.Store, subjects []Subject, now time.Time) (Document, error) {
	doc := Document{Time: now.UTC().Truncate(time.Second), Targets: []Target{}}
	for _, s := range subjects {
		t, err := collect(store, s, now)
		var broken *keypair.BrokenError
		if errors.As(err, &broken) {
			t.Damage = &Damage{err.Error(), renew.Remedy(err)}
		} else if err != nil {
			return doc, fmt.Errorf("cert %q: reading its state: %w", s.Name, err)
		}
		t.State = t.summary(now)
		doc.Targets = append(doc.Targets, t)
	}
	return doc, nil
}

func collect(store *keypair.Store, s Subject, now time.Time) (Target, error) {
	t := Target{Name: s.Name}
	for _, name := range s.Names {
		t.Names = append(t.Names, Name{name, s.Proofs[name]})
	}
	state, err := renew.Look(store, s.Name)
	if err != nil {
		return t, err
	}
	t.decide(s, state, now)
	leaf, id, fp := state.Leaf, state.Version, state.Fingerprint
	if !state.Live {
		if leaf, id, fp, err = store.LiveLeaf(s.Name); errors.Is(err, fs.ErrNotExist) {
			leaf, err = nil, nil
		}
	}
	if err == nil && leaf != nil {
		t.Live = certificate(store, s.Name, id, fp, leaf)
	}
	newest := t.Live
	if state.Leaf != nil && !state.Live {
		newest = certificate(store, s.Name, state.Version, state.Fingerprint, state.Leaf)
		t.Newest = newest
	}
	if newest != nil && newest.Fingerprint == state.Record.Fingerprint {
		newest.CA = state.Record.CA
	}
	return t, err
}

// decide notes what comes next, and what went wrong before.
func (t *Target) decide(s Subject, state renew.State, now time.Time) {
	if state.Leaf != nil {
		due := renew.Due(state.Leaf).UTC().Truncate(time.Second)
		t.Due = &due
	}
	d := renew.Decide(now, s.Target, state, renew.Patient)
	t.Next = Next{Action: d.Action, Why: d.Why}
	if !d.At.IsZero() {
		at := d.At.UTC().Truncate(time.Second)
		t.Next.At = &at
	}
	t.Order = failure(state.Record.Order)
	for _, name := range s.Deploy {
		t.Deployments = append(t.Deployments, deployment(name, s.Verifies[name], state.Record.Deployments[name], state.Fingerprint))
	}
}

func certificate(store *keypair.Store, name, id, fp string, leaf *x509.Certificate) *Certificate {
	return &Certificate{
		Version: id, Fingerprint: fp, Issuer: leaf.Issuer.CommonName, Dir: filepath.Join(store.Dir(name), id),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	}
}

func failure(a renew.Attempt) *Failure {
	if a.Failures <= 0 {
		return nil
	}
	return &Failure{a.Failures, a.At, a.Next, a.Error, a.Remedy}
}

func deployment(name string, verifies bool, d renew.Deployment, newest string) Deployment {
	out := Deployment{Name: name, State: "pending", Failure: failure(d.Attempt)}
	switch {
	case newest != "" && d.Verified == newest:
		out.State = "deployed"
		if verifies {
			out.State = "verified"
		}
	case newest != "" && d.Deployed == newest:
		out.State = "unverified"
	}
	if !d.At.IsZero() {
		out.At = &d.At
	}
	return out
}

// summary is the state in a word.
func (t Target) summary(now time.Time) string {
	failing := t.Order != nil || slices.ContainsFunc(t.Deployments, func(d Deployment) bool { return d.Failure != nil })
	switch {
	case t.Damage != nil:
		return "damaged"
	case t.Live == nil:
		return "missing"
	case !now.Before(t.Live.NotAfter):
		return "expired"
	case failing:
		return "failing"
	case t.Next.Action == renew.Deploy:
		return "pending"
	case t.Next.Action == renew.Issue, t.Next.Action == renew.Wait: // for the budget: after a failure it is failing
		return "due"
	}
	return "ok"
}
