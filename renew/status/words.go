package status

import (
	"fmt"
	"time"

	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/textfmt"
)

// actionRequired says why the operator has to act, or "". Whether he has to is
// decided by [notify.Check].
func (t Target) actionRequired(now time.Time) string {
	because := ": " + t.failing()
	if t.alert.Failure.Failures == 0 {
		because = ", and nothing has failed: does keypaird run?"
	}
	switch {
	case t.Damage != nil:
		return "its files cannot be used"
	case t.alert.Kind == "":
		return ""
	case t.Live == nil && t.TLSA != nil && t.TLSA.Held != "":
		return "there is no certificate in use: " + t.TLSA.Held
	case t.Live == nil:
		return "there is no certificate in use" + because
	case t.External != nil && t.Newest == nil && t.alert.Kind == notify.Expiring:
		return t.replaceExternal(now)
	case !now.Before(t.Live.NotAfter):
		return "the certificate in use has expired" + because
	case t.alert.Kind == notify.Expiring:
		return "the certificate in use should have been replaced by now" + because
	case t.TLSA != nil && t.TLSA.Refused:
		return "peers that heed TLSA records refuse the key in use"
	}
	return t.failing()
}

// failing says which step failed most often, and how often.
func (t Target) failing() string {
	return t.alert.Step + " failed " + times(t.alert.Failure.Failures)
}

// unhealthy says why a target has no live certificate that is not overdue, or "".
func (t Target) unhealthy(now time.Time) string {
	switch {
	case t.Live == nil && t.Damage != nil:
		return "nothing is live that could be used: " + t.Damage.Error
	case t.Live == nil:
		return "nothing is live; " + t.next()
	case !now.Before(t.Live.NotAfter):
		return fmt.Sprintf("ended %s; %s", day(t.Live.NotAfter), t.next())
	case !now.Before(t.OverdueAt):
		return fmt.Sprintf("ends %s, should have been replaced by %s; %s", day(t.Live.NotAfter), day(t.OverdueAt), t.next())
	}
	return ""
}

// Summary says in a sentence how all targets stand.
func (doc Document) Summary() string {
	all, need, busy := len(doc.Targets), 0, 0
	for _, t := range doc.Targets {
		switch {
		case t.ActionRequired != "":
			need++
		case t.State != OK:
			busy++
		}
	}
	switch {
	case all == 0:
		return "no certificate is configured"
	case need > 0 && all == 1:
		return "action required for the certificate"
	case need == 1:
		return fmt.Sprintf("action required for 1 of %d certificates", all)
	case need > 0:
		return fmt.Sprintf("action required for %d of %d certificates", need, all)
	case busy > 0 && all == 1:
		return "no action required, " + doc.works() + " on the certificate"
	case busy > 0:
		return fmt.Sprintf("no action required, %s on %d of %d", doc.works(), busy, all)
	}
	return fmt.Sprintf("%d %s ok", all, plural(all, "certificate", "certificates"))
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

// printable makes one printable line of what a CA or a file says.
func printable(s string) string { return textfmt.OneLine(s, 0) }
