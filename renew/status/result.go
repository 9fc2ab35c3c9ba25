package status

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/textfmt"
)

// A Result is the result of a pass for one target, a row of "keypaird issue -json".
type Result struct {
	renew.Done
	OK     bool   `json:"ok"`
	Step   string `json:"step,omitempty"` // that failed
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`

	Seconds float64 `json:"seconds,omitempty"` // that it took
}

// Results are the results of a pass, a row for each target that it changed or that failed.
type Results []Result

// ResultsOf returns the results of a pass; took returns how long it took for a target, if
// that is known.
func ResultsOf(done []renew.Done, errs []error, took func(target string) (time.Duration, bool)) Results {
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
	for i := range rows {
		if d, ok := took(rows[i].Target); ok {
			rows[i].Seconds = max(0.1, d.Round(100*time.Millisecond).Seconds())
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
	what, by := verb(d)
	return fmt.Sprintf("%s: %s%s, valid until %s; why: %s", d.Target, what, by, d.NotAfter.Format(time.RFC3339), d.Why)
}

// verb says what was done to a target, and how.
func verb(d renew.Done) (what, by string) {
	switch {
	case d.CA == renew.NameOfExternal:
		return "imported", " from its files"
	case d.Action == renew.Issue:
		return "issued", " by " + d.CA
	}
	return "deployed", ""
}

// ends returns when a certificate ends: the day, and the time of one that ends soon.
func ends(t time.Time) string {
	if time.Until(t) < 10*24*time.Hour {
		return day(t)
	}
	return date(t)
}

// Table returns the rows as a table for a person: what happened to each target, and how
// long that took. What failed is below, once for targets that share it, with its remedy.
func (rows Results) Table() string {
	lines := make([][]string, 0, len(rows))
	for _, r := range rows {
		what, about := "failed", r.Step
		if r.Action != renew.None {
			did, by := verb(r.Done)
			how := fmt.Sprintf("%s, until %s; why: %s", by, ends(r.NotAfter), printable(r.Why))
			if r.OK {
				what, about = did, strings.TrimLeft(how, ", ")
			} else {
				about += "; " + did + how
			}
		}
		took := ""
		if r.Seconds > 0 {
			took = fmt.Sprintf("%.1f s", r.Seconds)
		}
		lines = append(lines, []string{printable(r.Target), what, took, about})
	}
	var b strings.Builder
	for i, line := range strings.SplitAfter(textfmt.Table(lines...), "\n") {
		b.WriteString(line)
		if i >= len(rows) || rows[i].OK || i+1 < len(rows) && !rows[i+1].OK && rows[i+1].Error == rows[i].Error {
			continue
		}
		fmt.Fprintf(&b, "  %s\n", printable(rows[i].Error))
		writeRemedy(&b, "  ", rows[i].Remedy)
	}
	return b.String()
}
