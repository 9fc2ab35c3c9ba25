package status

import (
	"fmt"
	"io"
	"time"

	"keypaird/renew"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// A TLSA is how the records stand by which peers know a target's key (DANE).
type TLSA struct {
	Live    string     `json:"live,omitempty"`    // record of the key in use
	Newest  string     `json:"newest,omitempty"`  // record of the key of what is stored, if that is another
	Next    string     `json:"next,omitempty"`    // record of the next key; "": it is made in the next pass
	Rolls   *time.Time `json:"rolls,omitempty"`   // from when on a renewal has the next key; nil: not as things are
	Refused bool       `json:"refused,omitempty"` // peers that heed the records refuse what is in use
	Held    string     `json:"held,omitempty"`    // why the first certificate is not ordered
	Names   []TLSAName `json:"names"`
}

// A TLSAName is what is published at one name.
type TLSAName struct {
	Name      string    `json:"name"`
	SeenAt    time.Time `json:"seen_at,omitzero"`    // of the last look; zero: nobody has looked
	Records   []string  `json:"records,omitempty"`   // shown by every server
	Partly    []string  `json:"partly,omitempty"`    // shown by some of them only
	TTL       int       `json:"ttl,omitempty"`       // seconds, the longest that caches may go by
	Secure    bool      `json:"secure"`              // DNSSEC vouches for them
	NextSince time.Time `json:"next_since,omitzero"` // since when the record of the next key has been seen; zero: it is not there
	Publish   []string  `json:"publish,omitempty"`   // lines of a zone file that are missing
	Remove    []string  `json:"remove,omitempty"`    // lines that nobody needs any more
	Later     []string  `json:"later,omitempty"`     // lines that nobody needs once the newest is in use everywhere
	Error     string    `json:"error,omitempty"`     // of the last look, if it did not find out
}

// newTLSA says how the records of a target stand; nil if it has none.
func newTLSA(s Subject, state renew.State, now time.Time) *TLSA {
	if len(s.TLSA) == 0 {
		return nil
	}
	r := state.Rollover(s.Target)
	t := &TLSA{Next: state.Next.TLSA(), Refused: len(r.Mismatched()) > 0, Held: r.Held(now), Names: []TLSAName{}}
	if state.InUse != nil {
		t.Live = tlsa.Record(state.InUse.RawSubjectPublicKeyInfo)
	}
	if state.Leaf != nil {
		t.Newest = tlsa.Record(state.Leaf.RawSubjectPublicKeyInfo)
	}
	if t.Newest == t.Live {
		t.Newest = ""
	}
	if at := r.RolloverAt(); !at.IsZero() {
		at = second(at)
		t.Rolls = &at
	}
	for _, name := range s.TLSA {
		t.Names = append(t.Names, newTLSAName(name, r))
	}
	return t
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

// write prints the records, and what is to be done about them.
func (t *TLSA) write(w io.Writer, now time.Time) {
	if t == nil {
		return
	}
	for _, r := range t.Keys() {
		fmt.Fprintf(w, "  TLSA %s: %s\n", r.Record, r.Of)
	}
	fmt.Fprintf(w, "  %s\n", t.says(now))
	for _, n := range t.Names {
		fmt.Fprintf(w, "  %s: %s\n", n.Name, n.Says())
		for _, l := range n.Todo() {
			fmt.Fprintf(w, "    %s: %s\n", l.Do, printable(l.Line))
		}
	}
}

// A tlsaKey is a record of ours and what it is of.
type tlsaKey struct{ Of, Record string }

// Keys lists the records that are to be published.
func (t *TLSA) Keys() []tlsaKey {
	var list []tlsaKey
	for _, k := range []tlsaKey{{"the key in use", t.Live}, {"the key of the newest certificate", t.Newest}, {"the next key", t.Next}} {
		if k.Record != "" {
			list = append(list, k)
		}
	}
	return list
}

// says is what comes of the records.
func (t *TLSA) says(now time.Time) string {
	switch {
	case t.Held != "":
		return "no certificate is ordered: " + t.Held
	case t.Live == "" && t.Newest == "":
		return "the first certificate has the next key"
	case t.Rolls == nil:
		return "renewals keep the key until the record of the next key was visible everywhere for two TTLs"
	case t.Rolls.After(now):
		return "renewals have the next key from " + day(*t.Rolls) + " on"
	}
	return "the next renewal has the next key"
}

// Says is what was seen at the name.
func (n TLSAName) Says() string {
	text := "not looked at yet"
	switch {
	case !n.SeenAt.IsZero() && len(n.Records)+len(n.Partly) == 0:
		text = "no records, at " + day(n.SeenAt)
	case !n.SeenAt.IsZero():
		text = fmt.Sprintf("%d %s, at %s", len(n.Records), plural(len(n.Records), "record", "records"), day(n.SeenAt))
		if len(n.Partly) > 0 {
			text += fmt.Sprintf("; %d more at some servers only", len(n.Partly))
		}
		if !n.Secure {
			text += "; not DNSSEC-validated: peers ignore them"
		}
	}
	if n.Error != "" {
		text += "; the last look failed: " + printable(n.Error)
	}
	return text
}

// A chore is something to do with a line of a zone.
type chore struct{ Do, Line string }

// Todo lists what a person may do at the name.
func (n TLSAName) Todo() []chore {
	var list []chore
	for _, c := range []struct {
		do    string
		lines []string
	}{{"publish", n.Publish}, {"may be removed", n.Remove}, {"may be removed once the newest is in use everywhere", n.Later}} {
		for _, line := range c.lines {
			list = append(list, chore{c.do, line})
		}
	}
	return list
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
