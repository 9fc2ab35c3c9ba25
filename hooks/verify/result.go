package verify

import (
	"crypto/x509"
	"fmt"
	"time"

	"keypaird/hooks/probe"
)

// An Outcome is what is to be said of one row.
type Outcome string

// Outcomes. Nothing is concluded from silence: what could not be looked at is
// Unknown, neither well nor wrong.
const (
	Well    Outcome = "ok"
	Warned  Outcome = "warning"      // no peer that matters is turned away today
	Wrong   Outcome = "failed"       // peers are turned away, or what was deployed is not served
	Unknown Outcome = "undetermined" // it could not be found out from here
	Nothing Outcome = "absent"       // there is no such service
)

// worse orders outcomes.
var worse = map[Outcome]int{Nothing: 0, Well: 1, Unknown: 2, Warned: 3, Wrong: 4}

// A Sight is one row of "keypaird verify": one address of an endpoint asked for
// one name.
type Sight struct {
	Target     string `json:"target,omitempty"`     // whose deployment it is of
	Deployment string `json:"deployment,omitempty"` //
	Domain     string `json:"domain,omitempty"`     // or whose peers come here
	Uses       []Use  `json:"uses,omitempty"`       // what for

	Endpoint string   `json:"endpoint,omitempty"`
	Address  string   `json:"address,omitempty"`
	Name     string   `json:"name,omitempty"`   // that is asked for, as SNI or in the stream
	Accept   []string `json:"accept,omitempty"` // names that peers would take

	Result Outcome `json:"result"`
	OK     bool    `json:"ok"` // false: it makes the exit status 1
	Serves string  `json:"serves,omitempty"`
	Error  string  `json:"error,omitempty"`
	Remedy string  `json:"remedy,omitempty"`

	Pair       *Ownership   `json:"pair,omitempty"` // whose certificate it is
	Shown      *Certificate `json:"certificate,omitempty"`
	Complete   *bool        `json:"chain_complete,omitempty"`
	TLS        string       `json:"tls,omitempty"`
	WithoutSNI *Unnamed     `json:"without_sni,omitempty"`
	Flaws      []Flaw       `json:"flaws,omitempty"`
	Breaks     []string     `json:"breaks,omitempty"`
}

// A Use is one kind of peers that come to an endpoint.
type Use struct {
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

// Unnamed is what is shown to those who send no SNI.
type Unnamed struct {
	Same        bool   `json:"same"` // as with SNI
	Error       string `json:"error,omitempty"`
	Whose       string `json:"whose,omitempty"` // as of pair
	Fingerprint string `json:"fingerprint,omitempty"`
}

// A Flaw is a finding and what it amounts to here.
type Flaw struct {
	Fault  probe.Fault `json:"fault"`
	Text   string      `json:"text"`
	Result Outcome     `json:"result"`
}

func certificateOf(c *x509.Certificate) *Certificate {
	return &Certificate{
		Fingerprint: probe.Fingerprint(c), Names: probe.ListNames(c), Issuer: probe.Issuer(c),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
	}
}

// settle makes the row one of that outcome.
func (s *Sight) settle(o Outcome) {
	s.Result, s.OK = o, o != Wrong
}

// A VerdictError says how many rows were wrong.
type VerdictError struct {
	Wrong, Of int
	Hint      string
}

func (e *VerdictError) Error() string {
	return fmt.Sprintf("%d of %d %s failed", e.Wrong, e.Of, plural(e.Of, "check", "checks"))
}

// Remedy is that of the first wrong row.
func (e *VerdictError) Remedy() string { return e.Hint }

// A BlindError says that nothing at all could be found out.
type BlindError struct{ Why string }

func (e *BlindError) Error() string { return "nothing could be verified: " + e.Why }

// Remedy says what the operator can do about it.
func (e *BlindError) Remedy() string {
	return "see that this machine has a network and a resolver, or name one: -resolver ADDRESS"
}

// A NoServiceError says that a domain has nothing to look at.
type NoServiceError struct{ Domain string }

func (e *NoServiceError) Error() string {
	return fmt.Sprintf("no service of %s can be found", e.Domain)
}

// Remedy says what the operator can do about it.
func (e *NoServiceError) Remedy() string {
	return "see that the name is right: keypaird discover " + e.Domain
}

// errNowhere is the answer where no deployment says where to look.
type errNowhere struct{}

func (errNowhere) Error() string { return "nothing to verify" }

// Remedy says what the operator can do about it.
func (errNowhere) Remedy() string {
	return `name the endpoints of a deployment: verify = ["127.0.0.1:443"] in its [deploy] table`
}

// Verdict is the error for the rows, if any. That nothing at all was seen is no
// good news.
func Verdict(rows []Sight) error {
	if len(rows) == 0 {
		return errNowhere{}
	}
	n, seen := tally(rows), false
	for _, r := range rows {
		if r.Result == Wrong {
			return &VerdictError{n[Wrong], n[Well] + n[Warned] + n[Wrong] + n[Unknown], r.Remedy}
		}
		seen = seen || r.Shown != nil
	}
	if seen {
		return strangers(rows)
	}
	for _, r := range rows {
		if r.Result != Nothing {
			return &BlindError{r.Error}
		}
	}
	return &NoServiceError{rows[0].Domain}
}

// strangers is the error for a domain of which nothing at all is there: others
// that are well do not make up for a name that is mistyped.
func strangers(rows []Sight) error {
	there := map[string]bool{}
	for _, r := range rows {
		there[r.Domain] = there[r.Domain] || r.Result != Nothing
	}
	for _, r := range rows {
		if !there[r.Domain] {
			return &NoServiceError{r.Domain}
		}
	}
	return nil
}

// tally counts rows by outcome.
func tally(rows []Sight) map[Outcome]int {
	n := map[Outcome]int{}
	for _, r := range rows {
		n[r.Result]++
	}
	return n
}

// plural returns the word for n things.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
