package verify

import (
	"crypto/x509"
	"fmt"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Result is the outcome of a check.
type Result string

// Outcomes. Absent is concluded from silence: what could not be looked at is
// Unknown, neither well nor wrong.
const (
	OK      Result = "ok"
	Warning Result = "warning"      // no peer that matters is turned away today
	Failed  Result = "failed"       // peers are turned away, or what was deployed is not served
	Unknown Result = "undetermined" // it could not be found out from here
	Absent  Result = "absent"       // there is no such service
)

// severity orders outcomes.
var severity = map[Result]int{Absent: 0, OK: 1, Unknown: 2, Warning: 3, Failed: 4}

// A Check is one row of "keypaird verify": one address of an endpoint asked for
// one name.
type Check struct {
	Target     string `json:"target,omitempty"`     // that has the deployment
	Deployment string `json:"deployment,omitempty"` //
	Domain     string `json:"domain,omitempty"`     // or domain, the peers of which connect
	Peers      []Peer `json:"peers,omitempty"`      // what for

	Endpoint string   `json:"endpoint,omitempty"`
	Address  string   `json:"address,omitempty"`
	Name     string   `json:"name,omitempty"`   // that is asked for, as SNI or in the stream
	Accept   []string `json:"accept,omitempty"` // names that peers would take

	Result Result `json:"result"`
	OK     bool   `json:"ok"` // false: it makes the exit status 1
	Serves string `json:"serves,omitempty"`
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`

	Pair       *Match       `json:"pair,omitempty"` // that has the certificate
	Shown      *Certificate `json:"certificate,omitempty"`
	Complete   *bool        `json:"chain_complete,omitempty"`
	TLS        string       `json:"tls,omitempty"`
	WithoutSNI *NoSNI       `json:"without_sni,omitempty"`
	Issues     []Issue      `json:"issues,omitempty"`
	Affects    []string     `json:"affects,omitempty"`
}

// A Peer is one kind of peers that use an endpoint.
type Peer struct {
	Service     string `json:"service"`
	Role        string `json:"role"`
	Identity    string `json:"identity,omitempty"`
	Step        string `json:"step,omitempty"` // of Matrix server discovery
	When        string `json:"when,omitempty"` // they come only then
	CheckedBy   string `json:"checked_by,omitempty"`
	Enforcement string `json:"enforcement,omitempty"`
}

// A Certificate is what is worth knowing of one.
type Certificate struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256
	Names       string    `json:"names"`       // the first few
	Issuer      string    `json:"issuer"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// NoSNI is what is shown to those who send no SNI.
type NoSNI struct {
	Same        bool   `json:"same"` // as with SNI
	Error       string `json:"error,omitempty"`
	Source      string `json:"source,omitempty"` // as of pair
	Fingerprint string `json:"fingerprint,omitempty"`
}

// An Issue is a finding and what it amounts to here.
type Issue struct {
	Fault  probe.Fault `json:"fault"`
	Text   string      `json:"text"`
	Result Result      `json:"result"`
}

func certificateOf(c *x509.Certificate) *Certificate {
	return &Certificate{
		Fingerprint: probe.Fingerprint(c), Names: probe.ListNames(c), Issuer: probe.Issuer(c),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
	}
}

// setResult makes the row one of that outcome.
func (s *Check) setResult(o Result) {
	s.Result, s.OK = o, o != Failed
}

// Err returns the error that the rows amount to, or nil. It is an error if
// nothing at all was seen.
func Err(rows []Check) error {
	if len(rows) == 0 {
		return problem.New("nothing to verify", `name the endpoints of a deployment: verify = ["127.0.0.1:443"] in its [deploy] table`)
	}
	n, seen := count(rows), false
	for _, r := range rows {
		if r.Result == Failed {
			checks := n[OK] + n[Warning] + n[Failed] + n[Unknown]
			return problem.New(fmt.Sprintf("%d of %d %s failed", n[Failed], checks, textfmt.Plural(checks, "check", "checks")), r.Remedy)
		}
		seen = seen || r.Shown != nil
	}
	if seen {
		return missingDomain(rows)
	}
	for _, r := range rows {
		if r.Result != Absent {
			return problem.New("nothing could be verified: "+r.Error,
				"see that this machine has a network and a resolver, or name one: -resolver ADDRESS")
		}
	}
	return missingDomain(rows)
}

// missingDomain returns an error for the first domain that has no service at all:
// the name may be mistyped, whatever other domains have.
func missingDomain(rows []Check) error {
	there := map[string]bool{}
	for _, r := range rows {
		there[r.Domain] = there[r.Domain] || r.Result != Absent
	}
	for _, r := range rows {
		if !there[r.Domain] {
			return problem.New(fmt.Sprintf("no service of %s can be found", r.Domain), "see that the name is right: keypaird discover "+r.Domain)
		}
	}
	return nil
}

// count counts rows by outcome.
func count(rows []Check) map[Result]int {
	n := map[Result]int{}
	for _, r := range rows {
		n[r.Result]++
	}
	return n
}

// Faults beyond those of the chain.
const (
	staleFault probe.Fault = "stale"  // it is ours, but not the live one
	noSNIFault probe.Fault = "no-sni" // it is shown only to those who ask for it
)

func minResult(a, b Result) Result {
	if severity[a] < severity[b] {
		return a
	}
	return b
}

func maxResult(a, b Result) Result {
	if severity[a] > severity[b] {
		return a
	}
	return b
}

// orNone returns a name, or what stands for none.
func orNone(name string) string {
	if name == "" {
		return "(no name)"
	}
	return name
}
