package acme

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"keypaird/acme/accountfile"
	"keypaird/acme/orderlog"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Problem is a CA's refusal.
type Problem = refusal.Problem

const maxDetail = refusal.MaxDetail

// An UnreachableError reports a CA that gave no answer.
type UnreachableError struct {
	CA, Directory string
	Err           error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: %s", e.CA, textfmt.OneLine(e.Err.Error(), maxDetail))
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *UnreachableError) Remedy() string {
	if errors.Is(e.Err, transport.ErrProxy) {
		return "write HTTPS_PROXY as http://proxy.example.net:3128 where keypaird is started, special characters of a password as %40"
	}
	if untrusted(e.Err) {
		return "the CA's own TLS certificate is not trusted here: set roots in its [ca] table, or correct this machine's clock or root store"
	}
	if proxy := transport.ProxyOf(e.Directory); proxy != "" {
		return "check that " + e.Directory + " can be reached through the proxy " + proxy + ", which HTTPS_PROXY names, then: keypaird issue"
	}
	return "check that " + e.Directory + " can be reached from this machine, then: keypaird issue"
}

// A ProtocolError reports an answer of the CA that cannot be used.
type ProtocolError struct {
	CA    string
	Err   error
	Kind  transport.Kind // zero: the answer could be read
	Whole bool           // it is about the CA or our account as a whole, not about one order
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s: %s", e.CA, textfmt.OneLine(e.Err.Error(), maxDetail))
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *ProtocolError) Remedy() string {
	if e.Kind == transport.OtherHost {
		return "set directory in [ca." + e.CA + "] to the URL under which the CA knows itself; if a proxy or a login page answers in its place, let this machine reach the CA"
	}
	return cmp.Or(problem.Remedy(e.Err), "see that the directory of the CA is that of an ACME server and that no proxy changes its answers; else report it to the CA, or name another one in sign_with")
}

// passing reports whether the fault is not that of the order.
func (e *ProtocolError) passing() bool {
	return e.Kind == transport.Malformed || e.Kind == transport.Unreadable || e.Kind == transport.OtherHost
}

// timeout returns the error for a CA that did not finish what in time.
func timeout(ca, what string, after time.Duration) error {
	return problem.Newf("the order is kept, and the next run resumes it", "%s: %s: not finished after %s", ca, what, after)
}

var errWrongCertificate = errors.New("the CA gave another certificate than was ordered")

// wrongCertificate returns the error for a certificate that was not ordered.
func wrongCertificate(ca string, err error) error {
	return &ProtocolError{CA: ca, Err: problem.Newf("the pair in use was left as it is; report it to the CA, or name another one in sign_with",
		"%w: %w", errWrongCertificate, err)}
}

// clockError returns the error for a certificate that is valid by the CA's clock
// and not by this machine's, as err says.
func clockError(ca string, casTime time.Time, err error) error {
	return problem.Newf("set this machine's clock; the CA keeps the certificate, and the next run fetches it",
		"%s: %w, but %s by the CA's clock", ca, err, casTime.UTC().Format(time.RFC3339))
}

// noChallenge returns the error for an authorization without a challenge of the
// configured type.
func noChallenge(ca, name, kind string, available []string) error {
	return &ProtocolError{CA: ca, Err: problem.Newf("set another challenge type for the name, or name another CA in sign_with",
		"%s: the CA has no %s challenge for this name, only: %s", name, kind, cmp.Or(strings.Join(available, " "), "none"))}
}

// TryNextCA reports whether another CA may succeed where this one failed: it was
// unreachable, over its limits or refused the order. A name that failed its
// validation would fail at another CA too.
func TryNextCA(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		switch p.Type {
		case "connection", "dns", "incorrectResponse", "tls":
			return false
		case "unauthorized":
			return p.Challenge == ""
		}
		return true
	}
	var limit *orderlog.RateLimitError
	if errors.As(err, &limit) {
		return limit.Account // else the limit is on certificates for these names
	}
	var unreachable *UnreachableError
	var protocol *ProtocolError
	return errors.As(err, &unreachable) || errors.As(err, &protocol) || errors.Is(err, accountfile.ErrUnusable)
}

// CAWide reports whether err concerns the CA, or our account there, as a
// whole: orders for other names would fail now too.
func CAWide(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "externalAccountRequired", "badNonce", refusal.BadAlgorithm:
			return true
		}
		return p.Status >= 500
	}
	var bad *ProtocolError
	if errors.As(err, &bad) {
		return bad.Whole || bad.Kind == transport.OtherHost
	}
	var limit *orderlog.RateLimitError
	if errors.As(err, &limit) {
		return limit.Account
	}
	var unreachable *UnreachableError
	return errors.As(err, &unreachable) || errors.Is(err, accountfile.ErrUnusable)
}

// final reports whether err ends the order, so that resuming it is pointless.
func final(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		if p.Open {
			return false
		}
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "badNonce", refusal.BadAlgorithm: // not the order's fault
			return false
		case "": // nor said by the CA
			return p.Status == 0
		}
		return !transient(err) && !p.Limited()
	}
	var a *ProtocolError
	return errors.As(err, &a) && !a.passing()
}

// inconclusive reports whether err leaves the status of the order open.
func inconclusive(err error) bool {
	var p *Problem
	var a *ProtocolError
	return transient(err) || errors.As(err, &p) && p.Type == "" && p.Status != 0 || errors.As(err, &a) && a.passing()
}

// transient reports whether the same request may succeed a little later: the fault
// is in the CA, the connection or a proxy.
func transient(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status >= 500
	}
	var a *ProtocolError
	if errors.As(err, &a) && a.Kind == transport.Malformed {
		return true
	}
	var u *UnreachableError
	return errors.As(err, &u) && !untrusted(u.Err) && !errors.Is(u.Err, transport.ErrProxy)
}

// untrusted reports a TLS certificate that could not be verified.
func untrusted(err error) bool {
	var v *tls.CertificateVerificationError
	return errors.As(err, &v)
}
