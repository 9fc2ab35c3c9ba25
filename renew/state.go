package renew

import (
	"crypto/x509"
	"slices"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/lifetime"
	"keypaird/renew/record"
	"keypaird/renew/rollover"
)

// A State contains the facts on disk about a target.
type State struct {
	Leaf             *x509.Certificate // of the newest version; nil if there is none
	Version          string            // of Leaf
	Fingerprint      string            // of Leaf
	Live             bool              // the newest version is the live one
	InUse            *x509.Certificate // of the live version; nil if there is none
	Record           Record
	Specs            map[string]DeploySpec // by deployment, as it is now
	Mark             string                // of the files of an external certificate, as they are now
	Limits           map[string]Limit      // by CA, where our own limit is reached; nil if no certificate is needed
	NextDeployWindow time.Time             // deployments may begin; zero: now
	OrderHold        Limit                 // why this machine orders nothing, whatever is needed; zero: it may
	DeployHold       Limit                 // why the newest version is not deployed yet; zero: it may be
	Next             *rollover.Key         // key of the next certificate, if its record is to be published first; nil: none
	Unverified       []string              // other machines that are known not to have verified the newest version

	damaged    []string // versions with files that are not as they were written, as it seems
	recordLost bool     // record.json is damaged, and Record empty
	repaired   bool     // the pass has replaced stored files, and not reported it
}

// LoadState reads the stored pair and the record of a target, and inspects its deployments
// and files.
func LoadState(store *keypair.Store, t Target) (State, error) { return LoadStateWith(nil, store, t) }

// LoadStateWith is LoadState, but with the record that could not be written, if there is
// one.
func LoadStateWith(r *Records, store *keypair.Store, t Target) (State, error) {
	l, err := store.Look(t.Name, record.File)
	rec, whole := record.Parse(l.File)
	s := State{
		Leaf: l.Leaf, Version: l.Version, Fingerprint: l.Fingerprint, Live: l.Live, InUse: l.InUse, Record: rec, damaged: l.Damaged, recordLost: !whole,
	}
	if rec, ok := r.Pending(store, t.Name); ok {
		s.Record, s.recordLost = rec, false
	}
	if err != nil {
		return s, err
	}
	s.inspect(store, t, keypair.Version{})
	return s, nil
}

// inspect reads how deployments and files are now. What is in the files of a deployment is
// compared only if they were touched since the record was written: with newest, which is
// read if it has no ID.
func (s *State) inspect(store *keypair.Store, t Target, newest keypair.Version) {
	if x := t.External(); x != nil {
		s.Mark = x.Mark()
	}
	s.Specs = make(map[string]DeploySpec, len(t.Deploy))
	for _, d := range t.Deploy {
		spec := d.Spec(t.Name)
		rec := s.Record.Deployments[d.String()]
		touched := s.Leaf != nil && (spec.Signature != rec.Signature || rec.Deployed != s.Fingerprint)
		if touched && newest.ID == "" {
			newest, _ = store.Newest(t.Name) // where that fails, so does the deployment, and says why
		}
		if touched && newest.ID == s.Version {
			spec.Inspection = d.Inspect(t.Name, newest.Pair)
		}
		s.Specs[d.String()] = spec
	}
}

// LoadLimits sets the limits of the issuers of t, whether each may be asked for one
// more certificate now, if t needs one: else no limit matters, and no file is read.
func LoadLimits(now time.Time, t Target, s *State, mode Mode) {
	s.Limits = nil
	if needsCertificate(now, t, *s, mode) == "" {
		return
	}
	s.Limits = make(map[string]Limit, len(t.Issuers))
	for _, i := range t.Issuers {
		current := s.Leaf
		if s.foreign(i.String()) {
			current = nil
		}
		s.Limits[i.String()] = i.Limit(current)
	}
}

// LoadHolds sets what keeps this machine from ordering and from deploying, and the operator
// from removing TLSA records, if others share the certificate.
func LoadHolds(now time.Time, t Target, s *State, mode Mode) {
	s.OrderHold, s.DeployHold, s.Unverified = Limit{}, Limit{}, nil
	if t.Sharing == nil {
		return
	}
	s.OrderHold, s.DeployHold = t.Sharing.OrderHold(now, *s, mode), t.Sharing.DeployHold(now, *s)
	if len(t.TLSA) > 0 {
		s.Record.TLSA.Everywhere, s.Unverified = t.Sharing.Verified(*s)
	}
}

// LoadNextKey reads the next key of a target into s, if it has TLSA records that may be
// shown: other machines that share the certificate know the key then, too.
func LoadNextKey(store *keypair.Store, t Target, s *State) (err error) {
	s.Next = nil
	if len(t.TLSA) > 0 {
		s.Next, err = record.LoadNextKey(store, t.Name, s.Leaf)
	}
	if t.Sharing != nil && s.Next.TLSA() != s.Record.TLSA.Next {
		s.Next = nil
	}
	return err
}

// Due returns when the newest certificate should be replaced; zero if there is none.
func (s State) Due() time.Time {
	switch {
	case s.Leaf == nil:
		return time.Time{}
	case s.revoked(s.Leaf):
		return s.Record.Revoked.At
	case !s.suggested():
		return lifetime.Due(s.Leaf)
	}
	return earlier(s.Record.RenewalInfo.Chosen, lifetime.LastDue(s.Leaf))
}

// suggested reports whether the CA said when it wants the newest replaced.
func (s State) suggested() bool {
	a := s.Record.RenewalInfo
	return a.Fingerprint == s.Fingerprint && !a.Chosen.IsZero()
}

// OverdueAt returns when the certificate in use is overdue: when half of the lifetime left
// when it was due has passed. Zero: nothing is in use. A certificate that has a successor
// was due, at the latest, when that was made: what its CA said of it is forgotten by then.
// One that was revoked is overdue since then.
func (s State) OverdueAt(t Target) time.Time {
	switch {
	case s.InUse == nil:
		return time.Time{}
	case s.revoked(s.InUse):
		return s.Record.Revoked.At
	case t.External() != nil:
		return lifetime.ExternalOverdue(s.InUse)
	case s.Live:
		return lifetime.Overdue(s.InUse, s.Due())
	case s.Leaf == nil:
		return lifetime.Overdue(s.InUse, lifetime.Due(s.InUse))
	}
	due := later(lifetime.Due(s.InUse), earlier(s.Leaf.NotBefore, lifetime.LastDue(s.InUse)))
	return lifetime.Overdue(s.InUse, due)
}

// revoked reports whether the operator has revoked a certificate.
func (s State) revoked(leaf *x509.Certificate) bool { return !s.Record.Revoked.TimeFor(leaf).IsZero() }

// Urgent reports whether less than a quarter of the lifetime is left of what is
// in use, or it was revoked.
func (s State) Urgent(now time.Time) bool {
	return lifetime.EndsSoon(s.InUse, now) || s.revoked(s.InUse)
}

// ends returns when the certificate in use ends; zero if there is none.
func (s State) ends() time.Time {
	if s.InUse == nil {
		return time.Time{}
	}
	return s.InUse.NotAfter
}

// issuer returns the CA that issued the newest certificate; "" if that is not known.
func (s State) issuer() string {
	rec := s.Record
	if rec.Fingerprint == "" || rec.Fingerprint != s.Fingerprint || rec.CA == NameOfExternal {
		return ""
	}
	return rec.CA
}

// imported reports whether the newest certificate was imported from files.
func (s State) imported() bool {
	return s.Leaf != nil && s.Record.CA == NameOfExternal && s.Record.Fingerprint == s.Fingerprint
}

// foreign reports whether the newest certificate is known to be another CA's.
func (s State) foreign(ca string) bool { return s.issuer() != "" && s.issuer() != ca }

// Done reports whether nothing is missing for the newest certificate in a deployment.
func (s State) Done(deployment string) bool {
	d, spec := s.Record.Deployments[deployment], s.Specs[deployment]
	return d.Verified == s.Fingerprint && d.ConfigHash == spec.ConfigHash && spec.Differs == ""
}

// Rollover returns the state of a target as the rules for its next key see it.
func (s State) Rollover(t Target) rollover.State {
	deployed := s.Live && (t.Sharing == nil || s.Record.TLSA.Everywhere == s.Fingerprint)
	for _, d := range t.Deploy {
		deployed = deployed && s.Done(d.String())
	}
	return rollover.State{
		Names: t.TLSA, KeyType: t.KeyType, InUse: s.InUse, Newest: s.Leaf, Next: s.Next, Deployed: deployed, NewKey: t.NewKey, Revoked: s.revoked(s.Leaf), Record: s.Record.TLSA.Record,
	}
}

func earlier(a, b time.Time) time.Time { return slices.MinFunc([]time.Time{a, b}, time.Time.Compare) }

func later(a, b time.Time) time.Time { return slices.MaxFunc([]time.Time{a, b}, time.Time.Compare) }
