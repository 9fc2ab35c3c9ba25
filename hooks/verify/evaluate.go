package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
)

// setServed describes the certificate served in a row.
func (v *Verifier) setServed(row *Check, s probe.Result) {
	leaf := s.Chain[0]
	row.Pair, row.Shown, row.TLS = v.matcher.match(leaf), certificateOf(leaf), tls.VersionName(s.Version)
	row.Serves = row.Pair.describe(leaf, row.Target+row.Domain, v.now)
	whole := !slices.ContainsFunc(
		probe.Check(s, probe.Expect{Now: v.now, Roots: v.Roots, Known: row.Pair.intermediates()}),
		func(f probe.Issue) bool { return f.Fault == probe.Incomplete })
	row.Complete = &whole
}

// unnamed probes again without SNI and describes in the row what is served then.
func (v *Verifier) unnamed(ctx context.Context, row *Check, p probe.Probe, named probe.Result) (probe.Result, error) {
	if p.To == "" {
		p.To = p.SNI
	}
	p.SNI = ""
	s, err := v.prober.probe(ctx, p)
	row.WithoutSNI = &NoSNI{}
	if err != nil {
		row.WithoutSNI.Error = err.Error()
		return s, err
	}
	leaf := s.Chain[0]
	row.WithoutSNI.Same, row.WithoutSNI.Fingerprint = leaf.Equal(named.Chain[0]), probe.Fingerprint(leaf)
	if o := v.matcher.match(leaf); o != nil {
		row.WithoutSNI.Source = o.Source
	}
	return s, nil
}

// withoutSNI probes without SNI, and adds an issue if peers refuse what is served
// then. Many XMPP peers send no SNI, since the stream has the name (RFC 7590,
// section 3.5), and some mail servers and mail programs; all others do.
func (v *Verifier) withoutSNI(ctx context.Context, c *endpoint, row *Check, p probe.Probe, named probe.Result, e probe.Expect) {
	s, err := v.unnamed(ctx, row, p, named)
	var failed *probe.Error
	f := probe.Issue{Fault: noSNIFault}
	switch {
	case err != nil && (!errors.As(err, &failed) || failed.TimedOut || failed.Stage != probe.Handshaking):
		return // this shows nothing
	case err != nil:
		f.Text = "is not served without SNI: " + failed.Err.Error()
	case row.WithoutSNI.Same:
		return
	default:
		list := probe.Check(s, e)
		if len(list) == 0 || list[0].Fault.Severity() != probe.Fatal {
			return
		}
		f.Text = "is not served without SNI; the one served then " + list[0].Text
	}
	result := OK
	switch c.endpoint.Proto {
	case "xmpp-client", "xmpp-server":
		result = c.severity()
	case "smtp", "imap", "pop3", "sieve":
		result = minResult(c.severity(), Warning)
	}
	c.addIssue(row, f, result, named.Chain[0])
}

// severity returns the result of a certificate that peers refuse.
func (c *endpoint) severity() Result {
	o := OK
	for _, r := range c.uses {
		switch r.Enforcement {
		case discover.Must:
			o = Failed
		case discover.Should:
			o = maxResult(o, Warning)
		}
	}
	if c.guessed {
		return minResult(o, Warning)
	}
	return o
}

// resultOf returns the result of a fault.
func (c *endpoint) resultOf(f probe.Fault) Result {
	switch {
	case f == probe.OldTLS:
		return maxResult(c.severity(), Warning) // senders of mail that check nothing may go on
	case f.Severity() == probe.Fatal:
		return c.severity()
	}
	return minResult(c.severity(), Warning)
}

// addIssue adds an issue to a row, and the peers it affects.
func (c *endpoint) addIssue(row *Check, f probe.Issue, result Result, leaf *x509.Certificate) {
	row.Issues = append(row.Issues, Issue{f.Fault, f.Text, result})
	row.setResult(maxResult(row.Result, result))
	if result != OK {
		for _, b := range affects(c.uses, c.domain, f.Fault, leaf) {
			if !slices.Contains(row.Affects, b) {
				row.Affects = append(row.Affects, b)
			}
		}
	}
}

// summarize sets the error and remedy of a row from its worst issue.
func (c *endpoint) summarize(row *Check, v *Verifier, leaf *x509.Certificate) {
	if row.Result == OK {
		return
	}
	i := slices.IndexFunc(row.Issues, func(f Issue) bool { return f.Result == row.Result })
	row.Error = "the certificate " + row.Issues[i].Text
	row.Remedy = v.matcher.remedy(row, row.Issues[i].Fault, leaf, c.uses[0].TLSA)
}

// probeFailed sets the result of a row after a failed probe. An endpoint that this
// machine cannot reach is not a failure: others may reach it.
func (c *endpoint) probeFailed(row *Check, err error) {
	var v *probe.Error
	if !errors.As(err, &v) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		row.setResult(Unknown)
		row.Error = "there was no time left for it"
		if errors.Is(err, errTooMany) {
			row.Error = err.Error()
		}
		return
	}
	injected, unsupported := errors.Is(err, probe.ErrInjected), errors.Is(err, probe.ErrUnsupported)
	mail := c.endpoint.Proto == "smtp"
	row.Error = v.Err.Error()
	switch {
	case c.optional && v.Stage == probe.Connecting, c.guessed && !injected && v.Stage == probe.Talking:
		row.setResult(Absent)
	case v.Stage == probe.Connecting:
		row.setResult(Warning)
		if c.severity() == OK { // whether peers come there is not known
			row.setResult(Unknown)
		}
		row.Error, row.Remedy = "cannot be reached from here: "+row.Error, remedyUnreachable
	case unsupported:
		row.setResult(Unknown)
		row.Error, row.Remedy = "cannot be determined from here: "+row.Error, remedyUnsupported
	case v.TimedOut, mail && v.Stage == probe.Talking && !injected && !errors.Is(err, probe.ErrNoTLS):
		row.setResult(Unknown)
		row.Error, row.Remedy = "inconclusive: "+row.Error, "verify again later, or from another network"
	case injected:
		row.setResult(Failed)
		row.Remedy, row.Affects = "something on the path inserts data: verify from another network, and on the server itself", affects(c.uses, c.domain, probe.WrongName, nil)
	default:
		row.setResult(maxResult(c.severity(), Absent))
		if mail {
			row.setResult(maxResult(row.Result, Warning)) // peers send mail in plain text then
		}
		if row.Result == OK {
			row.setResult(Absent)
		}
		row.Remedy, row.Affects = "see the server's log", affects(c.uses, c.domain, probe.WrongName, nil)
		switch {
		case errors.Is(err, probe.ErrNoTLS):
			row.Remedy = "configure a certificate for that port, and STARTTLS for every client"
		case isAlert(err, noApplicationProtocol):
			row.Error += fmt.Sprintf(": it refuses the ALPN protocols of peers, %s", strings.Join(c.alpn, " "))
			row.Remedy = "let the server accept that ALPN protocol, or any"
		case isAlert(err, unrecognizedName), isAlert(err, internalError):
			row.Remedy = "see that the server has a pair for " + orNone(c.sni)
		}
	}
}

// Alerts of TLS (RFC 8446, section 6).
const (
	handshakeFailure      tls.AlertError = 40
	internalError         tls.AlertError = 80
	unrecognizedName      tls.AlertError = 112
	noApplicationProtocol tls.AlertError = 120
)

// refusesAll reports whether a server has failed the handshake whatever name it is asked
// for: they have no cipher suite in common.
func (v *Verifier) refusesAll(ctx context.Context, p probe.Probe, err error) bool {
	if !isAlert(err, handshakeFailure) {
		return false
	}
	if p.SNI == "" {
		return true
	}
	if p.To == "" {
		p.To = p.SNI
	}
	p.SNI = ""
	_, err = v.prober.probe(ctx, p)
	return isAlert(err, handshakeFailure)
}

// isAlert reports whether err is an alert that the server sent. Outside QUIC,
// crypto/tls has no exported type for it, but one text for both.
func isAlert(err error, alert tls.AlertError) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && op.Err.Error() == alert.Error()
}
