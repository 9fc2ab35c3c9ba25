package status

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/notify"
	"keypaird/renew/textfmt"
)

// WriteText prints the document as text.
func (doc Document) WriteText(out io.Writer) error {
	w := new(strings.Builder)
	fmt.Fprintln(w, doc.Summary())
	if doc.Daemon != nil {
		fmt.Fprintln(w, doc.Daemon.describe())
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tSTATE\tVALID UNTIL\tLEFT\tNEXT")
	for _, t := range doc.Targets {
		until, left := "-", "-"
		if t.Live != nil {
			until, left = day(t.Live.NotAfter), span(t.Live.NotAfter.Sub(doc.Time))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", t.Name, t.State, until, left, t.next())
	}
	tw.Flush()
	for _, t := range doc.Targets {
		t.writeDetails(w, doc.Time)
	}
	for _, u := range doc.Unconfigured {
		u.write(w)
	}
	_, err := io.WriteString(out, textfmt.Printable(w.String()))
	return err
}

// writeDetails prints a target's names, deployments and failures.
func (t Target) writeDetails(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "\n%s\n", t.Name)
	if t.ActionRequired != "" {
		fmt.Fprintf(w, "  action required: %s\n", t.ActionRequired)
	}
	for _, n := range t.Names {
		if t.External != nil {
			fmt.Fprintf(w, "  %s\n", n.Name)
			continue
		}
		fmt.Fprintf(w, "  %s by %s\n", n.Name, n.Challenge)
	}
	t.writeLive(w)
	if t.StandIn != nil {
		fmt.Fprintf(w, "  %s, in %s\n", t.StandIn.describe(), strings.Join(t.StandIn.Files, " "))
	}
	if t.Newest != nil {
		fmt.Fprintf(w, "  newest %.16s, issued by %s, is not live, in %s\n", t.Newest.Fingerprint, printable(t.Newest.Issuer), t.Newest.Dir)
	}
	if t.External != nil {
		fmt.Fprintf(w, "  external: from %s and %s\n", t.External.Chain, t.External.Key)
		t.writeFailure(w, "  ", "importing them failed", t.External.Failure)
	}
	t.Renewal.write(w, t.Due)
	t.TLSA.write(w, now)
	if t.Damage != nil {
		fmt.Fprintf(w, "  damaged: %s\n", printable(t.Damage.Error))
		writeRemedy(w, "  ", t.Damage.Remedy)
	}
	for _, d := range t.Deployments {
		fmt.Fprintf(w, "  deployment %s: %s\n", d.Name, d.words())
		for _, e := range d.Endpoints {
			fmt.Fprintf(w, "    %s: %s%s\n", e.Endpoint, e.State, e.times())
			if e.Error != "" {
				fmt.Fprintf(w, "      %s\n", printable(e.Error))
				writeRemedy(w, "      ", e.Remedy)
			}
		}
		t.writeFailure(w, "    ", "failed", d.Failure)
	}
	for _, x := range t.Exposed {
		fmt.Fprintf(w, "  exposed: %s\n", printable(x.Error))
		writeRemedy(w, "  ", x.Remedy)
	}
	for _, f := range t.Left {
		fmt.Fprintf(w, "  %s\n", WhereLeft(f))
		writeRemedy(w, "  ", LeftRemedy(t.Name))
	}
	for _, f := range t.Orders {
		t.writeFailure(w, "  ", backoff.Step{Kind: backoff.Obtain, Name: f.CA}.String()+" failed", &f)
	}
	if t.Next.Action == renew.Wait && t.Next.At != nil {
		fmt.Fprintf(w, "  next try at %s, in %s, because: %s\n", day(*t.Next.At), span(t.Next.At.Sub(now)), t.Next.Why)
	}
}

// writeLive prints the certificate in use, if there is one.
func (t Target) writeLive(w io.Writer) {
	if t.Live == nil {
		return
	}
	fmt.Fprintf(w, "  live %.16s, issued by %s, in %s\n", t.Live.Fingerprint, printable(t.Live.Issuer), t.Live.Dir)
	if at := t.Live.Revoked; !at.IsZero() {
		fmt.Fprintf(w, "  revoked at %s: clients that check this refuse it\n", day(at))
		writeRemedy(w, "  ", notify.RevokedRemedy(t.Name))
	}
}

// times describes when the certificate was last seen there, and since when it is not.
func (e Endpoint) times() string {
	text := ""
	if e.State == NotServed && e.Since != nil {
		text = " since " + day(*e.Since)
	}
	if e.ServedAt != nil {
		text += ", last seen " + day(*e.ServedAt)
	}
	return text
}

// words describes the state of a deployment.
func (d Deployment) words() string {
	if d.State == Deployed {
		return "deployed, not verified"
	}
	return d.State
}

// write prints the certificate.
func (u Unconfigured) write(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", u.Name)
	if u.ActionRequired != "" {
		fmt.Fprintf(w, "  action required: %s\n", u.ActionRequired)
	}
	fmt.Fprintf(w, "  %s\n", u.Where())
	for _, name := range u.Names {
		fmt.Fprintf(w, "  %s\n", printable(name))
	}
	c := u.Certificate
	fmt.Fprintf(w, "  live %.16s, issued by %s, in %s\n", c.Fingerprint, printable(c.Issuer), c.Dir)
	writeRemedy(w, "  ", u.Remedy)
}

// write prints the CA's suggested renewal window.
func (r *Renewal) write(w io.Writer, due *time.Time) {
	if r == nil {
		return
	}
	if !r.Start.IsZero() {
		fmt.Fprintf(w, "  CA's suggested renewal window: %s to %s; chosen: %s\n", day(r.Start), day(r.End), day(r.Chosen))
		if due != nil && due.Before(r.Chosen) {
			fmt.Fprintf(w, "  that is too late: ordered at %s\n", day(*due))
		}
	}
	if r.Explanation != "" {
		fmt.Fprintf(w, "  the CA's explanation: %s\n", printable(r.Explanation))
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  the renewal information request failed: %s; next request at %s\n", printable(r.Error), day(r.NextAsk))
	}
}

func (t Target) writeFailure(w io.Writer, indent, what string, f *Failure) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "%s%s %s, last at %s: %s\n", indent, what, times(f.Failures), day(f.At), printable(f.Error))
	writeRemedy(w, indent, f.Remedy)
	if t.ownTime(*f) {
		fmt.Fprintf(w, "%snext try at %s\n", indent, day(f.Next))
	}
}

func writeRemedy(w io.Writer, indent, remedy string) {
	for line := range strings.Lines(remedy) {
		fmt.Fprintf(w, "%sremedy: %s\n", indent, printable(line))
	}
}
