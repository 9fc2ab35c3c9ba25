package document

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// AskFor is how long an ask and its answer stay.
const AskFor = 10 * time.Minute

// A Verb is the action that an operator asks for, as in "keypaird fleet VERB".
type Verb string

// Verbs.
const (
	Issue    Verb = "issue"
	Rollback Verb = "rollback"
	Hold     Verb = "hold"
	Go       Verb = "go"
	Remove   Verb = "remove"
	Rollover Verb = "rollover" // as in "keypaird account rollover"
)

var verbs = []Verb{Issue, Rollback, Hold, Go, Remove, Rollover}

// An Ask is an operator's request to the node in the seat. The node where it was asked
// signs it.
type Ask struct {
	Do Verb      `json:"do"`
	At time.Time `json:"at"`

	// Targets have the serial of the release that each had then; 0: none. With another one
	// it was done already, or is not what the operator looked at.
	Targets map[string]uint64 `json:"targets"`

	Force       bool   `json:"force,omitempty"`       // with Issue; with Rollback: even if peers refuse the certificate
	NewKey      bool   `json:"new_key,omitempty"`     // with Issue
	Reason      string `json:"reason,omitempty"`      // with Hold
	Node        string `json:"node,omitempty"`        // with Remove
	Compromised bool   `json:"compromised,omitempty"` // with Remove: what the node had gets new keys

	CAs []string `json:"cas,omitempty"` // with Rollover: where accounts get new keys
}

func (a *Ask) check() error {
	a.Reason = Clean(a.Reason)
	switch {
	case !slices.Contains(verbs, a.Do):
		return fmt.Errorf("it asks for %.40q", a.Do)
	case len(a.Targets) > maxLines:
		return fmt.Errorf("it asks for %d targets", len(a.Targets))
	case len(a.CAs) > maxLines:
		return fmt.Errorf("it asks for %d CAs", len(a.CAs))
	case a.Do == Remove && CheckName(a.Node) != nil:
		return CheckName(a.Node)
	}
	return errors.Join(checkTime(a.At), each(a.CAs, CheckName), each(slices.Collect(maps.Keys(a.Targets)), checkTarget))
}

// Late reports whether an ask is too old, or from the future: a node that writes one has a
// wrong clock, or somebody wrote an old one again.
func (a Ask) Late(now time.Time) bool { return now.Sub(a.At).Abs() > AskFor }

// An Answer takes the place of an ask. The node in the seat signs it.
type Answer struct {
	At       time.Time `json:"at"`
	Answered bool      `json:"answered"`
	Error    string    `json:"error,omitempty"` // why nothing was done
	Remedy   string    `json:"remedy,omitempty"`
	Outcomes []Outcome `json:"outcomes,omitempty"` // of the targets that something was done for, or failed
}

// An Outcome is the result of an Ask for one target.
type Outcome struct {
	Target   string    `json:"target"`           // with Rollover: a CA
	Action   string    `json:"action,omitempty"` // "": nothing was done
	CA       string    `json:"ca,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	Why      string    `json:"why,omitempty"`
	Step     string    `json:"step,omitempty"`  // that failed
	Error    string    `json:"error,omitempty"` // "": nothing failed
	Remedy   string    `json:"remedy,omitempty"`
}

func (a *Answer) check() error {
	if !a.Answered || len(a.Outcomes) > maxLines {
		return errors.New("it is no answer")
	}
	texts := []*string{&a.Error, &a.Remedy}
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		if err := checkTarget(o.Target); err != nil {
			return err
		}
		texts = append(texts, &o.Action, &o.CA, &o.Why, &o.Step, &o.Error, &o.Remedy)
	}
	for _, text := range texts {
		*text = Clean(*text)
	}
	return checkTime(a.At)
}
