package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
	"keypaird/renew/seen"
	"keypaird/renew/unconfigured"
)

// A Source contains the parts from which Collect makes a document.
type Source struct {
	Store            *keypair.Store
	Targets          []renew.Target
	Records          *renew.Records                // those that could not be saved; nil: none
	NextDeployWindow func(now time.Time) time.Time // when deployments may begin; zero: now; nil: always
	StandIn          func(renew.Target) *StandIn   // the stand-in deployed for a target; nil: there are none
	Exposed          func(renew.Target) []Exposed  // files that others can read; nil: they are not part of the document

	// Left returns the files that deployments of a target do not write any more; nil:
	// they are not part of the document.
	Left func(renew.Target, renew.Record) []unconfigured.LeftFile

	// Unconfigured returns what is stored of targets that are no longer configured;
	// nil: that is not part of the document.
	Unconfigured func() ([]unconfigured.Certificate, error)
}

// Collect reads the state of targets at now. Damaged files of a target are part
// of the document; an unreadable state is an error.
func Collect(src Source, now time.Time) (Document, error) {
	doc := Document{Time: second(now), Healthy: true, Targets: []Target{}}
	var renamed map[string]string
	if src.Unconfigured != nil {
		found, _ := src.Unconfigured() // one that cannot be read is omitted: nobody relies on it
		doc.Unconfigured = src.collectUnconfigured(found, now)
		renamed = unconfigured.Renamed(src.Store, found, src.Targets, now)
	}
	for _, target := range src.Targets {
		t, err := src.collect(target, now)
		var broken *durable.BrokenError
		if errors.As(err, &broken) {
			t.Damage = &Damage{err.Error(), renew.Remedy(err)}
		} else if err != nil {
			return doc, fmt.Errorf("cert %q: reading its state: %w", target.Name, err)
		}
		if old, ok := renamed[t.Name]; ok {
			t.Next = Next{Action: renew.Deploy, Why: "it was renamed, and takes the pair of " + old + " along"}
		}
		t.State = t.summary(now)
		t.ActionRequired = t.actionRequired(now)
		doc.Healthy = doc.Healthy && t.unhealthy(now) == ""
		doc.Targets = append(doc.Targets, t)
	}
	return doc, nil
}

func (src Source) collect(target renew.Target, now time.Time) (Target, error) {
	t := Target{Name: target.Name, SignWith: target.CAs(), Names: []Name{}}
	for i, name := range target.Names {
		t.Names = append(t.Names, Name{Name: name})
		if target.Challenges != nil {
			t.Names[i].Challenge = target.Challenges[i]
		}
	}
	state, err := src.load(target, now)
	if err != nil {
		return t, err
	}
	if src.Exposed != nil {
		t.Exposed = src.Exposed(target)
	}
	if src.Left != nil {
		t.Left = src.Left(target, state.Record)
	}
	t.external(target, state, now)
	t.TLSA = newTLSA(target, state, now)
	t.decide(target, state, now)
	leaf, id, fp := state.Leaf, state.Version, state.Fingerprint
	if !state.Live {
		if leaf, id, fp, err = src.Store.LiveLeaf(t.Name); errors.Is(err, fs.ErrNotExist) {
			leaf, err = nil, nil
		}
	}
	if err == nil && leaf != nil {
		t.Live = src.certificate(t.Name, id, fp, leaf)
		state.InUse, t.Live.Revoked = leaf, state.Record.Revoked.TimeFor(leaf)
		t.OverdueAt = second(state.OverdueAt(target))
	}
	if src.StandIn != nil && (leaf == nil || t.undeployed()) {
		t.StandIn = src.StandIn(target)
	}
	t.alert = notify.Check(now, target, state)
	newest := t.Live
	if state.Leaf != nil && !state.Live {
		newest = src.certificate(t.Name, state.Version, state.Fingerprint, state.Leaf)
		t.Newest = newest
	}
	if rec := state.Record; newest != nil && newest.Fingerprint == rec.Fingerprint && rec.CA != renew.NameOfExternal {
		newest.CA = rec.CA
		t.Issued = second(rec.IssuedAt)
	}
	return t, err
}

// load reads the state of a target.
func (src Source) load(t renew.Target, now time.Time) (renew.State, error) {
	state, err := renew.LoadStateWith(src.Records, src.Store, t)
	if err != nil {
		return state, err
	}
	if src.NextDeployWindow != nil {
		state.NextDeployWindow = src.NextDeployWindow(now)
	}
	renew.LoadHolds(now, t, &state, renew.Scheduled)
	renew.LoadLimits(now, t, &state, renew.Scheduled)
	return state, renew.LoadNextKey(src.Store, t, &state)
}

// decide sets the next action and the earlier failures.
func (t *Target) decide(target renew.Target, state renew.State, now time.Time) {
	if state.Leaf != nil && t.External == nil {
		due := second(state.Due())
		t.Due = &due
	}
	d := renew.Decide(now, target, state, renew.Scheduled)
	t.Next = Next{Action: d.Action, Why: printable(d.Why)}
	if !d.At.IsZero() {
		at := second(d.At)
		t.Next.At = &at
	}
	t.Renewal = renewal(state)
	if t.External == nil && needsCertificate(target, state, now) {
		t.orders(state.Record.Orders)
	}
	for _, d := range target.Deploy {
		t.Deployments = append(t.Deployments, deployment(d, state))
	}
}

// needsCertificate reports whether a new certificate is needed, even if it cannot
// be ordered yet. If not, earlier failed orders no longer matter.
func needsCertificate(t renew.Target, state renew.State, now time.Time) bool {
	t.Deploy, state.Live = nil, true // ignore deployments
	d := renew.Decide(now, t, state, renew.Scheduled)
	return d.Action == renew.Issue || d.Action == renew.Wait
}

// external sets the files of an external certificate, and the names of the newest
// that was imported.
func (t *Target) external(target renew.Target, state renew.State, now time.Time) {
	x := target.External()
	if x == nil {
		return
	}
	_, last := state.Failing(now, target)
	t.External = &External{Chain: x.Chain, Key: x.Key, Failure: failure(last)}
	if state.Leaf == nil {
		return
	}
	for _, name := range keypair.Names(state.Leaf) {
		t.Names = append(t.Names, Name{name, x.String()})
	}
}

// orders adds the CAs that failed. CAs that are no longer configured are omitted.
func (t *Target) orders(orders map[string]backoff.Attempt) {
	for _, ca := range t.SignWith {
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

func (src Source) certificate(name, id, fp string, leaf *x509.Certificate) *Certificate {
	return &Certificate{
		Version: id, Fingerprint: fp, Issuer: leaf.Issuer.CommonName, Dir: filepath.Join(src.Store.Dir(name), id),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	}
}

func failure(a backoff.Attempt) *Failure {
	if a.Failures <= 0 {
		return nil
	}
	return &Failure{Failures: a.Failures, At: second(a.At), Next: second(a.Next), Error: a.Error, Remedy: a.Remedy}
}

func deployment(deployer renew.Deployer, state renew.State) Deployment {
	name, endpoints := deployer.String(), deployer.Endpoints()
	d, m, newest := state.Record.Deployments[name], state.Specs[name], state.Fingerprint
	out := Deployment{Name: name, State: Undeployed, Failure: failure(d.Attempt)}
	switch {
	case newest == "", d.ConfigHash != m.ConfigHash, m.Differs != "": // deployed nothing, or with other settings
	case d.Verified == newest && len(endpoints) > 0:
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
	requested := len(d.Endpoints) == 0
	for _, at := range endpoints {
		out.Endpoints = append(out.Endpoints, out.at(at, d.Endpoints[at], !d.LostAt.IsZero()))
		requested = requested || d.Endpoints[at].State != seen.Nothing
	}
	if out.State == Verified && !requested {
		out.State = Deployed
	}
	return out
}

// at returns the state of one endpoint, from what it was last seen to serve. lost: it, or
// another of the deployment, does not serve the certificate any more.
func (d Deployment) at(endpoint string, last seen.Endpoint, lost bool) Endpoint {
	e := Endpoint{Endpoint: endpoint, State: d.State, Error: last.Error, Remedy: last.Remedy}
	inPlace := d.State != Undeployed
	switch {
	case last.State == seen.Nothing:
		e.State = Unasked
	case last.State == seen.Failing && (d.Failure != nil || lost):
		e.State = NotServed
	case last.State == seen.Absent && inPlace:
		e.State = Absent
	case last.State == seen.Served && inPlace:
		e.State = Verified
	default: // of another version, or before a rollback
		return Endpoint{Endpoint: endpoint, State: d.State}
	}
	instant := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		at = second(at)
		return &at
	}
	e.At, e.Since, e.ServedAt = instant(last.At), instant(last.Since), instant(last.ServedAt)
	for _, address := range slices.Sorted(maps.Keys(last.Addresses)) {
		e.Addresses = append(e.Addresses, Address{address, last.Addresses[address]})
	}
	if last.State == seen.Served {
		e.ServedAt = e.At
	}
	return e
}

// collectUnconfigured returns the certificates that are no longer configured and that
// servers may still use.
func (src Source) collectUnconfigured(found []unconfigured.Certificate, now time.Time) []Unconfigured {
	var list []Unconfigured
	for _, c := range found {
		if len(c.InUse()) > 0 {
			list = append(list, src.unconfigured(c, now))
		}
	}
	return list
}

func (src Source) unconfigured(c unconfigured.Certificate, now time.Time) Unconfigured {
	s, v := c.TargetState(), c.Version
	u := Unconfigured{
		Name: c.Name, Names: s.Names, Files: c.InUse(), Remedy: notify.UnconfiguredRemedy(c.Name),
		Certificate: *src.certificate(c.Name, v.ID, v.Pair.Fingerprint(), v.Pair.Leaf),
	}
	if rec := c.Record; rec.Fingerprint == u.Certificate.Fingerprint && rec.CA != renew.NameOfExternal {
		u.Certificate.CA = rec.CA
	}
	for _, d := range c.Deployments {
		u.Deployments = append(u.Deployments, UnconfiguredDeployment{d.Name, d.Files})
	}
	if notify.Check(now, s.Target, s.State).Kind != "" {
		u.ActionRequired = "the certificate is not renewed, and ends soon"
		if !now.Before(v.Pair.Leaf.NotAfter) {
			u.ActionRequired = "the certificate was not renewed, and has ended"
		}
	}
	return u
}

// summary returns the state of the target.
func (t Target) summary(now time.Time) string {
	switch {
	case t.Damage != nil:
		return Damaged
	case t.Live == nil && t.Newest == nil && t.Next.Action == renew.Deploy: // it was renamed
		return Pending
	case t.Live == nil:
		return Missing
	case !now.Before(t.Live.NotAfter):
		return Expired
	case len(t.failures()) > 0:
		return Failing
	case t.Next.Action == renew.Deploy, t.Next.Action == renew.Issue && t.External != nil:
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
