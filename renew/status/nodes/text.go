package nodes

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"keypaird/renew/textfmt"
)

// WriteText writes a row for each node and each target, and below them why releases are not
// verified.
func (f *Fleet) WriteText(w io.Writer) error {
	var b strings.Builder
	clean := func(s string) string { return textfmt.OneLine(s, 0) }
	fmt.Fprintf(&b, "fleet %s: %s\n", cmp.Or(f.ID, "not known yet"), clean(f.Summary()))
	if t := f.Trouble(); t != nil {
		fmt.Fprintln(&b, clean(t.What+": "+t.Error))
		if t.Remedy != "" {
			fmt.Fprintln(&b, "remedy:", clean(t.Remedy))
		}
	}
	fmt.Fprintln(&b)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tSTATE\tVERSION\tCLOCK\tBEHIND")
	for _, n := range f.Nodes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\n", n.Name, n.State(), cmp.Or(clean(n.Version), "-"), n.Ahead(), n.Behind)
	}
	table.Flush() // a strings.Builder never fails
	fmt.Fprintln(&b)
	fmt.Fprintln(table, "TARGET\tRELEASE\tSTAGE\tVERIFIED\tUNTIL")
	for _, t := range f.Targets {
		until := "-"
		if !t.NotAfter.IsZero() {
			until = t.NotAfter.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", t.Name, t.Serial, t.Progress(), t.Count(), until)
	}
	table.Flush()
	for _, n := range f.Nodes {
		if n.Waits != "" && n.Name != f.Node { // its own reason is above
			fmt.Fprintf(&b, "%s leaves ordering to others: %s\n", n.Name, clean(n.Waits))
		}
	}
	for _, t := range f.Targets {
		for _, line := range t.Lines() {
			fmt.Fprintf(&b, "%s: %s\n", t.Name, clean(line))
		}
	}
	_, err := io.WriteString(w, textfmt.Printable(b.String()))
	return err
}
