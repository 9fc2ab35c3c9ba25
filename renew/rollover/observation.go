package rollover

import (
	"fmt"
	"slices"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/tlsa"
)

// A RecordSet is the set of TLSA records of one name. A record is written as in a zone
// file: three numbers and hexadecimal in lower case.
type RecordSet struct {
	Records []string      // of every server
	Partly  []string      // of some servers only
	TTL     time.Duration // the longest that a cache may keep the answer
	Secure  bool          // DNSSEC-validated by the resolver
}

// An Observation is the result of the last query for one name.
type Observation struct {
	At      time.Time     `json:"at,omitzero"` // of the last answered query
	Records []string      `json:"records,omitempty"`
	Partly  []string      `json:"partly,omitempty"`
	Secure  bool          `json:"secure,omitempty"`
	TTL     time.Duration `json:"ttl,omitempty"`   // the longest that caches may still keep
	TTLAt   time.Time     `json:"ttl_at,omitzero"` // when that TTL was last observed
	Since   time.Time     `json:"since,omitzero"`  // when the record of the next key was first observed; zero: it is not published
	Error   string        `json:"error,omitempty"` // of the last query, if it failed

	Appeared []Appearance `json:"appeared,omitempty"` // of records that caches may still lack
}

// An Appearance is a record that an earlier query did not find.
type Appearance struct {
	Record string    `json:"record"`
	At     time.Time `json:"at"` // when it was first observed
}

// maxTTL is the longest that caches keep anything (RFC 8767, section 4).
const maxTTL = 7 * 24 * time.Hour

// Answered returns o after a query at now. An earlier, longer TTL holds until it has
// elapsed: caches may have the records of that time.
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
	for _, r := range set.Records {
		at := o.appeared(r)
		if !o.At.IsZero() && !slices.Contains(o.Records, r) || at.After(now) {
			at = now
		}
		if !at.IsZero() && now.Before(at.Add(2*n.TTL)) {
			n.Appeared = append(n.Appeared, Appearance{r, at})
		}
	}
	return n
}

// appeared returns when a record was first observed, if caches may still lack it; else zero.
func (o Observation) appeared(record string) time.Time {
	for _, a := range o.Appeared {
		if a.Record == record {
			return a.At
		}
	}
	return time.Time{}
}

// Failed returns o after a query that failed: only the error changes.
func (o Observation) Failed(err error) Observation {
	o.Error = problem.OneLine(err)
	return o
}

// TrustedFrom returns when all caches have the record of the next key; zero if it is
// not published.
func (o Observation) TrustedFrom() time.Time {
	if o.Since.IsZero() {
		return time.Time{}
	}
	return o.Since.Add(2 * o.TTL)
}

// Unsettled clears Since if it is before the next key was made: the clock was wrong
// then, so the two TTLs begin again.
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

// A Record stores the keys and TLSA records of a target. Losing it makes the next key
// wait for its two TTLs once more.
type Record struct {
	Used    string                 `json:"used,omitempty"`    // TLSA record of the key of the newest version
	Next    string                 `json:"next,omitempty"`    // TLSA record of the next key
	Made    time.Time              `json:"made,omitzero"`     // when the next key was made, by the CA's clock: not before the newest version
	Retired []string               `json:"retired,omitempty"` // TLSA records of earlier keys, the latest ones
	Names   map[string]Observation `json:"names,omitempty"`
	QueryAt time.Time              `json:"query_at,omitzero"` // when to query again

	// Everywhere is the fingerprint of the last certificate that all machines which share it
	// have verified; "": none.
	Everywhere string `json:"everywhere,omitempty"`
}

// maxRetired is how many retired keys are remembered.
const maxRetired = 8

// maxRecords bounds the records of all names of a target, in bytes.
const maxRecords = 256 << 10

// Empty reports whether nothing is known.
func (r Record) Empty() bool {
	return r.Used == "" && r.Next == "" && len(r.Retired) == 0 && len(r.Names) == 0 && r.QueryAt.IsZero()
}

// WithKeys returns r with the TLSA records of the current keys. Those of earlier keys
// become Retired: the operator may remove them, once all machines have verified a
// certificate after that, even one that they had verified before.
func (r Record) WithKeys(used, next string) Record {
	retired := append(slices.Clone(r.Retired), r.Used, r.Next)
	retired = slices.DeleteFunc(retired, func(s string) bool { return s == "" || s == used || s == next })
	for i := len(retired) - 1; i >= 0; i-- {
		if slices.Contains(retired[:i], retired[i]) {
			retired = slices.Delete(retired, i, i+1)
		}
	}
	if retired = retired[max(0, len(retired)-maxRetired):]; !slices.Equal(retired, r.Retired) {
		r.Retired, r.Everywhere = retired, ""
	}
	if r.Next != next { // the observations are of another key
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

// CheckSize refuses a record set of one name that is too large to be stored with
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
