package records

import (
	"encoding/json"
	"time"
)

// A State says whether a service, record or document exists.
type State string

// The states. Absent and Disabled are known; nothing follows from Undetermined.
const (
	Found        State = "found"
	Absent       State = "absent"       // no such name, or no such record or document
	Disabled     State = "disabled"     // a record says that the service is not available
	Undetermined State = "undetermined" // the query failed
)

// A Kind distinguishes evidence that repeats what a Requirement itself contains.
type Kind int

// The kinds of evidence.
const (
	KindOther   Kind = iota
	KindAddress      // addresses of a host
	KindDefault      // the default endpoint, without a record
)

// Evidence is the result of one query or request.
type Evidence struct {
	Kind   Kind          // of What; not in JSON
	SRV    string        // the name, if What is a set of SRV records; not in JSON
	What   string        // "SRV _matrix._tcp.example.org", a URL, or a default
	State  State         // empty for rules and defaults, which always exist
	Says   string        // the content, or why there is none
	Lasts  time.Duration // how long peers may cache it
	Secure bool          // validated by DNSSEC, according to the resolver
	From   string        // the resolver or address that answered
	Spec   string        // the specification that makes peers look there
}

// MarshalJSON writes durations as whole seconds.
func (e Evidence) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		What   string `json:"what"`
		State  State  `json:"state,omitempty"`
		Says   string `json:"says"`
		Lasts  int64  `json:"lasts_seconds"`
		Secure bool   `json:"secure,omitempty"`
		From   string `json:"from,omitempty"`
		Spec   string `json:"spec,omitempty"`
	}{e.What, e.State, e.Says, int64(e.Lasts / time.Second), e.Secure, e.From, e.Spec})
}
