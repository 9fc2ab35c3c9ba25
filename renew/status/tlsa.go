package status

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/rollover"
	"keypaird/renew/textfmt"
	"keypaird/renew/tlsa"
)

// newTLSA returns the state of a target's records, or nil if it has none.
func newTLSA(t renew.Target, state renew.State, now time.Time) *TLSA {
	if len(t.TLSA) == 0 {
		return nil
	}
	r := state.Rollover(t)
	out := &TLSA{Next: state.Next.TLSA(), Refused: len(r.Mismatched()) > 0, Held: r.Held(now), Unverified: state.Unverified, Names: []TLSAName{}}
	if state.InUse != nil {
		out.Live = tlsa.Record(state.InUse.RawSubjectPublicKeyInfo)
	}
	if state.Leaf != nil {
		out.Newest = tlsa.Record(state.Leaf.RawSubjectPublicKeyInfo)
	}
	if out.Newest == out.Live {
		out.Newest = ""
	}
	if at := r.RolloverAt(); !at.IsZero() {
		at = second(at)
		out.RolloverAt = &at
	}
	for _, name := range t.TLSA {
		out.Names = append(out.Names, newTLSAName(name, r))
	}
	return out
}

func newTLSAName(name string, s rollover.State) TLSAName {
	o := s.Record.Names[name]
	n := TLSAName{
		Name: name, SeenAt: second(o.At), Records: o.Records, Partly: o.Partly, TTL: int(o.TTL / time.Second), Secure: o.Secure,
		NextSince: second(o.Since), Error: o.Error,
	}
	n.Publish = s.MissingAt(name, o.Records)
	records, now := s.Removable(name)
	for _, r := range records {
		line := tlsa.ZoneLine(name, r)
		if now {
			n.Remove = append(n.Remove, line)
		} else {
			n.Later = append(n.Later, line)
		}
	}
	return n
}

// write prints the records and the tasks they leave.
func (t *TLSA) write(w io.Writer, now time.Time) {
	if t == nil {
		return
	}
	for _, r := range t.Keys() {
		fmt.Fprintf(w, "  TLSA %s: %s\n", r.Record, r.Of)
	}
	fmt.Fprintf(w, "  %s\n", t.describe(now))
	for _, n := range t.Names {
		fmt.Fprintf(w, "  %s: %s\n", n.Name, n.Describe())
		for _, l := range n.Tasks() {
			fmt.Fprintf(w, "    %s: %s\n", l.Do, printable(l.Line))
		}
	}
}

// A tlsaKey is one of the target's records and the key it is for.
type tlsaKey struct{ Of, Record string }

// Keys lists the records to publish.
func (t *TLSA) Keys() []tlsaKey {
	var list []tlsaKey
	for _, k := range []tlsaKey{{"the key in use", t.Live}, {"the key of the newest certificate", t.Newest}, {"the next key", t.Next}} {
		if k.Record != "" {
			list = append(list, k)
		}
	}
	return list
}

// describe returns what the records mean for renewals, and why earlier ones have to stay.
func (t *TLSA) describe(now time.Time) string {
	text := t.describeNext(now)
	if len(t.Unverified) > 0 && slices.ContainsFunc(t.Names, func(n TLSAName) bool { return len(n.Later) > 0 }) {
		text += "; earlier records stay until the newest certificate is verified by " + printable(strings.Join(t.Unverified, ", "))
	}
	return text
}

// describeNext returns what the records mean for renewals.
func (t *TLSA) describeNext(now time.Time) string {
	switch {
	case t.Held != "":
		return "no certificate is ordered: " + t.Held
	case t.Live == "" && t.Newest == "":
		return "the first certificate will use the next key"
	case t.RolloverAt == nil:
		return "renewals keep the key until the record of the next key was visible everywhere for two TTLs"
	case t.RolloverAt.After(now):
		return "renewals use the next key from " + day(*t.RolloverAt) + " on"
	}
	return "the next renewal uses the next key"
}

// Describe returns a sentence about the records seen at the name.
func (n TLSAName) Describe() string {
	text := "not queried yet"
	switch {
	case !n.SeenAt.IsZero() && len(n.Records)+len(n.Partly) == 0:
		text = "no records, at " + day(n.SeenAt)
	case !n.SeenAt.IsZero():
		text = fmt.Sprintf("%d %s, at %s", len(n.Records), textfmt.Plural(len(n.Records), "record", "records"), day(n.SeenAt))
		if len(n.Partly) > 0 {
			text += fmt.Sprintf("; %d more at some servers only", len(n.Partly))
		}
		if !n.Secure {
			text += "; not DNSSEC-validated: peers ignore them"
		}
	}
	if n.Error != "" {
		text += "; the last query failed: " + printable(n.Error)
	}
	return text
}

// A zoneTask is a change of one line of a zone.
type zoneTask struct{ Do, Line string }

// Tasks lists the changes that the operator may make at the name.
func (n TLSAName) Tasks() []zoneTask {
	var list []zoneTask
	for _, c := range []struct {
		do    string
		lines []string
	}{{"publish", n.Publish}, {"may be removed", n.Remove}, {"may be removed once the newest is in use everywhere", n.Later}} {
		for _, line := range c.lines {
			list = append(list, zoneTask{c.do, line})
		}
	}
	return list
}
