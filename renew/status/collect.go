package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
)

// A Subject is a target with further settings from the configuration.
type Subject struct {
	renew.Target
	Challenges map[string]string             // challenge type by name
	Verifies   map[string]bool               // deployments with endpoints to verify; those in Endpoints may be absent
	Endpoints  map[string][]string           // endpoints by deployment; may be nil
	Limiter    renew.Limiter                 // nil: no order limit
	Window     func(now time.Time) time.Time // when deployments may begin; zero: now; nil: always
}

// Collect reads the state of subjects at now. Damaged files of a target are part
// of the document; an unreadable state is an error.
func Collect(store *keypair.Store, subjects []Subject, now time.Time) (Document, error) {
	return CollectWith(renew.LoadState, store, subjects, now)
}

// A LoadState reads the state of a target. A renew.Records also includes
// records that could not be saved.
type LoadState func(store *keypair.Store, name string) (renew.State, error)

// CollectWith is Collect with states read by load.
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
		t.Names = append(t.Names, Name{name, s.Challenges[name]})
	}
	state, err := load(store, s.Name)
	if err != nil {
		return t, err
	}
	if s.Window != nil {
		state.NextDeployWindow = s.Window(now)
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

// decide sets the next action and the earlier failures.
func (t *Target) decide(s Subject, state renew.State, now time.Time) {
	if state.Leaf != nil {
		due := second(state.Due())
		t.Due = &due
	}
	d := renew.Decide(now, s.Target, state, renew.Scheduled)
	t.Next = Next{Action: d.Action, Why: printable(d.Why)}
	if !d.At.IsZero() {
		at := second(d.At)
		t.Next.At = &at
	}
	t.Renewal = renewal(state)
	t.external(s, state, now)
	if t.External == nil && needsCertificate(s, state, now) {
		t.orders(s, state.Record.Orders)
	}
	for _, name := range s.Deploy {
		t.Deployments = append(t.Deployments, deployment(name, s, state))
	}
}

// needsCertificate reports whether a new certificate is needed, even if it cannot
// be ordered yet. If not, earlier failed orders no longer matter.
func needsCertificate(s Subject, state renew.State, now time.Time) bool {
	s.Deploy, state.Live = nil, true // ignore deployments
	d := renew.Decide(now, s.Target, state, renew.Scheduled)
	return d.Action == renew.Issue || d.Action == renew.Wait
}

// external sets the files of an external certificate. It has no due time: only
// its end is known.
func (t *Target) external(s Subject, state renew.State, now time.Time) {
	if s.External == nil {
		return
	}
	_, last := state.Failing(now, s.Target)
	t.External = &External{Chain: s.External.Chain, Key: s.External.Key, Failure: failure(last)}
	t.Due = nil
}

// orders adds the CAs that failed. CAs that are no longer configured are omitted.
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

// renewal returns the CA's renewal information for the newest certificate, or nil.
func renewal(state renew.State) *Renewal {
	a := state.Record.RenewalInfo
	if state.Leaf == nil || a.Fingerprint != state.Fingerprint || a.Start.IsZero() && a.Error == "" {
		return nil
	}
	return &Renewal{
		Start: second(a.Start), End: second(a.End), Chosen: second(a.Chosen), Explanation: a.Explanation,
		NextAsk: second(a.Next), Error: a.Error,
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
	return &Failure{Failures: a.Failures, At: second(a.At), Next: second(a.Next), Error: a.Error, Remedy: a.Remedy}
}

func deployment(name string, s Subject, state renew.State) Deployment {
	d, m, newest := state.Record.Deployments[name], s.Specs[name], state.Fingerprint
	out := Deployment{Name: name, State: Undeployed, Failure: failure(d.Attempt)}
	switch {
	case newest == "", d.ConfigHash != m.ConfigHash, m.FilesMissing: // deployed nothing, or with other settings
	case d.Verified == newest && (s.Verifies[name] || len(s.Endpoints[name]) > 0):
		out.State = Verified
	case d.Verified == newest:
		out.State = Deployed
	case d.Deployed == newest:
		out.State = Unverified
	}
	if out.State == Verified || out.State == Deployed { // earlier failures no longer matter
		out.Failure = nil
	}
	if !d.At.IsZero() {
		at := second(d.At)
		out.At = &at
	}
	for _, e := range s.Endpoints[name] {
		out.Endpoints = append(out.Endpoints, Endpoint{e, out.at(e, d.Attempt)})
	}
	return out
}

// at returns the state of one endpoint after the last attempt.
func (d Deployment) at(endpoint string, last renew.Attempt) string {
	if d.Failure != nil && last.Endpoint == endpoint {
		return NotServed
	}
	return d.State
}

// summary returns the state of the target.
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
	case t.Next.Action == renew.Deploy, t.Next.Action == renew.Import:
		return Pending
	case t.Next.Action == renew.Issue, t.External != nil && !now.Before(t.OverdueAt):
		return Due
	case t.Next.Action == renew.Wait && t.undeployed(): // for the deploy window
		return Pending
	case t.Next.Action == renew.Wait: // for a limit: after a failure it is failing
		return Due
	}
	return OK
}
