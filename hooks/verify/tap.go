package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteTAP prints rows as the Test Anything Protocol, version 13, has them. What
// could not be looked at is skipped; what is not there at all is left out.
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
	fmt.Fprintf(&b, "1..%d\n%s", n, points.String())
	_, err := io.WriteString(w, b.String())
	return err
}

// point is one test point.
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
		text, _ := json.Marshal(v) // of strings: it cannot fail, and is YAML too
		fmt.Fprintf(b, "  %s: %s\n", name, text)
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

// title says what was looked at.
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

// escapeTAP keeps text on one line and out of the way of directives.
func escapeTAP(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`, "\n", " ", "\r", " ").Replace(s)
}
