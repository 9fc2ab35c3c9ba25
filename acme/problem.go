package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
	"unicode"

	legoacme "github.com/go-acme/lego/v4/acme"
)

const (
	errNS     = "urn:ietf:params:acme:error:"
	maxDetail = 512 // of what a CA says; it is not ours to print at length
)

// A Problem is a CA's refusal: a problem document (RFC 8555, section 6.7) with
// the facts an operator needs.
type Problem struct {
	CA         string
	Type       string // without the ACME prefix: "rateLimited", "caa", ...; "" if the CA gave none
	Status     int    // of HTTP; 0 when it came inside an order or a challenge
	Detail     string // one line
	Identifier string // the name it is about, if it is about one
	Challenge  string // the challenge type that failed, if one did
	RetryAt    time.Time
	Unpause    string // page where a paused account is let go on
	AccountURL string
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.CA)
	if p.Challenge != "" {
		b.WriteString(": " + p.Challenge)
	}
	if p.Identifier != "" {
		fmt.Fprintf(&b, ": %s", p.Identifier)
	}
	if kind := p.kind(); kind != "" {
		b.WriteString(": " + kind)
	}
	b.WriteString(": " + p.Detail)
	return b.String()
}

func (p *Problem) kind() string {
	if p.Type != "" {
		return p.Type
	}
	if p.Status != 0 {
		return fmt.Sprintf("http status %d", p.Status)
	}
	return ""
}

// Remedy says what the operator can do about it.
func (p *Problem) Remedy() string {
	if p.Unpause != "" {
		return "the CA has paused these names after many failures; repair what failed, then open " + p.Unpause
	}
	if p.Type == "rateLimited" || p.Status == 429 {
		if p.RetryAt.IsZero() {
			return "wait some hours before the next try, or name a second CA in sign_with"
		}
		return "try again after " + p.RetryAt.UTC().Format(time.RFC3339) + ", or name a second CA in sign_with"
	}
	if p.Type == "connection" || p.Type == "tls" {
		return p.reachRemedy()
	}
	if r, ok := remedies[p.Type]; ok {
		return r
	}
	if p.Status >= 500 {
		return "the CA has a fault; try again later, or name a second CA in sign_with"
	}
	return "see what the CA says; keypaird check -live tests what issuing needs"
}

// remedies by problem type, RFC 8555 section 6.7 and the registry it opened.
var remedies = map[string]string{
	"accountDoesNotExist":     "the CA does not know the account under accounts/ of the state directory; put back the right one, or move its directory away to register a new account (CAA accounturi and dns-persist-01 records must then change)",
	"badRevocationReason":     "use another -reason",
	"caa":                     "add a CAA record that allows this CA, or correct the one there is; keypaird check -live shows it",
	"dns":                     "the CA could not look the name up: check that its zone answers and, with DNSSEC, that its signatures are valid",
	"externalAccountRequired": "set eab_kid and eab_hmac_file in the [ca] table; the CA's web site hands them out",
	"incorrectResponse":       "something else answers in our place: check where the name's records point, and that nothing rewrites the answer",
	"invalidContact":          "correct email in the configuration",
	"invalidProfile":          "set profile to one that the CA offers; keypaird check -live lists them",
	"rejectedIdentifier":      "the CA does not certify this name by policy; take it out, or name another CA in sign_with",
	"unauthorized":            "check that the name's records point here, that every address of it is this machine's, and that CAA allows it; keypaird check -live tries each",
	"unsupportedContact":      "correct email in the configuration",
	"userActionRequired":      "the CA wants something agreed to on its web site first",
	"badSignatureAlgorithm":   "the account key is of a kind the CA refuses",
	"badPublicKey":            "set key to a type the CA accepts",
	"badCSR":                  "set key to a type the CA accepts, and see that it certifies all these names together",
	"unsupportedIdentifier":   "this CA does not certify identifiers of this kind",
}

func (p *Problem) reachRemedy() string {
	where := p.Identifier
	if a := leadingAddress.FindString(p.Detail); a != "" {
		if ip := net.ParseIP(strings.Trim(a, "[]: ")); ip != nil {
			kind := "A"
			if ip.To4() == nil {
				kind = "AAAA"
			}
			where = fmt.Sprintf("%s, the %s record of %s", ip, kind, p.Identifier)
		}
	}
	return "port 80 must be reachable from outside at " + where + ": check that record, the firewall and [http-01] listen; keypaird check -live tries each address"
}

var (
	leadingAddress = regexp.MustCompile(`^\[?[0-9a-fA-F:.]{3,45}\]?`)
	unpausePage    = regexp.MustCompile(`https://[^\s"<>]{1,1000}unpause[^\s"<>]{0,1000}`)
	retryTime      = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)`)
)

// problem makes a Problem of what lego returned for a request; a is the answer
// to the same request, which tells the true status and Retry-After.
func (c *Client) problem(d *legoacme.ProblemDetails, a answer) *Problem {
	p := &Problem{
		CA: c.ca.Name, Type: strings.TrimPrefix(d.Type, errNS), Status: a.status,
		RetryAt: a.retryAfter, AccountURL: c.accountURL(),
	}
	if d.Type == "about:blank" {
		p.Type = ""
	}
	p.Type = oneLine(p.Type, 64)
	detail := d.Detail
	for _, s := range d.SubProblems { // section 6.7.1
		if p.Identifier == "" {
			p.Identifier = oneLine(s.Identifier.Value, 253)
		}
		if kind := strings.TrimPrefix(s.Type, errNS); remedies[p.Type] == "" && kind != "" {
			p.Type = oneLine(kind, 64)
		}
		detail += "; " + s.Identifier.Value + ": " + s.Detail
	}
	p.Unpause = unpausePage.FindString(detail)
	if m := retryTime.FindStringSubmatch(detail); m != nil && p.RetryAt.IsZero() {
		p.RetryAt, _ = time.Parse("2006-01-02 15:04:05 MST", m[1])
	}
	p.Detail = oneLine(detail, maxDetail)
	return p
}

// typed turns an error of lego's api into one of ours. An interrupt stays what
// it is.
func (s *session) typed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var d *legoacme.ProblemDetails
	if errors.As(err, &d) {
		return s.client.problem(d, s.guard.answer(d.URL))
	}
	return &UnreachableError{CA: s.client.ca.Name, Directory: s.client.ca.Directory, Err: err}
}

// An UnreachableError reports a CA that gave no answer that can be read.
type UnreachableError struct {
	CA, Directory string
	Err           error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: %s", e.CA, oneLine(e.Err.Error(), maxDetail))
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *UnreachableError) Remedy() string {
	var untrusted *tls.CertificateVerificationError
	if errors.As(e.Err, &untrusted) {
		return "the CA's own TLS certificate is not trusted here: set roots in its [ca] table, or correct this machine's clock or root store"
	}
	return "check that " + e.Directory + " can be reached from this machine, then: keypaird issue"
}

// transient reports whether the same request may succeed a little later: the
// CA stumbled, or the connection did.
func transient(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status >= 500
	}
	var u *UnreachableError
	return errors.As(err, &u)
}

// Elsewhere reports whether another CA may well succeed where this one failed:
// it was out of reach, over its limits or unwilling. A name that could not be
// proven is not proven elsewhere either.
func Elsewhere(err error) bool {
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
	var u *UnreachableError
	var w *WrongCertificateError
	var n *NotOfferedError
	var a *AccountError
	return errors.As(err, &u) || errors.As(err, &w) || errors.As(err, &n) || errors.As(err, &a)
}

// oneLine makes foreign text fit to print: no control characters, one line, cut
// at limit bytes.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
