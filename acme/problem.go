package acme

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"keypaird/renew/textfmt"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/orderlog"
)

const errNS = "urn:ietf:params:acme:error:"

// A Problem is a CA's refusal: a problem document (RFC 8555, section 6.7) with
// the facts an operator needs.
type Problem struct {
	CA         string
	Type       string    // without the ACME prefix: "rateLimited", "caa", ...; "" if the CA gave none
	Status     int       // of HTTP; 0 when it came inside an order or a challenge
	Detail     string    // one line
	Identifier string    // the name it is about, if it is about one
	Challenge  string    // the challenge type that failed, if one did
	RetryAt    time.Time // the CA wants no other try before; zero if it does not say
	Page       string    // of the CA's web site, that a person must open: to let a paused account go on, to agree to new terms

	directory string // that was asked for; "" if something else was
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

// Earliest is when another try may succeed; zero if that is not known.
func (p *Problem) Earliest() time.Time { return p.RetryAt }

// limited reports whether it is only too early or too often.
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

// remedies by problem type, RFC 8555 section 6.7 and the registry it opened.
var remedies = map[string]string{
	"accountDoesNotExist":     "the CA does not know the account under accounts/ of the state directory; put back the right one, or " + anew,
	"badCSR":                  "set key to a type the CA accepts, and see that it certifies all these names together",
	"badNonce":                "the CA takes none of its own nonces back; try again later, or name a second CA in sign_with",
	"badPublicKey":            "set key to a type the CA accepts",
	"badRevocationReason":     "use another -reason",
	"badSignatureAlgorithm":   "the account key is of a kind the CA refuses",
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

// reachRemedy names the address at which the CA found nobody, if it says so.
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

var (
	unpausePage = regexp.MustCompile(`https://[!#-;=?-Z\[\]_a-z~]*unpause[!#-;=?-Z\[\]_a-z~]*`)
	webPage     = regexp.MustCompile(`^https://[!#-;=?-Z\[\]_a-z~]+$`)
	retryTime   = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)`)
)

// problem makes a Problem of what lego returned for a request; a is the answer
// to the same request, which tells the true status and Retry-After.
func (c *Client) problem(d *legoacme.ProblemDetails, a answer) *Problem {
	p := &Problem{CA: c.ca.Name, Type: problemType(d.Type), Status: a.status, RetryAt: a.retryAfter}
	detail := textfmt.OneLine(d.Detail, maxText)
	for _, s := range d.SubProblems { // section 6.7.1
		if p.Identifier == "" {
			p.Identifier = textfmt.OneLine(s.Identifier.Value, 253)
		}
		if kind := problemType(s.Type); remedies[p.Type] == "" && kind != "" {
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

func problemType(urn string) string {
	if urn == "about:blank" {
		return ""
	}
	return textfmt.OneLine(strings.TrimPrefix(strings.TrimPrefix(urn, ownNS), errNS), 64)
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
	var limit *orderlog.RateLimitError
	if errors.As(err, &limit) {
		return limit.Account // these names were certified more than often enough
	}
	var unreachable *UnreachableError
	var nonsense *AnswerError
	var wrong *WrongCertificateError
	var notOffered *NotOfferedError
	var account *AccountError
	return errors.As(err, &unreachable) || errors.As(err, &nonsense) || errors.As(err, &wrong) ||
		errors.As(err, &notOffered) || errors.As(err, &account)
}

// Everyone reports whether err concerns the CA, or our account there, as a
// whole: other names would fare no better now.
func Everyone(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		switch p.Type {
		case "accountDoesNotExist", "userActionRequired", "externalAccountRequired", "badNonce":
			return true
		}
		return p.Status >= 500
	}
	var answer *AnswerError
	if errors.As(err, &answer) {
		return answer.Whole
	}
	var limit *orderlog.RateLimitError
	if errors.As(err, &limit) {
		return limit.Account
	}
	var unreachable *UnreachableError
	var account *AccountError
	return errors.As(err, &unreachable) || errors.As(err, &account)
}
