package accounts

import (
	"fmt"
	"io"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// Accounts are the rows of "keypaird account".
type Accounts []Account

// Failed returns how many could not be used, or changed.
func (list Accounts) Failed() int {
	n := 0
	for _, a := range list {
		if a.Status == Failed {
			n++
		}
	}
	return n
}

// WriteText writes a paragraph for each.
func (list Accounts) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, a := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		a.writeText(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a Account) writeText(b *strings.Builder) {
	what := a.Status
	switch {
	case a.Done != "" && a.Error == "":
		what = a.Done
	case a.Status == None:
		what = "no account yet: the first order registers one, or: keypaird account register " + a.CA
	}
	fmt.Fprintf(b, "%s: %s\n", a.CA, what)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "  %-11s %s\n", name, value)
		}
	}
	line("error", a.Error)
	line("remedy", a.Remedy)
	line("url", a.URL)
	line("directory", a.Directory)
	line("email", a.Email)
	if a.Key != "" {
		line("key", a.Key+", thumbprint "+a.Thumbprint)
	}
	if !a.Created.IsZero() {
		line("created", a.Created.Format(time.RFC3339))
	}
	if !a.Deactivated.IsZero() {
		line("deactivated", a.Deactivated.Format(time.RFC3339))
	}
	line("terms", a.Terms)
	for i, record := range a.CAA {
		name := ""
		if i == 0 {
			name = "caa"
		}
		fmt.Fprintf(b, "  %-11s %s\n", name, textfmt.Fixed(record))
	}
}
