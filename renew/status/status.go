// Package status says how every target stands: what is live, until when, what
// comes next and why. It reads the state on disk and needs no daemon. Call
// [Collect] and print the [Document] with [Document.WriteText] or as JSON.
package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
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
	State       string       `json:"state"`            // "ok", "due", "missing", "expired", "pending", "failing"
	Live        *Certificate `json:"live,omitempty"`   // what is in use
	Newest      *Certificate `json:"newest,omitempty"` // what is stored, if it is not what is in use
	Due         *time.Time   `json:"due,omitempty"`    // when the next certificate is ordered
	Next        Next         `json:"next"`
	Order       *Failure     `json:"order,omitempty"` // of obtaining, if the last try failed
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

// A Deployment is how far the newest certificate got in one deployment.
type Deployment struct {
	Name  string     `json:"name"`
	State string     `json:"state"`        // "verified", "deployed" (not verified), "pending"
	At    *time.Time `json:"at,omitempty"` // of the last success
	*Failure
}

// A Subject is a target and how its names are proven.
type Subject struct {
	renew.Target
	Proofs map[string]string // challenge type by name
}

// Collect reads how subjects stand at now.
func Collect(store *keypair.Store, subjects []Subject, now time.Time) (Document, error) {
	doc := Document{Time: now.UTC().Truncate(time.Second), Targets: []Target{}}
	for _, s := range subjects {
		t, err := collect(store, s, now)
		if err != nil {
			return doc, fmt.Errorf("cert %q: reading its state: %w", s.Name, err)
		}
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
	leaf, id, fp, err := store.LiveLeaf(s.Name)
	if err == nil {
		t.Live = certificate(store, s.Name, id, fp, leaf)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	if state.Leaf != nil {
		if t.Live == nil || t.Live.Fingerprint != state.Fingerprint {
			t.Newest = certificate(store, s.Name, state.Version, state.Fingerprint, state.Leaf)
			t.Newest.CA = state.Record.CA
		} else {
			t.Live.CA = state.Record.CA
		}
		due := renew.Due(state.Leaf).UTC()
		t.Due = &due
	}
	d := renew.Decide(now, s.Target, state, renew.Patient)
	t.Next = Next{Action: d.Action, Why: d.Why}
	if !d.At.IsZero() {
		at := d.At.UTC()
		t.Next.At = &at
	}
	t.Order = failure(state.Record.Order)
	for _, name := range s.Deploy {
		t.Deployments = append(t.Deployments, deployment(name, state.Record.Deployments[name], state.Fingerprint))
	}
	t.State = t.summary(now)
	return t, nil
}

func certificate(store *keypair.Store, name, id, fp string, leaf *x509.Certificate) *Certificate {
	return &Certificate{
		Version: id, Fingerprint: fp, Issuer: leaf.Issuer.CommonName, Dir: store.Dir(name) + "/" + id,
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	}
}

func failure(a renew.Attempt) *Failure {
	if a.Failures == 0 {
		return nil
	}
	return &Failure{a.Failures, a.At, a.Next, a.Error, a.Remedy}
}

func deployment(name string, d renew.Deployment, newest string) Deployment {
	out := Deployment{Name: name, State: "pending", Failure: failure(d.Attempt)}
	switch {
	case newest != "" && d.Verified == newest:
		out.State = "verified"
	case newest != "" && d.Deployed == newest:
		out.State = "deployed"
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
	case t.Live == nil:
		return "missing"
	case !now.Before(t.Live.NotAfter):
		return "expired"
	case failing:
		return "failing"
	case t.Next.Action == renew.Deploy:
		return "pending"
	case t.Next.Action == renew.Issue:
		return "due"
	}
	return "ok"
}

// WriteText prints the document for people.
func (doc Document) WriteText(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tSTATE\tVALID UNTIL\tLEFT\tNEXT")
	for _, t := range doc.Targets {
		until, left := "-", "-"
		if t.Live != nil {
			until, left = day(t.Live.NotAfter), span(t.Live.NotAfter.Sub(doc.Time))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", t.Name, t.State, until, left, t.next(doc.Time))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, t := range doc.Targets {
		t.writeDetails(w)
	}
	return nil
}

// next says what comes next, in words.
func (t Target) next(now time.Time) string {
	switch t.Next.Action {
	case renew.Issue:
		return "order now: " + t.Next.Why
	case renew.Deploy:
		return "deploy now: " + t.Next.Why
	case renew.Wait:
		return "wait until " + day(*t.Next.At) + ": " + t.Next.Why
	}
	return "order at " + day(*t.Next.At)
}

// writeDetails prints what does not fit a line: what a target is for, where it
// is used, and what went wrong.
func (t Target) writeDetails(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.Name)
	for _, n := range t.Names {
		fmt.Fprintf(w, "  %s by %s\n", n.Name, n.Proof)
	}
	if t.Live != nil {
		fmt.Fprintf(w, "  live %s, issued by %s, in %s\n", t.Live.Fingerprint[:16], t.Live.Issuer, t.Live.Dir)
	}
	if t.Newest != nil {
		fmt.Fprintf(w, "  newest %s is stored but not in use, in %s\n", t.Newest.Fingerprint[:16], t.Newest.Dir)
	}
	for _, d := range t.Deployments {
		fmt.Fprintf(w, "  deployment %s: %s\n", d.Name, d.State)
		writeFailure(w, d.Failure)
	}
	writeFailure(w, t.Order)
}

func writeFailure(w io.Writer, f *Failure) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "  failed %d times, last %s: %s\n", f.Failures, day(f.At), f.Error)
	if f.Remedy != "" {
		fmt.Fprintf(w, "  remedy: %s\n", strings.ReplaceAll(f.Remedy, "\n", "\n          "))
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// span prints what is left in the unit that tells most.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
