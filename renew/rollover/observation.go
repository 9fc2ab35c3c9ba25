package rollover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/renew/tlsa"
)

// A RecordSet is what name servers publish at one name. Records are as in a zone
// file: three numbers and hexadecimal in lower case.
type RecordSet struct {
	Records []string      // of every server
	Partly  []string      // of some servers only
	TTL     time.Duration // the longest that a cache may keep the answer
	Secure  bool          // validated by DNSSEC, says the resolver
}

// An Observation is what was published at one name when it was last queried.
type Observation struct {
	At      time.Time     `json:"at,omitzero"` // of the last query that was answered
	Records []string      `json:"records,omitempty"`
	Partly  []string      `json:"partly,omitempty"`
	Secure  bool          `json:"secure,omitempty"`
	TTL     time.Duration `json:"ttl,omitempty"`   // the longest that caches may still keep
	TTLAt   time.Time     `json:"ttl_at,omitzero"` // when that was last seen
	Since   time.Time     `json:"since,omitzero"`  // when the record of the next key was first seen; zero: it is not there
	Error   string        `json:"error,omitempty"` // of the last query, if it failed
}

// maxTTL is the longest that caches keep anything (RFC 8767, section 4).
const maxTTL = 7 * 24 * time.Hour

// Answered is o after a query at now. A TTL that was seen before holds until it
// is over: caches may have the records it came with.
func (o Observation) Answered(set RecordSet, next *Key, now time.Time) Observation {
	now = now.UTC().Truncate(time.Second)
	n := Observation{At: now, Records: set.Records, Partly: set.Partly, Secure: set.Secure, TTL: o.TTL, TTLAt: o.TTLAt}
	ttl := min(max(set.TTL, 0), maxTTL).Round(time.Second)
	if age := now.Sub(o.TTLAt); ttl >= o.TTL || age > o.TTL || age < 0 {
		n.TTL, n.TTLAt = ttl, now
	}
	if next != nil && tlsa.NamesKey(set.Records, next.SPKI) {
		n.Since = o.Since
		if n.Since.IsZero() || n.Since.After(now) {
			n.Since = now
		}
	}
	return n
}

// Failed is o after a query that failed. Nothing follows from it.
func (o Observation) Failed(err error) Observation {
	o.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	return o
}

// TrustedFrom is when all caches know the record of the next key; zero if it is
// not there.
func (o Observation) TrustedFrom() time.Time {
	if o.Since.IsZero() {
		return time.Time{}
	}
	return o.Since.Add(2 * o.TTL)
}

// Unsettled drops a first sight of the next key's record that was before the key
// was made: the clock was wrong then, so the two TTLs begin again.
func (o Observation) Unsettled(made, now time.Time) Observation {
	if o.Since.IsZero() || !o.Since.Before(made) {
		return o
	}
	o.Since = time.Time{}
	if o.TTLAt.Before(made) {
		o.TTLAt = now.UTC().Truncate(time.Second)
	}
	return o
}

// empty reports whether a query found no records that peers can use.
func (o Observation) empty() bool {
	return !o.At.IsZero() && o.Error == "" && !slices.ContainsFunc(slices.Concat(o.Records, o.Partly), tlsa.Usable)
}

// A Record is what is kept of the TLSA records of a target. Losing it makes the
// next key wait for its two TTLs once more.
type Record struct {
	Used    string                 `json:"used,omitempty"`    // TLSA record of the key of the newest version
	Next    string                 `json:"next,omitempty"`    // TLSA record of the next key
	Made    time.Time              `json:"made,omitzero"`     // the next key: the newest version was issued before that, by its CA's clock
	Retired []string               `json:"retired,omitempty"` // TLSA records of keys that were one or the other; the last ones
	Names   map[string]Observation `json:"names,omitempty"`
	QueryAt time.Time              `json:"query_at,omitzero"` // when to query again
}

// maxRetired is how many retired keys are remembered.
const maxRetired = 8

// maxRecords bounds, in bytes, the records that are kept of all names of a target.
const maxRecords = 256 << 10

// Empty reports whether nothing is known.
func (r Record) Empty() bool {
	return r.Used == "" && r.Next == "" && len(r.Retired) == 0 && len(r.Names) == 0 && r.QueryAt.IsZero()
}

// WithKeys is r with the TLSA records of the keys there are now. Those of keys
// that are used no longer become Retired, for they may be removed.
func (r Record) WithKeys(used, next string) Record {
	retired := append(slices.Clone(r.Retired), r.Used, r.Next)
	retired = slices.DeleteFunc(retired, func(s string) bool { return s == "" || s == used || s == next })
	for i := len(retired) - 1; i >= 0; i-- {
		if slices.Contains(retired[:i], retired[i]) {
			retired = slices.Delete(retired, i, i+1)
		}
	}
	r.Retired = retired[max(0, len(retired)-maxRetired):]
	if r.Next != next { // the observations were of another key
		names := make(map[string]Observation, len(r.Names))
		for name, o := range r.Names {
			o.Since = time.Time{}
			names[name] = o
		}
		r.Names, r.QueryAt = names, time.Time{}
	}
	r.Used, r.Next = used, next
	return r
}

// CheckSize refuses a record set of one name that is too large to be kept beside
// those of the other names.
func (r Record) CheckSize(names []string, name string, set RecordSet) error {
	size := length(set.Records, set.Partly)
	for _, other := range names {
		if other != name {
			size += length(r.Names[other].Records, r.Names[other].Partly)
		}
	}
	if size > maxRecords {
		return fmt.Errorf("the TLSA records of all names have %d bytes, more than %d", size, maxRecords)
	}
	return nil
}

func length(lists ...[]string) (n int) {
	for _, s := range slices.Concat(lists...) {
		n += len(s)
	}
	return n
}
