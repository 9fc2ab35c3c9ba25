package renew

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Report is what a pass did.
type Report struct {
	Done []Done
	Errs []error              // *TargetError; an interrupt, or ErrYield, is the last
	Next map[string]time.Time // by target: when it should be looked at again

	Targets []TargetState // of all targets of the pass, as it left them
}

// A TargetState is a target and what is known of it.
type TargetState struct {
	Target
	State State // zero if Err is set
	Err   error // the state cannot be read
}

// Done is what a pass did to one target, for the report.
type Done struct {
	Target   string    `json:"target"`
	Action   Action    `json:"action"`
	CA       string    `json:"ca,omitempty"` // Issue only
	NotAfter time.Time `json:"not_after,omitzero"`
	Why      string    `json:"why,omitempty"`
}

// A TargetError is the failure of one step for some targets.
type TargetError struct {
	Targets []string
	Step    string // "obtaining", "deploying to relayd"
	Err     error
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("cert %s: %s: %v", quoted(e.Targets), e.Step, e.Err)
}

func (e *TargetError) Unwrap() error { return e.Err }

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(q, ", ")
}

// failures collects errors of jobs that run side by side.
type failures struct {
	mu   sync.Mutex
	list []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, err)
}
