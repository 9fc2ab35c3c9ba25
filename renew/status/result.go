package status

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// Results are what a pass did, a row for each target that it changed or that
// failed.
type Results []Result

// ResultsOf returns the results of a pass.
func ResultsOf(done []renew.Done, errs []error) Results {
	rows := Results{}
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

// WriteText writes a line for each target that was changed.
func (rows Results) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, r := range rows {
		if r.Action != renew.None {
			b.WriteString(describe(r.Done) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func describe(d renew.Done) string {
	until := d.NotAfter.Format(time.RFC3339)
	switch d.Action {
	case renew.Import:
		return fmt.Sprintf("%s: imported from its files, valid until %s (%s)", d.Target, until, d.Why)
	case renew.Issue:
		return fmt.Sprintf("%s: issued by %s, valid until %s (%s)", d.Target, d.CA, until, d.Why)
	}
	return fmt.Sprintf("%s: deployed, valid until %s (%s)", d.Target, until, d.Why)
}
