package acme

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/accountfile"
	"keypaird/acme/orderlog"
	"keypaird/acme/refusal"
	"keypaird/acme/transport"
)

const errNS = "urn:ietf:params:acme:error:"

func TestProblem(t *testing.T) {
	for _, tt := range []struct {
		name           string
		d              legoacme.ProblemDetails
		a              transport.Answer
		challenge      string
		text, help     string
		final, another bool // the order is over; another CA may do better
	}{
		{"port 80 closed at an IPv4 address", legoacme.ProblemDetails{Type: errNS + "connection", Detail: "203.0.113.1: Fetching http://a.test/.well-known/acme-challenge/x: Connection refused"},
			transport.Answer{}, HTTP01, "le: http-01: a.test: connection: 203.0.113.1: Fetching", "at 203.0.113.1, the A record of a.test", true, false},
		{"port 80 closed at an IPv6 address", legoacme.ProblemDetails{Type: errNS + "connection", Detail: "2001:db8::1: Fetching http://a.test/: Timeout"},
			transport.Answer{}, HTTP01, "le: http-01: a.test: connection", "at 2001:db8::1, the AAAA record of a.test", true, false},
		{"no address told", legoacme.ProblemDetails{Type: errNS + "connection", Detail: "Timeout during connect"},
			transport.Answer{}, HTTP01, "le: http-01: a.test: connection", "from outside at a.test: check", true, false},
		{"wrong answer on port 80", legoacme.ProblemDetails{Type: errNS + "unauthorized", Detail: "Invalid response"},
			transport.Answer{}, HTTP01, "le: http-01: a.test: unauthorized", "records point here", true, false},
		{"wrong answer, as step-ca calls it", legoacme.ProblemDetails{Type: errNS + "rejectedIdentifier", Detail: "The server will not issue certificates for the identifier"},
			transport.Answer{}, HTTP01, "le: http-01: a.test: rejectedIdentifier", "something else answers in our place", true, true},
		{"stale record, as step-ca calls it", legoacme.ProblemDetails{Type: errNS + "rejectedIdentifier", Detail: "The server will not issue certificates for the identifier"},
			transport.Answer{}, DNS01, "le: dns-01: a.test: rejectedIdentifier", "the CA found other TXT records than ours", true, true},
		{"stale record", legoacme.ProblemDetails{Type: errNS + "unauthorized", Detail: "Incorrect TXT record"},
			transport.Answer{}, DNS01, "le: dns-01: a.test: unauthorized", "the CA found other TXT records than ours", true, false},
		{"DNSSEC broken", legoacme.ProblemDetails{Type: errNS + "dns", Detail: "SERVFAIL"}, transport.Answer{}, DNS01, "le: dns-01: a.test: dns: SERVFAIL", "DNSSEC", true, false},
		{"account deactivated", legoacme.ProblemDetails{Type: errNS + "unauthorized", Detail: "Account has been deactivated"},
			transport.Answer{Status: 403}, "", "le: unauthorized: Account has", "if the CA has deactivated it", true, true},
		{"CAA", legoacme.ProblemDetails{Type: errNS + "caa", Detail: "CAA record for a.test prevents issuance"}, transport.Answer{Status: 403}, "", "le: caa:", "CAA record", true, true},
		{"one of several names refused", legoacme.ProblemDetails{Type: errNS + "malformed", Detail: "some identifiers", SubProblems: []legoacme.SubProblem{
			{Type: errNS + "rejectedIdentifier", Detail: "policy forbids", Identifier: legoacme.Identifier{Value: "bank.test"}},
		}}, transport.Answer{Status: 400}, "", "le: bank.test: rejectedIdentifier: some identifiers; bank.test: policy forbids", "does not certify this name", true, true},
		{"busy", legoacme.ProblemDetails{Type: errNS + "serverInternal", Detail: "try later"}, transport.Answer{Status: 503}, "", "le: serverInternal: try later", "the CA has a fault", false, true},
		{"by a proxy, without a type", legoacme.ProblemDetails{Type: "about:blank", Detail: "Forbidden"}, transport.Answer{Status: 403}, "", "le: http status 403: Forbidden", "a proxy or firewall", false, true},
		{"limit", legoacme.ProblemDetails{Type: errNS + "rateLimited", Detail: "too many"}, transport.Answer{Status: 429}, "", "le: rateLimited: too many", "second CA", false, true},
		{"no nonce is good", legoacme.ProblemDetails{Type: "urn:keypaird:badNonce", Detail: "bad"}, transport.Answer{Status: 400}, "", "le: badNonce: bad", "none of its own nonces", false, true},
		{"lines and escapes", legoacme.ProblemDetails{Type: "x\ny\x1b[2J", Detail: "a\r\nb\x1b]0;c\u202ed"}, transport.Answer{Status: 400}, "", "le: x y: a b\uFFFD]0;c\uFFFDd", "", true, true},
		{"megabytes", legoacme.ProblemDetails{Detail: strings.Repeat("é", 1<<19), SubProblems: make([]legoacme.SubProblem, 10000)}, transport.Answer{Status: 400}, "", "é…", "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := refusal.New("le", &tt.d, tt.a)
			if tt.challenge != "" {
				p.Identifier, p.Challenge = "a.test", tt.challenge
			}
			if got := p.Error(); !strings.Contains(got, tt.text) || strings.ContainsAny(got, "\r\n\x1b") || len(got) > 1000 {
				t.Errorf("error = %.1000q, want one line with %q", got, tt.text)
			}
			if got := p.Remedy(); !strings.Contains(got, tt.help) {
				t.Errorf("remedy = %q, want %q", got, tt.help)
			}
			err := fmt.Errorf("ordering: %w", p)
			if final(err) != tt.final || TryNextCA(err) != tt.another {
				t.Errorf("final = %v, TryNextCA = %v; want %v, %v", final(err), TryNextCA(err), tt.final, tt.another)
			}
		})
	}
}

// The remedy for a directory that is not found names its URL, not the check that may
// just have failed.
func TestWrongDirectory(t *testing.T) {
	for _, tt := range []struct {
		name, directory, kind, help string
		status                      int
	}{
		{"no page", "https://ca.test/acme/dir", "", "see that https://ca.test/acme/dir is the URL of an ACME directory, and correct directory in [ca.le]", 404},
		{"down", "https://ca.test/acme/dir", "", "the CA has a fault", 503},
		{"refused by the CA itself", "https://ca.test/acme/dir", "malformed", "see what the CA says", 400},
		{"something else", "", "", "see what the CA says", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Problem{CA: "le", Type: tt.kind, Status: tt.status, Directory: tt.directory}
			if got := p.Remedy(); !strings.HasPrefix(got, tt.help) {
				t.Errorf("remedy = %q, want %q", got, tt.help)
			}
		})
	}
}

func TestTryNextCA(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"out of reach", &UnreachableError{Err: errors.New("refused")}, true},
		{"no ACME server", &ProtocolError{Err: errors.New("html")}, true},
		{"wrong certificate", wrongCertificate("le", errors.New("other key")), true},
		{"challenge not offered", noChallenge("le", "a.test", HTTP01, nil), true},
		{"account damaged", accountfile.Files{Store: accountfile.Dir("")}.Error("", errors.New("no key"), ""), true},
		{"our clock", clockError("le", time.Now(), errors.New("expired")), false},
		{"slow CA, whose order is kept", timeout("le", "ordering", time.Minute), false},
		{"our own trouble", errors.New("no space left on device"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := TryNextCA(fmt.Errorf("ordering: %w", tt.err)); got != tt.want {
				t.Errorf("TryNextCA = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCAWide(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"out of reach", &UnreachableError{Err: errors.New("refused")}, true},
		{"CA has a fault", &Problem{Type: "serverInternal", Status: 500}, true},
		{"CA is busy", &Problem{Status: 503}, true},
		{"account forgotten", &Problem{Type: "accountDoesNotExist", Status: 400}, true},
		{"new terms", &Problem{Type: "userActionRequired", Status: 403}, true},
		{"external account wanted", &Problem{Type: "externalAccountRequired", Status: 403}, true},
		{"no nonce is good", &Problem{Type: "badNonce", Status: 400}, true},
		{"no directory", &ProtocolError{Err: errors.New("html"), Kind: transport.Malformed, Whole: true}, true},
		{"account damaged", accountfile.Files{Store: accountfile.Dir("")}.Error("", errors.New("no key"), ""), true},
		{"orders of all names", &orderlog.RateLimitError{Account: true}, true},
		{"orders of these names", &orderlog.RateLimitError{}, false},
		{"malformed order", &ProtocolError{Err: errors.New("html"), Kind: transport.Malformed}, false},
		{"limit", &Problem{Type: "rateLimited", Status: 429}, false},
		{"CAA", &Problem{Type: "caa", Status: 403}, false},
		{"port 80 closed", &Problem{Type: "connection", Identifier: "a.test"}, false},
		{"wrong certificate", wrongCertificate("le", errors.New("other key")), false},
		{"HTTPS_PROXY cannot be read", &UnreachableError{Err: transport.ErrProxy}, true},
		{"on another host", &ProtocolError{Err: errors.New("x"), Kind: transport.OtherHost}, true},
		{"slow", timeout("le", "ordering", time.Minute), false},
		{"our own trouble", errors.New("no space left on device"), false},
		{"one of several names met a fault of the CA", refusal.JoinNames([]error{&Problem{Type: "connection"}, &UnreachableError{Err: errors.New("reset")}}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := CAWide(fmt.Errorf("ordering: %w", tt.err)); got != tt.want {
				t.Errorf("CAWide = %v, want %v", got, tt.want)
			}
		})
	}
}

// step-ca offers no challenge at all for a wildcard where dns-01 is not allowed.
func TestNoChallenge(t *testing.T) {
	if got, want := noChallenge("step", "*.a.test", DNS01, nil).Error(), "step: *.a.test: the CA has no dns-01 challenge for this name, only: none"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
