package verify

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"keypaird/renew/textfmt"
)

// How wide sentences, and lines that begin an endpoint, are printed where there is no
// terminal.
const (
	textWidth = 100
	headWidth = 120
)

// A page is text that grows.
type page struct {
	strings.Builder
	width, head int // of sentences, and of lines that begin an endpoint
}

// WriteText prints rows as text: deployments, then what the peers of each domain
// find. Sentences are set in a width; 0 means the usual one.
func WriteText(w io.Writer, rows []Check, width int) error {
	if count(rows)[Absent] == len(rows) {
		return nil // the error of Err says so
	}
	b := &page{width: cmp.Or(width, textWidth), head: cmp.Or(width, headWidth)}
	own, rest := partition(rows, func(s Check) bool { return s.Target != "" })
	if len(own) > 0 {
		writeDeployed(b, own)
	}
	for len(rest) > 0 {
		domain := rest[0].Domain
		var mine []Check
		mine, rest = partition(rest, func(s Check) bool { return s.Domain == domain })
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		writeDomain(b, domain, mine)
	}
	if len(own) < len(rows) {
		writeCounts(b, rows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// partition returns the rows that match, and the others.
func partition(rows []Check, match func(Check) bool) (yes, no []Check) {
	for _, r := range rows {
		if match(r) {
			yes = append(yes, r)
		} else {
			no = append(no, r)
		}
	}
	return yes, no
}

// writeDeployed prints the table of deployments.
func writeDeployed(b *page, rows []Check) {
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tENDPOINT\tNAME\tSERVES")
	for _, r := range rows {
		serves := "the live pair"
		if r.Error != "" {
			serves = r.Error
		}
		if r.Result == Warning {
			serves = "warning: " + serves
		}
		endpoint := r.Endpoint
		if r.Address != "" {
			endpoint += " at " + r.Address
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.Target, endpoint, r.Name, serves)
		if !r.OK && r.Shown != nil {
			fmt.Fprintf(tw, "\t\t\tthat is %s\n", r.Serves)
		}
	}
	tw.Flush()
}

// marks begin the lines of results.
var marks = map[Result]string{OK: "ok", Warning: "warn", Failed: "FAIL", Unknown: "?"}

// writeDomain prints what was found for a domain: a block for each endpoint,
// a line in it for each address, and below it what is wrong there.
func writeDomain(b *page, domain string, rows []Check) {
	fmt.Fprintf(b, "%s, as its peers find it\n\n", domain)
	blocks, loose := blocksOf(rows)
	width := 0
	for _, block := range blocks {
		width = max(width, len(block[0].Endpoint))
	}
	for _, block := range blocks {
		writeBlock(b, block, width)
	}
	absent := writeLoose(b, blocks, loose)
	if len(absent) > 0 {
		paragraph(b, "\nnot there: ", strings.Join(absent, ", "))
	}
	writeNotes(b, rows)
}

// writeCounts prints how many checks there were, and their results.
func writeCounts(b *page, rows []Check) {
	n := count(rows)
	checked := n[OK] + n[Warning] + n[Failed] + n[Unknown]
	fmt.Fprintf(b, "\n%d %s: %d ok", checked, textfmt.Plural(checked, "check", "checks"), n[OK])
	for _, o := range []struct {
		Result
		word string
	}{{Failed, "failed"}, {Warning, "with a warning"}, {Unknown, "undetermined"}} {
		if n[o.Result] > 0 {
			fmt.Fprintf(b, ", %d %s", n[o.Result], o.word)
		}
	}
	b.WriteString("\n")
}

// writeLoose prints rows without a probed address, and returns the services that do
// not exist.
func writeLoose(b *page, blocks [][]Check, loose []Check) (absent []string) {
	var shown []Check
	for _, r := range loose {
		has := func(k []Check) bool { return k[0].has(r.Peers) }
		switch {
		case r.Result != Absent:
			shown = append(shown, r)
		case !slices.ContainsFunc(blocks, has):
			absent = append(absent, r.whatFor()+r.component())
		}
	}
	for i, r := range shown {
		head := r.whatFor()
		if r.Endpoint != "" {
			head += " at " + r.Endpoint
		}
		paragraph(b, fmt.Sprintf("%-6s", marks[r.Result]), head+": "+r.Error)
		if i+1 < len(shown) && shown[i+1].Remedy == r.Remedy && len(r.Affects) == 0 {
			continue // the remedy is printed once, below the last
		}
		writeDetails(b, r)
	}
	slices.Sort(absent)
	return slices.Compact(absent)
}

// blocksOf groups the addresses of each endpoint. Rows without a probed address are
// loose.
func blocksOf(rows []Check) (blocks [][]Check, loose []Check) {
	for _, r := range rows {
		if r.Address == "" || r.Result == Absent {
			loose = append(loose, r)
			continue
		}
		if n := len(blocks) - 1; n >= 0 && blocks[n][0].Endpoint == r.Endpoint && blocks[n][0].Name == r.Name && blocks[n][0].whatFor() == r.whatFor() {
			blocks[n] = append(blocks[n], r)
			continue
		}
		blocks = append(blocks, []Check{r})
	}
	return blocks, loose
}

// writeBlock prints an endpoint. Addresses with the same result share a line.
func writeBlock(b *page, rows []Check, width int) {
	head := rows[0]
	worst := Absent
	for _, r := range rows {
		worst = maxResult(worst, r.Result)
	}
	line := fmt.Sprintf("%-6s%-*s  %s  ", marks[worst], width, head.Endpoint, orNone(head.Name))
	if len(line)+len(head.whatFor()) > b.head {
		fmt.Fprintf(b, "%s\n", strings.TrimRight(line, " "))
		paragraph(b, "      ", "for "+head.whatFor())
	} else {
		b.WriteString(line + head.whatFor() + "\n")
	}
	kinds := groupEqual(rows)
	for _, list := range kinds {
		mark := ""
		if len(kinds) > 1 {
			mark = fmt.Sprintf("%-6s", marks[list[0].Result])
		}
		var addresses []string
		for _, r := range list {
			addresses = append(addresses, r.Address)
		}
		serves := list[0].Serves
		if serves == "" {
			serves = list[0].Error
		}
		paragraph(b, "      "+mark, strings.Join(addresses, ", ")+": "+serves)
		writeDetails(b, list[0])
	}
}

// groupEqual groups rows with equal text.
func groupEqual(rows []Check) (kinds [][]Check) {
	text := func(r Check) string {
		issues := slices.DeleteFunc(slices.Clone(r.Issues), func(f Issue) bool { return f.Result == OK })
		return fmt.Sprint(r.Result, r.Serves, r.Error, issues, r.Affects)
	}
	for _, r := range rows {
		i := slices.IndexFunc(kinds, func(k []Check) bool { return text(k[0]) == text(r) })
		if i < 0 {
			i = len(kinds)
			kinds = append(kinds, nil)
		}
		kinds[i] = append(kinds[i], r)
	}
	return kinds
}

// writeDetails prints what is wrong with a row.
func writeDetails(b *page, r Check) {
	const indent = "          "
	for _, f := range r.Issues {
		if f.Result != OK {
			paragraph(b, indent, "it "+f.Text)
		}
	}
	for i, s := range r.Affects {
		label := "affects: "
		if i > 0 {
			label = "         "
		}
		paragraph(b, indent+label, s)
	}
	if r.Remedy != "" && r.Result != OK {
		paragraph(b, indent+"remedy: ", r.Remedy)
	}
}

// writeNotes prints issues without a result, each once.
func writeNotes(b *page, rows []Check) {
	var printed []string
	for _, r := range rows {
		for _, f := range r.Issues {
			if f.Result != OK || f.Fault == noSNIFault {
				continue
			}
			text := fmt.Sprintf("%s as %s: it %s", r.Endpoint, orNone(r.Name), f.Text)
			if !slices.Contains(printed, text) {
				printed = append(printed, text)
				paragraph(b, "      note: ", text)
			}
		}
	}
}

// has reports whether a row is for all the peers.
func (s *Check) has(peers []Peer) bool {
	return !slices.ContainsFunc(peers, func(p Peer) bool {
		return !slices.ContainsFunc(s.Peers, func(o Peer) bool {
			return o.Service == p.Service && o.Role == p.Role && o.Step == p.Step && o.Identity == p.Identity
		})
	})
}

// component returns " of NAME" for a row about a component of its domain.
func (s *Check) component() string {
	if len(s.Peers) == 0 || s.Peers[0].Identity == "" || s.Peers[0].Identity == s.Domain {
		return ""
	}
	return " of " + s.Peers[0].Identity
}

// whatFor lists the peers of an endpoint.
func (s *Check) whatFor() string {
	var list []string
	for _, u := range s.Peers {
		text := u.Role
		if u.Service != strings.ToLower(u.Role) && !slices.Contains([]string{"imap", "caldav", "sip"}, u.Service) {
			text = u.Service + " " + u.Role
		}
		if u.Step != "" {
			text += " (step " + u.Step + ")"
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
}

// paragraph prints text behind its head.
func paragraph(b *page, head, text string) {
	b.WriteString(textfmt.Wrap(head, text, b.width, len(strings.TrimLeft(head, "\n"))))
}
