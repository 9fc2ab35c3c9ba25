package verify

import (
	"crypto/x509"
	"fmt"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A Result is the result of a check.
type Result string

// The results. An endpoint that could not be probed is Unknown, neither OK nor
// Failed; where no record names it and nothing listens, it is Absent.
const (
	OK      Result = "ok"
	Warning Result = "warning"      // no peer that requires the name refuses it today
	Failed  Result = "failed"       // peers refuse it, or the live pair is not served
	Unknown Result = "undetermined" // this machine could not find it out
	Absent  Result = "absent"       // there is no such service
)

// severity orders results.
var severity = map[Result]int{Absent: 0, OK: 1, Unknown: 2, Warning: 3, Failed: 4}

// A Check is one row of "keypaird verify": one address of an endpoint asked for
// one name.
type Check struct {
	Target     string `json:"target,omitempty"`     // of the deployment
	Deployment string `json:"deployment,omitempty"` //
	Domain     string `json:"domain,omitempty"`     // or the domain of the peers
	Peers      []Peer `json:"peers,omitempty"`      // of the domain

	Endpoint string   `json:"endpoint,omitempty"`
	Address  string   `json:"address,omitempty"`
	Name     string   `json:"name,omitempty"`   // asked for, as SNI or in the stream
	Accept   []string `json:"accept,omitempty"` // names that peers accept

	Result Result `json:"result"`
	OK     bool   `json:"ok"` // false: the exit status is 1
	Serves string `json:"serves,omitempty"`
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`

	Pair       *Match       `json:"pair,omitempty"` // of the certificate served
	Shown      *Certificate `json:"certificate,omitempty"`
	Complete   *bool        `json:"chain_complete,omitempty"`
	TLS        string       `json:"tls,omitempty"`
	WithoutSNI *NoSNI       `json:"without_sni,omitempty"`
	Issues     []Issue      `json:"issues,omitempty"`
	Affects    []string     `json:"affects,omitempty"`

	unknown     absence // of the name at the endpoint of a deployment
	unreachable bool    // nothing listens at that endpoint
}

// An absence says how an endpoint that is up does not serve a target for a name.
type absence int

const (
	present  absence = iota // it serves a pair of the target, or is down
	foreign                 // it serves another certificate, which is for the name too
	disowned                // it does not know the name
)

// A Peer is a kind of peers that use an endpoint.
type Peer struct {
	Service     string `json:"service"`
	Role        string `json:"role"`
	Identity    string `json:"identity,omitempty"`
	Step        string `json:"step,omitempty"` // of Matrix server discovery
	When        string `json:"when,omitempty"` // only then do they connect
	CheckedBy   string `json:"checked_by,omitempty"`
	Enforcement string `json:"enforcement,omitempty"`
}

// A Certificate describes the certificate served.
type Certificate struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256
	Names       string    `json:"names"`       // the first few
	Issuer      string    `json:"issuer"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// NoSNI describes what is served without SNI.
type NoSNI struct {
	Same        bool   `json:"same"` // as with SNI
	Error       string `json:"error,omitempty"`
	Source      string `json:"source,omitempty"` // as of pair
	Fingerprint string `json:"fingerprint,omitempty"`
}

// An Issue is a fault of a certificate, with the result it has for the peers.
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

// setResult sets Result and OK.
func (s *Check) setResult(o Result) {
	s.Result, s.OK = o, o != Failed
}

// Unreachable reports whether nothing listens at the endpoint of a deployment.
func (s *Check) Unreachable() bool { return s.unreachable }

// Err returns the error that the rows amount to, or nil. It is an error if no
// certificate was seen at all.
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

// count counts rows by result.
func count(rows []Check) map[Result]int {
	n := map[Result]int{}
	for _, r := range rows {
		n[r.Result]++
	}
	return n
}

// Faults beyond those of package probe.
const (
	staleFault probe.Fault = "stale"  // it is stored, but not live
	noSNIFault probe.Fault = "no-sni" // it is not served without SNI
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

// orNone returns a name, or "(no name)".
func orNone(name string) string {
	if name == "" {
		return "(no name)"
	}
	return name
}
