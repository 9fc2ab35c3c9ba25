package refusal

import (
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
	"keypaird/acme/transport"
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

	Directory  string   // URL that was requested; "" if another resource was
	Algorithms []string // of signatures that the CA takes, with BadAlgorithm
	Open       bool     // the CA has not refused the authorization: it would validate the challenge again
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

// Limited reports whether a rate limit of the CA is reached.
func (p *Problem) Limited() bool { return p.Type == "rateLimited" || p.Status == 429 }

// Gone reports whether there is nothing at a URL, any more or yet.
func (p *Problem) Gone() bool {
	return p.Status == http.StatusNotFound || p.Status == http.StatusGone
}

// Unsupported reports whether err may say that the CA cannot do what it was asked for, such
// as to revoke or to replace a key: private CAs say so in many ways.
func Unsupported(err error) bool {
	p, refused := errors.AsType[*Problem](err)
	return refused && (slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}, p.Status) ||
		slices.Contains([]string{"unauthorized", "malformed", "rejectedIdentifier", "accountDoesNotExist"}, p.Type))
}

// Lags reports whether a replica that lags may answer so.
func (p *Problem) Lags() bool {
	return p.Status == http.StatusNotFound || p.Status == http.StatusForbidden && slices.Contains([]string{"unauthorized", "malformed", NotReady}, p.Type)
}

// Remedy says what the operator can do about it.
func (p *Problem) Remedy() string {
	switch {
	case p.Page != "" && p.Limited():
		return "the CA has paused these names after many failures; repair what failed, then open " + p.Page
	case p.Page != "":
		return "open " + p.Page + " and do what it says, then: keypaird issue"
	case p.Limited() && p.RetryAt.IsZero():
		return "wait some hours before the next try, or name a second CA in sign_with"
	case p.Limited():
		return "try again after " + p.RetryAt.UTC().Format(time.RFC3339) + ", or name a second CA in sign_with"
	case p.Challenge == "" && p.Type == "unauthorized":
		return "the CA does not allow the account this; if the CA has deactivated it, " + Anew
	case p.Type == "accountDoesNotExist":
		return "the CA does not know the account under accounts/ of the state directory: put back the right one or, if the CA has lost it: keypaird account register " + p.CA + " (CAA accounturi and dns-persist-01 records must then name the new account)"
	case p.Type == BadAlgorithm && len(p.Algorithms) > 0:
		return "the CA takes only the signatures " + textfmt.OneLine(strings.Join(p.Algorithms, " "), MaxDetail) + ", not that of the account's key; " + Anew
	case p.Type == "" && slices.Contains(ofProxies, p.Status):
		return "a proxy or firewall seems to answer in place of the CA: let this machine reach the CA, or set HTTPS_PROXY to a proxy that does"
	case p.Challenge == "dns-01" && slices.Contains(otherAnswer, p.Type):
		return "the CA found other TXT records than ours, perhaps cached since an earlier try: wait some minutes and try again; check that _acme-challenge of the name leads to the zone that the DNS account changes, and has the same records at all its name servers"
	case p.Challenge != "" && p.Type == "rejectedIdentifier":
		return remedies["incorrectResponse"] + "; else the CA does not certify this name by policy"
	case p.Type == "connection" || p.Type == "tls":
		return p.reachRemedy()
	}
	if r, ok := remedies[p.Type]; ok {
		return r
	}
	if p.Status >= 500 {
		return "the CA has a fault; try again later, or name a second CA in sign_with"
	}
	if p.Directory != "" && p.Type == "" {
		return "see that " + p.Directory + " is the URL of an ACME directory, and correct directory in [ca." + p.CA + "]"
	}
	return "see what the CA says; keypaird check -live tests what issuing needs"
}

// Unregistered returns the remedy for a refused registration, with an external account
// or a mail address; "" if that of err will do.
func Unregistered(err error, external, address bool) string {
	p, refused := errors.AsType[*Problem](err)
	wrong := refused && (p.Type == "unauthorized" || p.Type == "malformed")
	switch {
	case external && (wrong || refused && p.Type == "serverInternal"): // step-ca's answer to any mistake in it
		return "check eab_kid and eab_hmac_file in the [ca] table against the CA's web site; some CAs let each be used once only, and some call a mistake a fault of their own"
	case wrong && p.Type == "malformed" && !address: // acme2certifier's answer
		return "set email at the top of the configuration: some CAs register no account without an address"
	case wrong:
		return "the CA knows the account's key and does not accept it any more; " + Anew
	}
	return ""
}

// Anew is the last resort, which keeps the account that there is.
const Anew = "to register another account beside it, name a further [ca] table with the same directory in sign_with (CAA accounturi and dns-persist-01 records must then name that account)"

// Types of problems.
const (
	BadAlgorithm = "badSignatureAlgorithm" // the CA does not take the signatures of the account's key
	NotReady     = "orderNotReady"
)

// otherAnswer are the types of a challenge that got another answer: Let's Encrypt's, RFC
// 8555's and step-ca's.
var otherAnswer = []string{"unauthorized", "incorrectResponse", "rejectedIdentifier"}

// ofProxies are statuses that a CA gives a type to, and a proxy does not.
var ofProxies = []int{http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusUnavailableForLegalReasons, http.StatusNetworkAuthenticationRequired}

// remedies by problem type, RFC 8555 section 6.7 and the registry it opened.
var remedies = map[string]string{
	"badCSR":                  "set key to a type the CA accepts, and see that it certifies all these names together",
	"badNonce":                "the CA takes none of its own nonces back; try again later, or name a second CA in sign_with",
	"badPublicKey":            "set key to a type the CA accepts",
	"badRevocationReason":     "use another -reason",
	BadAlgorithm:              "the CA does not take signatures of the account's key; " + Anew,
	"caa":                     "add a CAA record that allows this CA, or correct the one there is; keypaird check -live shows it",
	"dns":                     "the CA could not look the name up: check that its zone answers and, with DNSSEC, that its signatures are valid",
	"externalAccountRequired": "set eab_kid and eab_hmac_file in the [ca] table; the CA's web site hands them out",
	"incorrectResponse":       "something else answers in our place: check where the name's records point, and that nothing rewrites the answer",
	"invalidContact":          "correct email in the configuration",
	"invalidProfile":          "set profile to one of the CA's; keypaird check -live lists them",
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
	port, table := "80", "http-01"
	if p.Challenge == "tls-alpn-01" {
		port, table = "443", "tls-alpn"
	}
	return fmt.Sprintf("port %s must be reachable from outside at %s: check that record, the firewall and [%s] listen; keypaird check -live tries each address", port, where, table)
}

// Bounds of texts.
const (
	MaxDetail = 512  // of a text of the CA in a message
	MaxText   = 4096 // of a text that is searched
)

// Patterns, compiled when they are needed.
const (
	unpausePage = `https://[!#-;=?-Z\[\]_a-z~]*unpause[!#-;=?-Z\[\]_a-z~]*`
	webPage     = `^https://[!#-;=?-Z\[\]_a-z~]+$`
	retryTime   = `retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)`
)

// WebPage returns the URL of a page for people if it is fit to be printed, else "".
func WebPage(spelled string) string {
	if spelled == "" { // it is for each renewal information, as a rule
		return ""
	}
	return regexp.MustCompile(webPage).FindString(spelled[:min(len(spelled), MaxText)])
}

// New makes a Problem from the one that lego read; a is the answer to the
// same request, with the true status and Retry-After.
func New(ca string, d *legoacme.ProblemDetails, a transport.Answer) *Problem {
	p := &Problem{CA: ca, Type: answer.ProblemType(d.Type), Status: a.Status, RetryAt: a.RetryAfter}
	if p.Type == BadAlgorithm {
		var list struct{ Algorithms []string } // section 6.2
		_ = json.Unmarshal(a.Body, &list)
		p.Algorithms = list.Algorithms
	}
	detail := textfmt.OneLine(d.Detail, MaxText)
	for _, s := range d.SubProblems { // section 6.7.1
		if p.Identifier == "" {
			p.Identifier = textfmt.OneLine(s.Identifier.Value, 253)
		}
		if kind := answer.ProblemType(s.Type); remedies[p.Type] == "" && kind != "" {
			p.Type = kind
		}
		if len(detail) < MaxText {
			detail += textfmt.OneLine("; "+s.Identifier.Value+": "+s.Detail, MaxText)
		}
	}
	if p.Limited() {
		p.Page = strings.TrimRight(regexp.MustCompile(unpausePage).FindString(detail), ".,;)")
	} else if p.Type == "userActionRequired" {
		p.Page = WebPage(textfmt.OneLine(d.Instance, MaxText)) // section 7.3.3
	}
	if m := regexp.MustCompile(retryTime).FindStringSubmatch(detail); m != nil && p.RetryAt.IsZero() {
		p.RetryAt, _ = time.Parse("2006-01-02 15:04:05 MST", m[1])
	}
	p.Detail = textfmt.OneLine(detail, MaxDetail)
	return p
}
