package preflight

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"keypaird/renew/textfmt"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/file"
)

// Findings are the results of several checks.
type Findings []Finding

// WriteText writes a line for each finding, with its remedy below.
func (found Findings) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%-8s%s %s", f.Result, f.Check, f.Subject)
		if f.Detail != "" {
			fmt.Fprintf(&b, ": %s", f.Detail)
		}
		b.WriteByte('\n')
		if f.Remedy != "" {
			fmt.Fprintf(&b, "        remedy: %s\n", strings.ReplaceAll(f.Remedy, "\n", "\n          "))
		}
	}
	_, err := io.WriteString(w, textfmt.Printable(b.String()))
	return err
}

// Failures returns the number of failed checks.
func (found Findings) Failures() int {
	n := 0
	for _, f := range found {
		if f.Result == Failed {
			n++
		}
	}
	return n
}

// Unloaded returns the findings for an error of [config.Load], or nil if the
// error is not about the configuration.
func Unloaded(err error) Findings {
	if file, ok := errors.AsType[*file.Error](err); ok {
		return Findings{{Check: "configuration", Subject: file.Path, Result: Failed, Detail: file.Problem, Remedy: file.Hint}}
	}
	mistakes, _ := errors.AsType[config.Mistakes](err)
	var found Findings
	for _, m := range mistakes {
		found = append(found, Finding{
			Check: "configuration", Subject: fmt.Sprintf("%s:%d", m.File, m.Line), Result: Failed,
			Detail: m.Key + ": " + m.Problem, Remedy: m.Remedy,
		})
	}
	return found
}
