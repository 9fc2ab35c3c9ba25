package records

import (
	"encoding/json"
	"time"
)

// A State says what is known of a row.
type State string

// The states of a row. What is Absent or Disabled is known to be so; what is
// Undetermined may be anything, and nothing is concluded from it.
const (
	Found        State = "found"
	Absent       State = "absent"       // no such name, or no such record or document
	Disabled     State = "disabled"     // a record says that there is no such service
	Undetermined State = "undetermined" // whoever knows did not answer
)

// A Kind tells evidence that a Requirement itself shows from the rest.
type Kind int

// The kinds of evidence.
const (
	KindOther   Kind = iota
	KindAddress      // addresses of a host
	KindDefault      // an endpoint that nothing names
)

// Evidence is one record or document that was looked for.
type Evidence struct {
	Kind   Kind          // of What; not in JSON
	SRV    string        // the name, if What is a set of SRV records; not in JSON
	What   string        // "SRV _matrix._tcp.example.org", a URL, or a default
	State  State         // empty: a rule or a default, that is always there
	Says   string        // its content, or why there is none
	Lasts  time.Duration // peers that have seen it may go on with it for so long
	Secure bool          // the resolver vouches for it by DNSSEC
	From   string        // the resolver or address that was asked
	Spec   string        // where it is written that peers look there
}

// MarshalJSON writes the time as whole seconds.
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
