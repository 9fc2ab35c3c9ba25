package renew

import (
	"context"
	"fmt"
	"keypaird/renew/tlsa"
	"slices"
	"time"
)

// Peers that know a server by TLSA records (DANE, RFC 6698) refuse a key that
// none of them names. So a target with such records keeps the key of its next
// certificate on disk beforehand, for a person to publish both records. The
// rules (RFC 7671, section 8.1):
//
//   - a certificate may have the next key when the record of that has been seen
//     at every name, at every server that counts, for two of its TTLs or longer:
//     by then no cache has the records before it;
//   - until then it has the key of the certificate before it, whose record is
//     there: it is never held up, not even if a person forces it or the
//     configuration wants another type of key;
//   - the first certificate may have a key without a record where there are no
//     TLSA records that peers can use. Where there are, it waits for its own;
//   - a key that is lost holds nothing up either: with a quarter of the lifetime
//     left, the next key takes its place.

// A Viewer looks at TLSA records.
type Viewer interface {
	// View returns what is published at the name of TLSA records. An error means
	// that it could not be found out.
	View(ctx context.Context, t Target, name string) (View, error)
}

// A View is what is published at one name. Records are as in a zone file: three
// numbers and hexadecimal in lower case.
type View struct {
	Records []string      // shown by every server that counts
	Partly  []string      // shown by some of them only
	TTL     time.Duration // the longest that anybody may keep the answer
	Secure  bool          // DNSSEC vouches for it
}

// Dane is what is known of the TLSA records of a target. Losing it has the next
// key wait for its two TTLs once more.
type Dane struct {
	Used   string              `json:"used,omitempty"`   // record of the key of the newest version
	Key    string              `json:"key,omitempty"`    // record of the next key
	Made   time.Time           `json:"made,omitzero"`    // the next key: the newest version was issued before that, by the clock of its CA
	Former []string            `json:"former,omitempty"` // records of keys that were one or the other; the last ones
	Names  map[string]Sighting `json:"names,omitempty"`
	Look   time.Time           `json:"look,omitzero"` // when to look again

	Attempt Attempt `json:"attempt,omitzero"` // looks in a row at records that have peers refuse what is in use, or would the first certificate
}

// A Sighting is what was seen at one name.
type Sighting struct {
	At      time.Time     `json:"at,omitzero"` // of the last look that found out
	Records []string      `json:"records,omitempty"`
	Partly  []string      `json:"partly,omitempty"`
	Secure  bool          `json:"secure,omitempty"`
	TTL     time.Duration `json:"ttl,omitempty"`   // the longest that caches may still go by
	TTLAt   time.Time     `json:"ttl_at,omitzero"` // when that was seen last
	Since   time.Time     `json:"since,omitzero"`  // the record of the next key has been seen; zero: it is not there
	Error   string        `json:"error,omitempty"` // of the last look, if it did not find out
}

// maxTTL is the longest that caches keep anything (RFC 8767, section 4).
const maxTTL = 7 * 24 * time.Hour

// seen takes in a look at now. A TTL that was seen before holds on until it is
// over: caches may have the records it came with.
func (g Sighting) seen(v View, next []byte, now time.Time) Sighting {
	now = now.UTC().Truncate(time.Second)
	n := Sighting{At: now, Records: v.Records, Partly: v.Partly, Secure: v.Secure, TTL: g.TTL, TTLAt: g.TTLAt}
	ttl := min(max(v.TTL, 0), maxTTL).Round(time.Second)
	if age := now.Sub(g.TTLAt); ttl >= g.TTL || age > g.TTL || age < 0 {
		n.TTL, n.TTLAt = ttl, now
	}
	if next != nil && tlsa.NamesKey(v.Records, next) {
		n.Since = g.Since
		if n.Since.IsZero() || n.Since.After(now) {
			n.Since = now
		}
	}
	return n
}

// missed takes in a look that did not find out. Nothing follows from it.
func (g Sighting) missed(err error) Sighting {
	g.Error = oneLine(err)
	return g
}

// trusted is from when on caches know of the record of the next key; zero if it
// is not there.
func (g Sighting) trusted() time.Time {
	if g.Since.IsZero() {
		return time.Time{}
	}
	return g.Since.Add(2 * g.TTL)
}

// empty reports whether a look found that there are no records to go by.
func (g Sighting) empty() bool {
	return !g.At.IsZero() && g.Error == "" && !slices.ContainsFunc(slices.Concat(g.Records, g.Partly), tlsa.Usable)
}

// again is g without a first sighting that was before the key was made: the clock
// was wrong then, so the two TTLs begin anew.
func (g Sighting) again(made, now time.Time) Sighting {
	if g.Since.IsZero() || !g.Since.Before(made) {
		return g
	}
	g.Since = time.Time{}
	if g.TTLAt.Before(made) {
		g.TTLAt = now.UTC().Truncate(time.Second)
	}
	return g
}

// Rolls is when the next certificate may have the next key; zero if that is not
// known, because at one of the names the record is not there, or was not seen.
func (s State) Rolls(t Target) time.Time {
	d := s.Record.Dane
	if s.Next == nil || s.Next.Type != t.KeyType || s.Next.TLSA() != d.Key {
		return time.Time{}
	}
	var at time.Time
	for _, name := range t.TLSA {
		g := d.Names[name]
		if g.Since.IsZero() || g.Since.Before(d.Made) || g.Error != "" {
			return time.Time{}
		}
		at = later(at, g.trusted())
	}
	return at
}

// rolls reports whether the certificate ordered at now may have the next key.
func (s State) rolls(now time.Time, t Target) bool {
	at := s.Rolls(t)
	return !at.IsZero() && !now.Before(at)
}

// A KeyChoice says which key a certificate is ordered for.
type KeyChoice string

// Choices of a key.
const (
	FreshKey KeyChoice = "fresh" // a new one: there are no TLSA records to heed
	SameKey  KeyChoice = "same"  // that of the newest version
	NextKey  KeyChoice = "next"  // the one that was announced
	NoKey    KeyChoice = "none"  // peers would refuse any
)

// ChooseKey says which key a certificate ordered at now is for. It is a pure
// function of what was seen last.
func ChooseKey(now time.Time, t Target, s State) KeyChoice {
	switch {
	case len(t.TLSA) == 0:
		return FreshKey
	case s.rolls(now, t):
		return NextKey
	case s.Leaf != nil:
		return SameKey
	case s.free(t):
		return NextKey
	}
	return NoKey
}

// free reports whether no name has any TLSA record that peers can use.
func (s State) free(t Target) bool {
	for _, name := range t.TLSA {
		if !s.Record.Dane.Names[name].empty() {
			return false
		}
	}
	return s.Next != nil && s.Next.Type == t.KeyType
}

// Held says why the first certificate is not ordered at now, "" if nothing keeps
// it back, or nobody has looked yet.
func (s State) Held(now time.Time, t Target) string {
	if len(s.Record.Dane.Names) == 0 || s.Next == nil || ChooseKey(now, t, s) != NoKey {
		return ""
	}
	for _, name := range t.TLSA {
		switch g := s.Record.Dane.Names[name]; {
		case g.Error != "":
			return "it is not known which TLSA records there are: " + name + ": " + g.Error
		case g.At.IsZero():
			return "the TLSA records of " + name + " were not looked at yet"
		case !g.empty() && g.Since.IsZero():
			return "none of the TLSA records of " + name + " is that of its key"
		}
	}
	return "the TLSA record of its key was not visible for two TTLs yet"
}

// Refused lists the names whose TLSA records have peers refuse what is in use.
func (s State) Refused(t Target) []string {
	var names []string
	for _, name := range t.TLSA {
		if g := s.Record.Dane.Names[name]; s.InUse != nil && tlsa.Refuses(g.Records, s.InUse) {
			names = append(names, name)
		}
	}
	return names
}

// Removable lists the records seen at a name that no certificate of ours has a
// key for any more, for they are of former keys. They may go once the newest
// version is in use everywhere, which is so if now.
func (s State) Removable(t Target, name string) (records []string, now bool) {
	now = s.Live
	for _, d := range t.Deploy {
		now = now && s.Record.Deployments[d].Done(s.Fingerprint, t.Manner[d])
	}
	g := s.Record.Dane.Names[name]
	for _, r := range slices.Concat(g.Records, g.Partly) {
		if contains(s.Record.Dane.Former, r) {
			records = append(records, r)
		}
	}
	return records, now
}

// follow takes in which keys there are: those that are no longer used are
// remembered, for their records may go.
func (d Dane) follow(used, next string) Dane {
	former := append(slices.Clone(d.Former), d.Used, d.Key)
	former = slices.DeleteFunc(former, func(r string) bool { return r == "" || r == used || r == next })
	for i := len(former) - 1; i >= 0; i-- {
		if slices.Contains(former[:i], former[i]) {
			former = slices.Delete(former, i, i+1)
		}
	}
	d.Former = former[max(0, len(former)-maxFormer):]
	if d.Key != next { // what was seen tells of another key
		names := make(map[string]Sighting, len(d.Names))
		for name, g := range d.Names {
			g.Since = time.Time{}
			names[name] = g
		}
		d.Names, d.Look = names, time.Time{}
	}
	d.Used, d.Key = used, next
	return d
}

// maxSeen bounds, in bytes, the records that are kept of all names of a target.
const maxSeen = 256 << 10

// room says why what was seen at a name of a target cannot be kept.
func (d Dane) room(t Target, name string, v View) error {
	size := length(v.Records, v.Partly)
	for _, other := range t.TLSA {
		if other != name {
			size += length(d.Names[other].Records, d.Names[other].Partly)
		}
	}
	if size > maxSeen {
		return fmt.Errorf("the TLSA records of all names have %d bytes, more than %d", size, maxSeen)
	}
	return nil
}

func length(lists ...[]string) (n int) {
	for _, s := range slices.Concat(lists...) {
		n += len(s)
	}
	return n
}

// maxFormer is how many keys are remembered that are no longer used.
const maxFormer = 8
