package renew

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// An Action is what a target needs.
type Action string

// Actions.
const (
	None   Action = "none"   // all is as configured
	Issue  Action = "issue"  // a new certificate, then deploy it
	Deploy Action = "deploy" // the newest certificate is not in use everywhere
	Wait   Action = "wait"   // something is to be done, but not yet: see At
)

// A Decision says what a target needs, and why.
type Decision struct {
	Action Action
	Why    string
	At     time.Time // Wait: when it may be done; else: when the next certificate is due
}

// A Mood says how patient a pass is.
type Mood int

// Moods.
const (
	Patient Mood = iota // the daemon: backoff and budget hold
	Asked               // a person asked: no backoff is waited for
	Forced              // a person insists: a new certificate now, whatever the budget
)

const (
	budget       = 2 // certificates for one exact set of names
	budgetPeriod = 24 * time.Hour
	shortLived   = 10 * 24 * time.Hour
)

// A State is what is on disk of a target.
type State struct {
	Leaf        *x509.Certificate // of the newest version; nil if there is none
	Version     string            // of Leaf
	Fingerprint string            // of Leaf
	Live        bool              // the newest version is the live one
	Record      Record
}

// Decide says what to do about a target at now. The rules, in order:
//
//   - a new certificate is needed if there is none, if names, key type, CA or
//     profile are not the configured ones, or if it is due: at a third of its
//     lifetime left, half if it lives under ten days;
//   - at most two certificates for one exact set of names are had in a day
//     unless a person forces it (Let's Encrypt grants five in seven days);
//   - a deployment is needed where the newest is not in use and verified, or the
//     newest was stored and not made live before a crash. It does not wait for a
//     new certificate that cannot be had yet;
//   - what failed is tried again after its backoff, or when a person asks.
func Decide(now time.Time, t Target, s State, mood Mood) Decision {
	why := needsCertificate(now, t, s, mood)
	if why == "" {
		return decideDeploy(now, t, s, mood)
	}
	d := decideIssue(now, t, s, mood, why)
	if d.Action == Wait {
		if meanwhile, ok := decideMeanwhile(now, t, s, mood); ok {
			return meanwhile
		}
	}
	return d
}

// decideMeanwhile says whether what is stored is to be put in use although a
// new certificate is needed.
func decideMeanwhile(now time.Time, t Target, s State, mood Mood) (Decision, bool) {
	if s.Leaf == nil || !now.Before(s.Leaf.NotAfter) {
		return Decision{}, false
	}
	d := decideDeploy(now, t, s, mood)
	return d, d.Action == Deploy
}

// decideIssue says whether the certificate that is needed may be ordered.
func decideIssue(now time.Time, t Target, s State, mood Mood, why string) Decision {
	spent := s.Record.spent(t.Names, now)
	switch {
	case mood == Forced:
	case len(spent) >= budget:
		return Decision{
			Wait, fmt.Sprintf("%s, but %d certificates for these names were issued within a day", why, len(spent)),
			spent[len(spent)-budget].Add(budgetPeriod),
		}
	case mood == Patient && s.Record.Order.waits(now):
		return Decision{Wait, why + ", but the last try failed", s.Record.Order.Next}
	}
	return Decision{Issue, why, s.due()}
}

// decideDeploy says whether the newest certificate is to be put in use.
func decideDeploy(now time.Time, t Target, s State, mood Mood) Decision {
	waiting := Decision{None, "not due", s.due()}
	for _, name := range t.Deploy {
		d := s.Record.Deployments[name]
		if d.done(s.Fingerprint, t.Manner[name]) {
			continue
		}
		if mood == Patient && d.Attempt.waits(now) {
			waiting = Decision{Wait, "deployment to " + name + " failed", d.Attempt.Next}
			continue
		}
		switch {
		case d.Deployed != s.Fingerprint:
		case t.Manner[name].Lost:
			return Decision{Deploy, "a file of deployment " + name + " is gone", s.due()}
		case d.Manner != t.Manner[name].Sum:
			return Decision{Deploy, "deployment " + name + " was changed", s.due()}
		default:
			return Decision{Deploy, "deployed to " + name + " but not verified", s.due()}
		}
		return Decision{Deploy, "stored but not deployed", s.due()}
	}
	if waiting.Action == None && !s.Live {
		return Decision{Deploy, "stored but not live", s.due()}
	}
	return waiting
}

// done reports whether nothing is missing for a certificate in a deployment.
func (d Deployment) done(fingerprint string, m Manner) bool {
	return d.Verified == fingerprint && d.Manner == m.Sum && !m.Lost
}

// due is when the newest certificate is to be replaced; zero if there is none.
func (s State) due() time.Time {
	if s.Leaf == nil {
		return time.Time{}
	}
	return Due(s.Leaf)
}

// Due is when a certificate is to be replaced.
func Due(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	left := life / 3
	if life < shortLived {
		left = life / 2
	}
	return leaf.NotAfter.Add(-left)
}

// needsCertificate says why a new certificate is needed, or "".
func needsCertificate(now time.Time, t Target, s State, mood Mood) string {
	rec := s.Record
	known := rec.Fingerprint != "" && rec.Fingerprint == s.Fingerprint // who issued the newest, and as what
	switch {
	case s.Leaf == nil:
		return "no certificate"
	case mood == Forced:
		return "forced"
	case !slices.Equal(names(s.Leaf), canonical(t.Names)):
		return "names changed"
	case keyType(s.Leaf) != t.KeyType:
		return "key type changed"
	case known && !slices.Contains(t.CAs, rec.CA):
		return "issued by " + rec.CA + ", which sign_with no longer names"
	case known && rec.Profile != t.Profile:
		return "profile changed"
	case !now.Before(s.Leaf.NotAfter):
		return "expired"
	case !now.Before(Due(s.Leaf)):
		return "due"
	}
	return ""
}

// names lists what a certificate is for, in the form that canonical returns.
func names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return canonical(all)
}

// canonical returns names sorted, in one spelling and each once.
func canonical(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
		if ip := net.ParseIP(name); ip != nil {
			out[i] = ip.String()
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func keyType(leaf *x509.Certificate) string {
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ec%d", key.Curve.Params().BitSize)
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", key.N.BitLen())
	}
	return ""
}
