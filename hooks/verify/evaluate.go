package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
)

// Faults that a look at the chain does not show.
const (
	staleFault probe.Fault = "stale"  // it is ours, but not the live one
	noSNIFault probe.Fault = "no-sni" // it is shown only to those who ask for it
)

// show notes what was seen.
func (v *Verifier) show(row *Sight, s probe.Sight) {
	leaf := s.Chain[0]
	row.Pair, row.Shown, row.TLS = v.matcher.owner(leaf), certificateOf(leaf), tls.VersionName(s.Version)
	row.Serves = row.Pair.inWords(leaf, row.Target+row.Domain, v.now)
	whole := !slices.ContainsFunc(
		probe.Judge(s, probe.Expect{Now: v.now, Roots: v.Roots, Known: row.Pair.intermediates()}),
		func(f probe.Finding) bool { return f.Fault == probe.Incomplete })
	row.Complete = &whole
}

// unnamed looks again without SNI and notes what is shown then.
func (v *Verifier) unnamed(ctx context.Context, row *Sight, look probe.Look, named probe.Sight) (probe.Sight, error) {
	if look.To == "" {
		look.To = look.SNI
	}
	look.SNI = ""
	s, err := v.prober.see(ctx, look)
	row.WithoutSNI = &Unnamed{}
	if err != nil {
		row.WithoutSNI.Error = err.Error()
		return s, err
	}
	leaf := s.Chain[0]
	row.WithoutSNI.Same, row.WithoutSNI.Fingerprint = leaf.Equal(named.Chain[0]), probe.Fingerprint(leaf)
	if o := v.matcher.owner(leaf); o != nil {
		row.WithoutSNI.Whose = o.Whose
	}
	return s, nil
}

// withoutSNI looks without SNI. XMPP has the name in the stream, so that many
// peers send none (RFC 7590, section 3.5); of mail servers and programs some do
// not; the others always do.
func (v *Verifier) withoutSNI(ctx context.Context, c *check, row *Sight, look probe.Look, named probe.Sight, e probe.Expect) {
	s, err := v.unnamed(ctx, row, look, named)
	var visit *probe.VisitError
	f := probe.Finding{Fault: noSNIFault}
	switch {
	case err != nil && (!errors.As(err, &visit) || visit.TimedOut || visit.Stage != probe.Handshaking):
		return // nothing new is known
	case err != nil:
		f.Text = "is not shown to those who send no SNI: " + visit.Err.Error()
	case row.WithoutSNI.Same:
		return
	default:
		list := probe.Judge(s, e)
		if len(list) == 0 || list[0].Fault.Weight() != probe.Fatal {
			return
		}
		f.Text = "is not shown to those who send no SNI; theirs " + list[0].Text
	}
	grade := Well
	switch c.endpoint.Proto {
	case "xmpp-client", "xmpp-server":
		grade = c.strict()
	case "smtp", "imap", "pop3", "sieve":
		grade = least(c.strict(), Warned)
	}
	c.note(row, f, grade, named.Chain[0])
}

// strict is what a certificate that peers refuse amounts to.
func (c *check) strict() Outcome {
	o := Well
	for _, r := range c.uses {
		switch r.Enforcement {
		case discover.Must:
			o = Wrong
		case discover.Should:
			o = most(o, Warned)
		}
	}
	if c.guessed {
		return least(o, Warned)
	}
	return o
}

// grade is what a fault amounts to.
func (c *check) grade(f probe.Fault) Outcome {
	switch f.Weight() {
	case probe.Fatal:
		return c.strict()
	case probe.Risk:
		return least(c.strict(), Warned)
	}
	return Well
}

func least(a, b Outcome) Outcome {
	if worse[a] < worse[b] {
		return a
	}
	return b
}

func most(a, b Outcome) Outcome {
	if worse[a] > worse[b] {
		return a
	}
	return b
}

// note adds a flaw to a row, and which peers it breaks.
func (c *check) note(row *Sight, f probe.Finding, grade Outcome, leaf *x509.Certificate) {
	row.Flaws = append(row.Flaws, Flaw{f.Fault, f.Text, grade})
	row.settle(most(row.Result, grade))
	if grade != Well {
		for _, b := range c.breaks(f.Fault, leaf) {
			if !slices.Contains(row.Breaks, b) {
				row.Breaks = append(row.Breaks, b)
			}
		}
	}
}

// conclude sums a row up by its worst flaw.
func (c *check) conclude(row *Sight, v *Verifier, leaf *x509.Certificate) {
	if row.Result == Well {
		return
	}
	i := slices.IndexFunc(row.Flaws, func(f Flaw) bool { return f.Result == row.Result })
	row.Error = "the certificate " + row.Flaws[i].Text
	row.Remedy = v.remedy(c, row, row.Flaws[i].Fault, leaf)
}

// unseen is what becomes of a row when nothing was seen. Nobody is blamed for
// what cannot be reached from where we are.
func (c *check) unseen(row *Sight, err error) {
	var v *probe.VisitError
	if !errors.As(err, &v) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		row.settle(Unknown)
		row.Error = "there was no time left to look"
		if errors.Is(err, errTooMany) {
			row.Error = err.Error()
		}
		return
	}
	injected := errors.Is(err, probe.ErrInjected)
	mail := c.endpoint.Proto == "smtp"
	row.Error = v.Err.Error()
	switch {
	case c.optional && v.Stage == probe.Connecting, c.guessed && !injected && v.Stage == probe.Talking:
		row.settle(Nothing)
	case v.Stage == probe.Connecting:
		row.settle(Warned)
		if c.strict() == Well { // whether anybody comes there is not known
			row.settle(Unknown)
		}
		row.Error, row.Remedy = "cannot be reached from here: "+row.Error, remedyUnreachable
	case v.TimedOut, mail && v.Stage == probe.Talking && !injected && !errors.Is(err, probe.ErrNoTLS):
		row.settle(Unknown)
		row.Error, row.Remedy = "cannot tell: "+row.Error, "look again later, or from another network"
	case injected:
		row.settle(Wrong)
		row.Remedy, row.Breaks = "find out who stands between: look from another network, and at the server itself", c.breaks(probe.WrongName, nil)
	default:
		row.settle(most(c.strict(), Nothing))
		if mail {
			row.settle(most(row.Result, Warned)) // it comes in plain text
		}
		if row.Result == Well {
			row.settle(Nothing)
		}
		row.Remedy, row.Breaks = "see what the server's log says of it", c.breaks(probe.WrongName, nil)
		switch alert := v.Err.Error(); {
		case errors.Is(err, probe.ErrNoTLS):
			row.Remedy = "give the server a certificate for that port, and see that it offers STARTTLS to anybody"
		case strings.HasSuffix(alert, "no application protocol"):
			row.Error += fmt.Sprintf(": it refuses the ALPN protocol that peers offer, %s", strings.Join(c.alpn, " "))
			row.Remedy = "let the server accept that ALPN protocol, or any"
		case strings.HasSuffix(alert, "unrecognized name"), strings.HasSuffix(alert, "internal error"):
			row.Remedy = "see that the server has a pair for " + orNone(c.sni)
		}
	}
}

// orNone names those who ask for a name, or for none.
func orNone(name string) string {
	if name == "" {
		return "(no name)"
	}
	return name
}
