package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/textfmt"
	"keypaird/renew/unconfigured"
)

// actionRequired returns why the operator has to act, or "". [notify.Check]
// decides whether.
func (t Target) actionRequired(now time.Time) string {
	because := ": " + t.failing()
	if t.alert.Failure.Failures == 0 {
		because = ", and nothing has failed: does keypaird run?"
	}
	switch {
	case t.Damage != nil:
		return "its files cannot be used"
	case t.alert.Kind == "" && slices.ContainsFunc(t.Exposed, func(x Exposed) bool { return x.Known }):
		return "other users can read a private key"
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
	case !t.Live.Revoked.IsZero() && t.alert.Failure.Failures == 0:
		return "the certificate in use was revoked at " + day(t.Live.Revoked)
	case !t.Live.Revoked.IsZero():
		return "the certificate in use was revoked at " + day(t.Live.Revoked) + because
	case t.alert.Kind == notify.Expiring:
		return "the certificate in use should have been replaced by now" + because
	case t.TLSA != nil && t.TLSA.Refused:
		return "peers that check TLSA records refuse the key in use"
	}
	return t.failing()
}

// failing names the step that failed most often, with its count.
func (t Target) failing() string {
	return t.alert.Step.String() + " failed " + times(t.alert.Failure.Failures)
}

// unhealthy returns why a target has no live certificate or an overdue one, or "".
func (t Target) unhealthy(now time.Time) string {
	switch {
	case t.Live == nil && t.Damage != nil:
		return "no usable certificate is live: " + t.Damage.Error
	case t.Live == nil:
		return "no certificate is live; " + t.next()
	case !now.Before(t.Live.NotAfter):
		return fmt.Sprintf("expired %s; %s", day(t.Live.NotAfter), t.next())
	case !t.Live.Revoked.IsZero():
		return fmt.Sprintf("revoked %s; %s", day(t.Live.Revoked), t.next())
	case !now.Before(t.OverdueAt):
		return fmt.Sprintf("expires %s, should have been replaced by %s; %s", day(t.Live.NotAfter), day(t.OverdueAt), t.next())
	}
	return ""
}

// Summary describes the state of all targets in one line.
func (doc Document) Summary() string {
	if n := len(doc.Unconfigured); n > 0 {
		return fmt.Sprintf("%s; %d not configured any more", doc.summary(), n)
	}
	return doc.summary()
}

func (doc Document) summary() string {
	all, need, busy, missing := len(doc.Targets), 0, 0, 0
	for _, u := range doc.Unconfigured {
		if u.ActionRequired != "" {
			all, need = all+1, need+1
		}
	}
	for _, t := range doc.Targets {
		switch {
		case t.ActionRequired != "":
			need++
		case t.State == Missing:
			missing++
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
	case missing > 0 && all == 1:
		return "no certificate yet, " + doc.worker() + " on it"
	case missing > 0:
		return fmt.Sprintf("no certificate yet for %d of %d, %s on %d", missing, all, doc.worker(), missing+busy)
	case busy > 0 && all == 1:
		return "no action required, " + doc.worker() + " on the certificate"
	case busy > 0:
		return fmt.Sprintf("no action required, %s on %d of %d", doc.worker(), busy, all)
	}
	return fmt.Sprintf("%d %s ok", all, textfmt.Plural(all, "certificate", "certificates")) + doc.notVerified()
}

// notVerified says how many certificates are deployed where nothing is verified.
func (doc Document) notVerified() string {
	n := 0
	for _, t := range doc.Targets {
		if slices.ContainsFunc(t.Deployments, func(d Deployment) bool { return d.State == Deployed }) {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case len(doc.Targets):
		return ", deployed, not verified"
	}
	return fmt.Sprintf(", %d of them deployed, not verified", n)
}

// next describes the next action.
func (t Target) next() string {
	at := "-"
	if t.Next.At != nil {
		at = day(*t.Next.At)
	}
	switch t.Next.Action {
	case renew.Issue:
		return t.orImport("order now: ", "import its files now: ") + t.Next.Why
	case renew.Deploy:
		return "deploy now: " + t.Next.Why
	case renew.Wait:
		if t.Next.At == nil { // for other machines
			return "wait: " + t.Next.Why
		}
		return "wait until " + at + ": " + t.Next.Why
	case renew.None:
		return t.orExternal("order at "+at, day)
	}
	return "-" // unknown for a damaged target
}

// Where says where the certificate is used, and until when.
func (u Unconfigured) Where() string {
	still := "still deployed at "
	if len(u.Deployments) == 0 {
		still = "still stored in "
	}
	return "not configured any more, not renewed, " + still + strings.Join(u.Files, ", ") + ", ends " + day(u.Certificate.NotAfter)
}

// WhereLeft says where a file is that is not updated any more, and until when it may be
// used.
func WhereLeft(f unconfigured.LeftFile) string {
	return "still there, not updated any more: " + f.Path + ", ends " + day(f.NotAfter)
}

// LeftRemedy returns the remedy for such files of a target.
func LeftRemedy(target string) string {
	return "let the servers use the file that the configuration names, then: keypaird forget -files " + target
}

// undeployed reports whether the newest certificate is not live or not deployed
// everywhere.
func (t Target) undeployed() bool {
	for _, d := range t.Deployments {
		if d.State != Verified && d.State != Deployed {
			return true
		}
	}
	return t.Newest != nil
}

// ownTime reports whether the next attempt after a failure is at another time
// than the target's next action.
func (t Target) ownTime(f Failure) bool {
	return t.Next.At == nil || f.Next.After(*t.Next.At)
}

// failures lists the steps that failed and have not succeeded since.
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

// orImport returns order, or what takes its place for an external certificate.
func (t Target) orImport(order, imported string) string {
	if t.External != nil {
		return imported
	}
	return order
}

// orExternal returns ordered, or for an external certificate the time before
// which the operator has to replace it, formatted by when.
func (t Target) orExternal(ordered string, when func(time.Time) string) string {
	switch {
	case t.External == nil:
		return ordered
	case t.Live == nil:
		return "external"
	}
	return "external: replace it before " + when(t.Live.NotAfter)
}

// replaceExternal asks the operator to replace the external certificate in use.
func (t Target) replaceExternal(now time.Time) string {
	text := "the external certificate in use expires "
	if !now.Before(t.Live.NotAfter) {
		text = "the external certificate in use expired "
	}
	text += day(t.Live.NotAfter) + ": write its successor to " + t.External.Chain + " and the key to " + t.External.Key
	if f := t.External.Failure; f != nil {
		text += "; importing the present files failed"
	}
	return text
}

// describe returns one line of text.
func (d Daemon) describe() string {
	const either = "; start keypaird run, or issue from cron"
	switch d.State {
	case Running:
		return fmt.Sprintf("daemon: process %d since %s", d.Process, day(d.Since))
	case Killed:
		return fmt.Sprintf("daemon: not running (process %d of %s was killed)", d.Process, day(d.Since))
	case Stopped:
		return "daemon: stopped" + either
	}
	return "daemon: none has run" + either
}

// worker returns who carries out the next actions, as part of the summary.
func (doc Document) worker() string {
	if doc.Daemon != nil && doc.Daemon.State != Running {
		return "the next keypaird issue works"
	}
	return "keypaird works"
}

// describe returns one line of text.
func (s StandIn) describe() string {
	return "a self-signed stand-in until the first certificate is deployed, valid until " + day(s.NotAfter)
}

// describe returns one line of text.
func (r Refusal) describe() string {
	return fmt.Sprintf("The configuration on disk is not in use since %s: %s", when(r.Since), printable(r.Error))
}
