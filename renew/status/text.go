package status

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"keypaird/renew"
)

// WriteText prints the document for people.
func (doc Document) WriteText(out io.Writer) error {
	w := bufio.NewWriter(out) // keeps the first error for Flush
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tSTATE\tVALID UNTIL\tLEFT\tNEXT")
	for _, t := range doc.Targets {
		until, left := "-", "-"
		if t.Live != nil {
			until, left = day(t.Live.NotAfter), span(t.Live.NotAfter.Sub(doc.Time))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", t.Name, t.State, until, left, t.next())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, t := range doc.Targets {
		t.writeDetails(w)
	}
	return w.Flush()
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
	case renew.Deploy:
		return "deploy now: " + t.Next.Why
	case renew.Wait:
		return "wait until " + at + ": " + t.Next.Why
	case renew.None:
		return "order at " + at
	}
	return "-" // not known of a damaged one
}

// writeDetails prints what does not fit a line: what a target is for, where it
// is used, and what went wrong.
func (t Target) writeDetails(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.Name)
	for _, n := range t.Names {
		fmt.Fprintf(w, "  %s by %s\n", n.Name, n.Proof)
	}
	if t.Live != nil {
		fmt.Fprintf(w, "  live %.16s, issued by %s, in %s\n", t.Live.Fingerprint, printable(t.Live.Issuer), t.Live.Dir)
	}
	if t.Newest != nil {
		fmt.Fprintf(w, "  newest %.16s, issued by %s, is not live, in %s\n", t.Newest.Fingerprint, printable(t.Newest.Issuer), t.Newest.Dir)
	}
	if t.Damage != nil {
		fmt.Fprintf(w, "  damaged: %s\n", printable(t.Damage.Error))
		writeRemedy(w, "  ", t.Damage.Remedy)
	}
	for _, d := range t.Deployments {
		fmt.Fprintf(w, "  deployment %s: %s\n", d.Name, d.State)
		writeFailure(w, "    ", "failed", d.Failure)
	}
	writeFailure(w, "  ", "ordering failed", t.Order)
}

func writeFailure(w io.Writer, indent, what string, f *Failure) {
	if f == nil {
		return
	}
	times := "once"
	if f.Failures > 1 {
		times = fmt.Sprintf("%d times", f.Failures)
	}
	fmt.Fprintf(w, "%s%s %s, last %s: %s\n", indent, what, times, day(f.At), printable(f.Error))
	writeRemedy(w, indent, f.Remedy)
}

func writeRemedy(w io.Writer, indent, remedy string) {
	for line := range strings.Lines(remedy) {
		fmt.Fprintf(w, "%sremedy: %s\n", indent, printable(line))
	}
}

// printable keeps what CAs and files say from steering the terminal.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// span prints what is left in the unit that tells most.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
