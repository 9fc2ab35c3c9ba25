package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"keypaird/renew/textfmt"
)

// WriteTAP prints rows in the Test Anything Protocol, version 13. Endpoints that
// could not be probed are skipped; those that do not exist are left out.
func WriteTAP(w io.Writer, rows []Check) error {
	var b strings.Builder
	b.WriteString("TAP version 13\n")
	n := 0
	var points strings.Builder
	for _, r := range rows {
		if r.Result == Absent {
			continue
		}
		n++
		r.point(&points, n)
	}
	fmt.Fprintf(&b, "1..%d", n)
	if n == 0 {
		b.WriteString(" # SKIP no service can be found")
	}
	b.WriteString("\n" + points.String())
	_, err := io.WriteString(w, b.String())
	return err
}

// point writes one test point.
func (s *Check) point(b *strings.Builder, n int) {
	unseen := s.Shown == nil && s.Endpoint != ""
	switch {
	case s.Result == Failed:
		fmt.Fprintf(b, "not ok %d - %s\n", n, escapeTAP(s.title()))
	case unseen:
		fmt.Fprintf(b, "ok %d - %s # SKIP %s\n", n, escapeTAP(s.title()), escapeTAP(s.Error))
	default:
		fmt.Fprintf(b, "ok %d - %s\n", n, escapeTAP(s.title()))
	}
	if s.Result == OK {
		return
	}
	b.WriteString("  ---\n")
	field := func(name string, v any) {
		text, _ := textfmt.JSON(v) // of strings: it cannot fail, and is YAML too
		var line bytes.Buffer
		_ = json.Compact(&line, text)
		fmt.Fprintf(b, "  %s: %s\n", name, &line)
	}
	field("message", s.Error)
	field("severity", s.Result)
	if s.Serves != "" {
		field("serves", s.Serves)
	}
	if s.Shown != nil {
		field("fingerprint", s.Shown.Fingerprint)
	}
	if len(s.Affects) > 0 {
		field("affects", s.Affects)
	}
	if s.Remedy != "" {
		field("remedy", s.Remedy)
	}
	b.WriteString("  ...\n")
}

// title returns the description of a test point.
func (s *Check) title() string {
	var b strings.Builder
	b.WriteString(s.Domain + s.Target)
	if f := s.whatFor(); f != "" {
		b.WriteString(" " + f)
	}
	if s.Endpoint != "" {
		b.WriteString(" " + s.Endpoint)
	}
	if s.Address != "" {
		b.WriteString(" at " + s.Address)
	}
	if s.Name != "" {
		b.WriteString(" as " + s.Name)
	}
	return b.String()
}

// escapeTAP keeps text on one line, and from being read as a directive.
func escapeTAP(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(textfmt.OneLine(s, 0))
}
