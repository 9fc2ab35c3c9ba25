package acme

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/answer"
	"keypaird/acme/orderlog"
	"keypaird/acme/transport"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Problem is a CA's refusal: a problem document (RFC 8555, section 6.7) with
// the facts an operator needs.
type Problem struct {
	CA         string
	Type       string    // without the ACME prefix: "rateLimited", "caa", ...; "" if the CA gave none
	Status     int       // of HTTP; 0 when it came inside an order or a challenge
	Detail     string    // one line
	Identifier string    // the name it is about, if it is about one
	Challenge  string    // the challenge type that failed, if one did
	RetryAt    time.Time // earliest next try that the CA accepts; zero if it does not say
	Page       string    // URL that the operator must open: to unpause names, or to agree to new terms

	directory  string   // URL that was requested; "" if another resource was
	algorithms []string // of signatures that the CA takes, with badSignatureAlgorithm
	open       bool     // the CA has not refused the authorization: it would validate the challenge again
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.CA)
	for _, part := range []string{p.Challenge, p.Identifier, p.kind(), p.Detail} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	return b.String()
}

func (p *Problem) kind() string {
	if p.Type == "" && p.Status != 0 {
		return fmt.Sprintf("http status %d", p.Status)
	}
	return p.Type
}

// Earliest returns when another try may succeed; zero if that is not known.
func (p *Problem) Earliest() time.Time { return p.RetryAt }

// limited reports whether a rate limit of the CA is reached.
func (p *Problem) limited() bool { return p.Type == "rateLimited" || p.Status == 429 }

// Remedy says what the operator can do about it.
func (p *Problem) Remedy() string {
	switch {
	case p.Page != "" && p.limited():
		return "the CA has paused these names after many failures; repair what failed, then open " + p.Page
	case p.Page != "":
		return "open " + p.Page + " and do what it says, then: keypaird issue"
	case p.limited() && p.RetryAt.IsZero():
		return "wait some hours before the next try, or name a second CA in sign_with"
	case p.limited():
		return "try again after " + p.RetryAt.UTC().Format(time.RFC3339) + ", or name a second CA in sign_with"
	case p.Challenge == "" && p.Type == "unauthorized":
		return "the CA does not allow the account this; if the CA has deactivated it, " + anew
	case p.Type == badAlgorithm && len(p.algorithms) > 0:
		return "the CA takes only the signatures " + textfmt.OneLine(strings.Join(p.algorithms, " "), maxDetail) + ", not that of the account's key; " + anew
	case p.Type == "" && slices.Contains(ofProxies, p.Status):
		return "a proxy or firewall seems to answer in place of the CA: let this machine reach the CA, or set HTTPS_PROXY to a proxy that does"
	case p.Type == "connection" || p.Type == "tls":
		return p.reachRemedy()
	}
	if r, ok := remedies[p.Type]; ok {
		return r
	}
	if p.Status >= 500 {
		return "the CA has a fault; try again later, or name a second CA in sign_with"
	}
	if p.directory != "" && p.Type == "" {
		return "see that " + p.directory + " is the URL of an ACME directory, and correct directory in [ca." + p.CA + "]"
	}
	return "see what the CA says; keypaird check -live tests what issuing needs"
}

// anew is the last resort, which keeps the account that there is.
const anew = "to register another account beside it, name a further [ca] table with the same directory in sign_with (CAA accounturi and dns-persist-01 records must then name that account)"

const badAlgorithm = "badSignatureAlgorithm"

// ofProxies are statuses that a CA gives a type to, and a proxy does not.
var ofProxies = []int{http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusUnavailableForLegalReasons, http.StatusNetworkAuthenticationRequired}

// remedies by problem type, RFC 8555 section 6.7 and the registry it opened.
var remedies = map[string]string{
	"accountDoesNotExist":     "the CA does not know the account under accounts/ of the state directory; put back the right one, or " + anew,
	"badCSR":                  "set key to a type the CA accepts, and see that it certifies all these names together",
	"badNonce":                "the CA takes none of its own nonces back; try again later, or name a second CA in sign_with",
	"badPublicKey":            "set key to a type the CA accepts",
	"badRevocationReason":     "use another -reason",
	badAlgorithm:              "the CA does not take signatures of the account's key; " + anew,
	"caa":                     "add a CAA record that allows this CA, or correct the one there is; keypaird check -live shows it",
	"dns":                     "the CA could not look the name up: check that its zone answers and, with DNSSEC, that its signatures are valid",
	"externalAccountRequired": "set eab_kid and eab_hmac_file in the [ca] table; the CA's web site hands them out",
	"incorrectResponse":       "something else answers in our place: check where the name's records point, and that nothing rewrites the answer",
	"invalidContact":          "correct email in the configuration",
	"invalidProfile":          "set profile to one that the CA offers; keypaird check -live lists them",
	"rejectedIdentifier":      "the CA does not certify this name by policy; take it out, or name another CA in sign_with",
	"unauthorized":            "check that the name's records point here, that every address of it is this machine's, and that CAA allows it; keypaird check -live tries each",
	"unsupportedContact":      "correct email in the configuration",
	"unsupportedIdentifier":   "this CA does not certify identifiers of this kind",
	"alreadyReplaced":         "the CA has a successor of this certificate already",
	"userActionRequired":      "the CA wants something agreed to on its web site first",
}

// reachRemedy names the address that the CA could not connect to, if the CA does.
func (p *Problem) reachRemedy() string {
	where := p.Identifier
	address, _, _ := strings.Cut(p.Detail, ": ") // Let's Encrypt begins with it
	if ip := net.ParseIP(strings.Trim(address, "[]")); ip != nil {
		kind := "A"
		if ip.To4() == nil {
			kind = "AAAA"
		}
		where = fmt.Sprintf("%s, the %s record of %s", ip, kind, p.Identifier)
	}
	return "port 80 must be reachable from outside at " + where + ": check that record, the firewall and [http-01] listen; keypaird check -live tries each address"
}

const (
	maxDetail = 512  // of a text of the CA in a message
	maxText   = 4096 // of a text that is searched
)

var (
	unpausePage = regexp.MustCompile(`https://[!#-;=?-Z\[\]_a-z~]*unpause[!#-;=?-Z\[\]_a-z~]*`)
	webPage     = regexp.MustCompile(`^https://[!#-;=?-Z\[\]_a-z~]+$`)
	retryTime   = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)`)
)

// newProblem makes a Problem from the one that lego read; a is the answer to the
// same request, with the true status and Retry-After.
func newProblem(ca string, d *legoacme.ProblemDetails, a transport.Answer) *Problem {
	p := &Problem{CA: ca, Type: answer.ProblemType(d.Type), Status: a.Status, RetryAt: a.RetryAfter}
	if p.Type == badAlgorithm {
		var list struct{ Algorithms []string } // section 6.2
		_ = json.Unmarshal(a.Body, &list)
		p.algorithms = list.Algorithms
	}
	detail := textfmt.OneLine(d.Detail, maxText)
	for _, s := range d.SubProblems { // section 6.7.1
		if p.Identifier == "" {
			p.Identifier = textfmt.OneLine(s.Identifier.Value, 253)
		}
		if kind := answer.ProblemType(s.Type); remedies[p.Type] == "" && kind != "" {
			p.Type = kind
		}
		if len(detail) < maxText {
			detail += textfmt.OneLine("; "+s.Identifier.Value+": "+s.Detail, maxText)
		}
	}
	if p.limited() {
		p.Page = strings.TrimRight(unpausePage.FindString(detail), ".,;)")
	} else if p.Type == "userActionRequired" {
		p.Page = webPage.FindString(textfmt.OneLine(d.Instance, maxText)) // section 7.3.3
	}
	if m := retryTime.FindStringSubmatch(detail); m != nil && p.RetryAt.IsZero() {
		p.RetryAt, _ = time.Parse("2006-01-02 15:04:05 MST", m[1])
	}
	p.Detail = textfmt.OneLine(detail, maxDetail)
	return p
}

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

// passing reports whether the CA, or what stands before it, is at fault and not the
// order.
func (e *ProtocolError) passing() bool {
	return e.Kind == transport.Malformed || e.Kind == transport.Unreadable || e.Kind == transport.OtherHost
}

// errAccount marks an account that cannot be used, as it is on disk or as the CA
// sees it.
var errAccount = errors.New("account")

// accountError returns the error for a part of the account, or with "" for the
// account.
func (c *Client) accountError(part string, err error, remedy string) error {
	return problem.Newf(remedy, "%s: %w %s: %w", c.ca.Name, errAccount, c.accounts.where(part), err)
}

// timeout returns the error for a CA that did not finish what in time, and last
// answered with an error, if that is not nil.
func timeout(ca, what string, after time.Duration, last error) error {
	if last != nil {
		return fmt.Errorf("%s: not finished after %s: %w", what, after, last)
	}
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
		"%s: the CA has no %s challenge for this name, only: %s", name, kind, strings.Join(available, " "))}
}

// namesError holds the errors of several names that failed their authorization.
type namesError []error

func (e namesError) Error() string {
	if len(e) == 2 {
		return fmt.Sprintf("%v (and 1 more name)", e[0])
	}
	return fmt.Sprintf("%v (and %d more names)", e[0], len(e)-1)
}

func (e namesError) Unwrap() []error { return e }

// Remedy returns the remedy of the first.
func (e namesError) Remedy() string {
	return cmp.Or(problem.Remedy(e[0]), "correct each name's error, then: keypaird issue")
}

// joinNames returns the errors that are not nil as one error.
func joinNames(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return namesError(errs)
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
	return errors.As(err, &unreachable) || errors.As(err, &protocol) || errors.Is(err, errAccount)
}

// CAWide reports whether err concerns the CA, or our account there, as a
// whole: orders for other names would fail now too.
func CAWide(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "externalAccountRequired", "badNonce", badAlgorithm:
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
	return errors.As(err, &unreachable) || errors.Is(err, errAccount)
}

// final reports whether err ends the order, so that resuming it is pointless.
func final(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		if p.open {
			return false
		}
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "badNonce", badAlgorithm: // not the order's fault
			return false
		case "": // nor said by the CA
			return p.Status == 0
		}
		return !transient(err) && !p.limited()
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

// isGone reports whether there is nothing at a URL any more, with or without a
// problem document.
func isGone(err error) bool {
	var p *Problem
	return errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusGone)
}
