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
//   - else a deployment is needed where the newest is not in use and verified,
//     or the newest was stored and not made live before a crash;
//   - what failed is tried again after its backoff, or when a person asks.
func Decide(now time.Time, t Target, s State, mood Mood) Decision {
	rec := s.Record
	due := time.Time{}
	if s.Leaf != nil {
		due = Due(s.Leaf)
	}
	if why := needsCertificate(now, t, s.Leaf, rec, mood); why != "" {
		d := Decision{Issue, why, due}
		if mood == Forced {
			return d
		}
		if spent := rec.spent(t.Names, now); len(spent) >= budget {
			return Decision{Wait, fmt.Sprintf("%s, but %d certificates for these names were issued within a day", why, len(spent)),
				spent[len(spent)-budget].Add(budgetPeriod)}
		}
		if mood == Patient && rec.Order.Next.After(now) {
			return Decision{Wait, why + ", but the last try failed", rec.Order.Next}
		}
		return d
	}
	waiting := Decision{None, "not due", due}
	for _, name := range t.Deploy {
		d := rec.Deployments[name]
		if d.Verified == s.Fingerprint {
			continue
		}
		if mood == Patient && d.Attempt.Next.After(now) {
			waiting = Decision{Wait, "deployment to " + name + " failed", d.Attempt.Next}
			continue
		}
		if d.Deployed == s.Fingerprint {
			return Decision{Deploy, "deployed to " + name + " but not verified", due}
		}
		return Decision{Deploy, "stored but not deployed", due}
	}
	if waiting.Action == None && !s.Live {
		return Decision{Deploy, "stored but not live", due}
	}
	return waiting
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
func needsCertificate(now time.Time, t Target, leaf *x509.Certificate, rec Record, mood Mood) string {
	switch {
	case leaf == nil:
		return "no certificate"
	case mood == Forced:
		return "forced"
	case !slices.Equal(names(leaf), sorted(t.Names)):
		return "names changed"
	case keyType(leaf) != t.KeyType:
		return "key type changed"
	case rec.CA != "" && !slices.Contains(t.CAs, rec.CA):
		return "issued by " + rec.CA + ", which sign_with no longer names"
	case rec.CA != "" && rec.Profile != t.Profile:
		return "profile changed"
	case !now.Before(leaf.NotAfter):
		return "expired"
	case !now.Before(Due(leaf)):
		return "due"
	}
	return ""
}

// names lists what a certificate is for, sorted.
func names(leaf *x509.Certificate) []string {
	var all []string
	for _, name := range leaf.DNSNames {
		all = append(all, strings.ToLower(name))
	}
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	slices.Sort(all)
	return all
}

func sorted(in []string) []string {
	out := make([]string, len(in))
	for i, name := range in {
		out[i] = name
		if ip := net.ParseIP(name); ip != nil {
			out[i] = ip.String()
		}
	}
	slices.Sort(out)
	return out
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
