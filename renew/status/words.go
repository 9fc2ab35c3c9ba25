package status

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"keypaird/renew"
)

// stubborn is how often something fails before a person is needed, and urgent
// reports whether so little of the lifetime is left that one failure is enough:
// the rules by which renew tells people.
const stubborn = 3

func (t Target) urgent(now time.Time) bool {
	return t.Live == nil || t.Live.NotAfter.Sub(now) < t.Live.NotAfter.Sub(t.Live.NotBefore)/4
}

// attention says why a person is needed, or "".
func (t Target) attention(now time.Time) string {
	trouble, failures := t.trouble()
	because := ": " + trouble
	if failures == 0 {
		because = ", and nothing has failed: does keypaird run?"
	}
	switch {
	case t.Damage != nil:
		return "its files cannot be used"
	case t.Live == nil && t.TLSA != nil && t.TLSA.Held != "":
		return "there is no certificate in use: " + t.TLSA.Held
	case t.Live == nil && failures > 0:
		return "there is no certificate in use" + because
	case t.Live == nil:
		return "" // to be obtained for the first time
	case t.External != nil && t.Newest == nil && !now.Before(t.Concern):
		return t.bought(now)
	case !now.Before(t.Live.NotAfter):
		return "the certificate in use has expired" + because
	case !now.Before(t.Concern):
		return "the certificate in use should have been replaced by now" + because
	case t.TLSA != nil && t.TLSA.Refused:
		return "peers that heed TLSA records refuse the key in use"
	case failures >= stubborn, failures > 0 && t.urgent(now) && t.External == nil:
		return trouble
	}
	return ""
}

// trouble says what failed most often, and how often.
func (t Target) trouble() (what string, failures int) {
	for _, f := range t.Orders {
		if f.Failures > failures {
			what, failures = "ordering at "+f.CA, f.Failures
		}
	}
	if t.External != nil && t.External.Failure != nil {
		what, failures = "taking its files", t.External.Failure.Failures
	}
	for _, d := range t.Deployments {
		if d.Failure != nil && d.Failure.Failures > failures {
			what, failures = "deploying to "+d.Name, d.Failure.Failures
		}
	}
	return what + " failed " + times(failures), failures
}

// unhealthy says why a target is a concern, whoever cares for it already; or "".
func (t Target) unhealthy(now time.Time) string {
	switch {
	case t.Live == nil && t.Damage != nil:
		return "nothing is live that could be used: " + t.Damage.Error
	case t.Live == nil:
		return "nothing is live; " + t.next()
	case !now.Before(t.Live.NotAfter):
		return fmt.Sprintf("ended %s; %s", day(t.Live.NotAfter), t.next())
	case !now.Before(t.Concern):
		return fmt.Sprintf("ends %s, should have been replaced by %s; %s", day(t.Live.NotAfter), day(t.Concern), t.next())
	}
	return ""
}

// Summary says in a sentence how all targets stand.
func (doc Document) Summary() string {
	all, need, busy := len(doc.Targets), 0, 0
	for _, t := range doc.Targets {
		switch {
		case t.Attention != "":
			need++
		case t.State != OK:
			busy++
		}
	}
	switch {
	case all == 0:
		return "no certificate is configured"
	case need > 0 && all == 1:
		return "the certificate needs you"
	case need == 1:
		return fmt.Sprintf("1 of %d needs you", all)
	case need > 0:
		return fmt.Sprintf("%d of %d need you", need, all)
	case busy > 0 && all == 1:
		return "nothing needs you, " + doc.works() + " on the certificate"
	case busy > 0:
		return fmt.Sprintf("nothing needs you, %s on %d of %d", doc.works(), busy, all)
	case all == 1:
		return "the certificate is well"
	case all == 2:
		return "both certificates are well"
	}
	return fmt.Sprintf("all %d certificates are well", all)
}

// next says what comes next, in words.
func (t Target) next() string {
	at := "-"
	if t.Next.At != nil {
		at = day(*t.Next.At)
	}
	switch t.Next.Action {
	case renew.Issue:
		return "order now: " + t.Next.Why
	case renew.Take:
		return "take its files now: " + t.Next.Why
	case renew.Deploy:
		return "deploy now: " + t.Next.Why
	case renew.Wait:
		return "wait until " + at + ": " + t.Next.Why
	case renew.None:
		return t.unless("order at "+at, day)
	}
	return "-" // not known of a damaged one
}

// undeployed reports whether a deployment, or live, is behind the newest.
func (t Target) undeployed() bool {
	for _, d := range t.Deployments {
		if d.State != Verified && d.State != Deployed {
			return true
		}
	}
	return t.Newest != nil
}

// ownTime reports whether something that failed is tried again at another time
// than what comes next.
func (t Target) ownTime(f Failure) bool {
	return t.Next.At == nil || f.Next.After(*t.Next.At)
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// printable keeps what CAs and files say from steering the terminal, and text
// from running backwards.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}
