package status

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"keypaird/renew"
)

// A Result is what a pass did for one target, a row of "keypaird issue -json".
type Result struct {
	renew.Done
	OK     bool   `json:"ok"`
	Step   string `json:"step,omitempty"` // that failed
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Results returns what a pass did, by target, and what failed.
func Results(done []renew.Done, errs []error) []Result {
	rows := []Result{}
	for _, d := range done {
		rows = append(rows, Result{Done: d, OK: true})
	}
	for _, err := range errs {
		failed, ok := errors.AsType[*renew.TargetError](err)
		if !ok {
			continue
		}
		for _, name := range failed.Targets {
			i := slices.IndexFunc(rows, func(r Result) bool { return r.Target == name })
			if i < 0 {
				i = len(rows)
				rows = append(rows, Result{Done: renew.Done{Target: name, Action: renew.None}})
			}
			rows[i].OK, rows[i].Step, rows[i].Error, rows[i].Remedy = false, failed.Step, failed.Err.Error(), renew.Remedy(err)
		}
	}
	return rows
}

// Describe returns what a pass did for a target as a line for people.
func Describe(d renew.Done) string {
	until := d.NotAfter.Format(time.RFC3339)
	switch d.Action {
	case renew.Import:
		return fmt.Sprintf("%s: imported from its files, valid until %s (%s)", d.Target, until, d.Why)
	case renew.Issue:
		return fmt.Sprintf("%s: issued by %s, valid until %s (%s)", d.Target, d.CA, until, d.Why)
	}
	return fmt.Sprintf("%s: deployed, valid until %s (%s)", d.Target, until, d.Why)
}
