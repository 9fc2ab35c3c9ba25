// Package status says how every target stands: what is live, until when, what
// comes next and why. It reads the state on disk and needs no daemon. Call
// [Collect] and print the [Document] with [Document.WriteText] or as JSON.
//
// A daemon shows the same to browsers and monitoring with a [Server], and counts
// what it does with [Metrics].
package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
)

// A Subject is a target and what else the configuration says of it.
type Subject struct {
	renew.Target
	Proofs    map[string]string             // challenge type by name
	Verifies  map[string]bool               // the deployments with endpoints to look at; those in Endpoints need not be here
	Endpoints map[string][]string           // where to look, by deployment; may be nil
	Limiter   renew.Limiter                 // nil: no limit of orders is known
	Window    func(now time.Time) time.Time // when deployments may begin, zero: now; nil: always
}

// Collect reads how subjects stand at now. Files of a target that are damaged
// are part of the answer; a state that may not be read is an error.
func Collect(store *keypair.Store, subjects []Subject, now time.Time) (Document, error) {
	return CollectWith(renew.LoadState, store, subjects, now)
}

// A LoadState reads the state of a target. That of a renew.Records knows what the
// disk did not take.
type LoadState func(store *keypair.Store, name string) (renew.State, error)

// CollectWith is Collect with states as load reads them.
func CollectWith(load LoadState, store *keypair.Store, subjects []Subject, now time.Time) (Document, error) {
	doc := Document{Time: second(now), Healthy: true, Targets: []Target{}}
	for _, s := range subjects {
		t, err := collect(load, store, s, now)
		var broken *durable.BrokenError
		if errors.As(err, &broken) {
			t.Damage = &Damage{err.Error(), renew.Remedy(err)}
		} else if err != nil {
			return doc, fmt.Errorf("cert %q: reading its state: %w", s.Name, err)
		}
		t.State = t.summary(now)
		t.ActionRequired = t.actionRequired(now)
		doc.Healthy = doc.Healthy && t.unhealthy(now) == ""
		doc.Targets = append(doc.Targets, t)
	}
	return doc, nil
}

func collect(load LoadState, store *keypair.Store, s Subject, now time.Time) (Target, error) {
	t := Target{Name: s.Name, SignWith: append([]string{}, s.CAs...), Names: []Name{}}
	for _, name := range s.Names {
		t.Names = append(t.Names, Name{name, s.Proofs[name]})
	}
	state, err := load(store, s.Name)
	if err != nil {
		return t, err
	}
	if s.Window != nil {
		state.Opens = s.Window(now)
	}
	if err := renew.LoadNextKey(store, s.Target, &state); err != nil {
		return t, err
	}
	renew.LoadLimits(s.Limiter, s.Target, &state)
	t.TLSA = newTLSA(s, state, now)
	t.decide(s, state, now)
	leaf, id, fp := state.Leaf, state.Version, state.Fingerprint
	if !state.Live {
		if leaf, id, fp, err = store.LiveLeaf(s.Name); errors.Is(err, fs.ErrNotExist) {
			leaf, err = nil, nil
		}
	}
	if err == nil && leaf != nil {
		t.Live = certificate(store, s.Name, id, fp, leaf)
		state.InUse = leaf
		t.OverdueAt = second(state.OverdueAt(s.Target))
	}
	t.alert = notify.Check(now, s.Target, state)
	newest := t.Live
	if state.Leaf != nil && !state.Live {
		newest = certificate(store, s.Name, state.Version, state.Fingerprint, state.Leaf)
		t.Newest = newest
	}
	if rec := state.Record; newest != nil && newest.Fingerprint == rec.Fingerprint {
		newest.CA = rec.CA
		t.Issued = second(rec.IssuedAt)
	}
	return t, err
}

// decide notes what comes next, and what went wrong before.
func (t *Target) decide(s Subject, state renew.State, now time.Time) {
	if state.Leaf != nil {
		due := second(state.Due())
		t.Due = &due
	}
	d := renew.Decide(now, s.Target, state, renew.Patient)
	t.Next = Next{Action: d.Action, Why: printable(d.Why)}
	if !d.At.IsZero() {
		at := second(d.At)
		t.Next.At = &at
	}
	t.Renewal = renewal(state)
	t.external(s, state, now)
	if t.External == nil && wanted(s, state, now) {
		t.orders(s, state.Record.Orders)
	}
	for _, name := range s.Deploy {
		t.Deployments = append(t.Deployments, deployment(name, s, state))
	}
}

// wanted reports whether a new certificate is needed, be it that it cannot be
// had yet. Without one, an order that once failed is history.
func wanted(s Subject, state renew.State, now time.Time) bool {
	s.Deploy, state.Live = nil, true // whatever there is to deploy
	d := renew.Decide(now, s.Target, state, renew.Patient)
	return d.Action == renew.Issue || d.Action == renew.Wait
}

// orders notes the CAs that failed. What one did that is not to be asked any
// more is history, too.
func (t *Target) orders(s Subject, orders map[string]renew.Attempt) {
	for _, ca := range s.CAs {
		f := failure(orders[ca])
		if f == nil {
			continue
		}
		f.CA = ca
		t.Orders = append(t.Orders, *f)
		if t.Order == nil || f.At.After(t.Order.At) {
			t.Order = f
		}
	}
}

// renewal is what the CA said of the newest certificate, nil if nothing.
func renewal(state renew.State) *Renewal {
	a := state.Record.Advice
	if state.Leaf == nil || a.Fingerprint != state.Fingerprint || a.Start.IsZero() && a.Error == "" {
		return nil
	}
	return &Renewal{
		Start: second(a.Start), End: second(a.End), Chosen: second(a.Chosen), Explanation: a.Explanation,
		NextAsk: second(a.Next), Error: a.Error,
	}
}

// second is how times are shown: UTC, whole seconds.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

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
	return &Failure{Failures: a.Failures, At: second(a.At), Next: second(a.Next), Error: a.Error, Remedy: a.Remedy}
}

func deployment(name string, s Subject, state renew.State) Deployment {
	d, m, newest := state.Record.Deployments[name], s.Manner[name], state.Fingerprint
	out := Deployment{Name: name, State: Undeployed, Failure: failure(d.Attempt)}
	switch {
	case newest == "", d.Manner != m.Sum, m.Lost: // what was done is not what is to be
	case d.Verified == newest && (s.Verifies[name] || len(s.Endpoints[name]) > 0):
		out.State = Verified
	case d.Verified == newest:
		out.State = Deployed
	case d.Deployed == newest:
		out.State = Unverified
	}
	if out.State == Verified || out.State == Deployed { // what once failed is history
		out.Failure = nil
	}
	if !d.At.IsZero() {
		at := second(d.At)
		out.At = &at
	}
	for _, e := range s.Endpoints[name] {
		out.Endpoints = append(out.Endpoints, Endpoint{e, out.at(e)})
	}
	return out
}

// at is how things stand at one endpoint. A failed verification names the first
// endpoint that it did not find in order: "verifying: HOST:PORT serves ...".
func (d Deployment) at(endpoint string) string {
	if d.Failure == nil {
		return d.State
	}
	rest, verifying := strings.CutPrefix(d.Failure.Error, "verifying: "+endpoint)
	if verifying && (strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, ": ")) {
		return Refuted
	}
	return d.State
}

// failures lists what failed and has not succeeded since.
func (t Target) failures() []Failure {
	list := slices.Clone(t.Orders)
	if t.External != nil && t.External.Failure != nil {
		list = append(list, *t.External.Failure)
	}
	for _, d := range t.Deployments {
		if d.Failure != nil {
			list = append(list, *d.Failure)
		}
	}
	return list
}

// summary is the state in a word.
func (t Target) summary(now time.Time) string {
	switch {
	case t.Damage != nil:
		return Damaged
	case t.Live == nil:
		return Missing
	case !now.Before(t.Live.NotAfter):
		return Expired
	case len(t.failures()) > 0:
		return Failing
	case t.Next.Action == renew.Deploy, t.Next.Action == renew.Take:
		return Pending
	case t.Next.Action == renew.Issue, t.External != nil && !now.Before(t.OverdueAt):
		return Due
	case t.Next.Action == renew.Wait && t.undeployed(): // for the window
		return Pending
	case t.Next.Action == renew.Wait: // for a limit: after a failure it is failing
		return Due
	}
	return OK
}
