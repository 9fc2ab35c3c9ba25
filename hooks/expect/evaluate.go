package expect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/probe"
)

// A Result says whether the endpoints serve a target.
type Result struct {
	Err       error                   // of the endpoints that fail; nil: verified
	Endpoints map[probe.Endpoint]Seen // those of which some name is requested
}

// A Seen says whether one endpoint serves a target.
type Seen struct {
	Verdict   Verdict                // Served if some name is served and none fails
	Err       error                  // of the names that fail or else that are not served there, as before
	Absent    []*Query               // those of names that are not served there, as before
	Addresses map[netip.Addr]Verdict // of the host, if it has several
}

// Evaluate returns the results of the latest replies, by target.
//
// An endpoint need not serve a name that it did not serve before. But each endpoint
// must serve some name, unless it is up and served none when the previous pair was
// verified; and if no endpoint serves a target, none may serve its names with another
// certificate.
func Evaluate(list []*Query, now time.Time) map[*Target]*Result {
	serving, verified := map[probe.Endpoint]bool{}, map[*Target]bool{}
	for _, q := range list {
		if q.Evaluate(now) == Served {
			serving[q.Endpoint], verified[q.Target] = true, true
		}
	}
	return collect(list, func(q *Query) Verdict {
		switch v := q.Evaluate(now); {
		case v == Served, v == Unknown:
			return v
		case v == NotServed && (serving[q.Endpoint] || q.WasVerified && q.Now.up()) && (verified[q.Target] || q.Now.disowns(q.ServerName, now)):
			return NotServed
		}
		return Failing
	})
}

// collect returns the results of queries, by target.
func collect(list []*Query, verdict func(*Query) Verdict) map[*Target]*Result {
	type place struct {
		*Target
		probe.Endpoint
	}
	places, failed := map[place][]*Query{}, map[*Target][]error{}
	results := map[*Target]*Result{}
	for _, q := range list {
		at := place{q.Target, q.Endpoint}
		places[at] = append(places[at], q)
		if results[q.Target] == nil {
			results[q.Target] = &Result{Endpoints: map[probe.Endpoint]Seen{}}
		}
		if verdict(q) == Failing {
			failed[q.Target] = append(failed[q.Target], q.Failure())
		}
	}
	for at, queries := range places {
		results[at.Target].Endpoints[at.Endpoint] = summarize(queries, verdict)
	}
	for t, errs := range failed {
		results[t].Err = Unserved(errs)
	}
	return results
}

// summarize returns what one endpoint serves of one target.
func summarize(queries []*Query, verdict func(*Query) Verdict) Seen {
	seen := Seen{Verdict: Unknown, Addresses: map[netip.Addr]Verdict{}}
	var absent, failing []error
	worst := func(a, b Verdict) Verdict { // of which the first outweighs the others
		for _, v := range []Verdict{Failing, Served, NotServed} {
			if a == v || b == v {
				return v
			}
		}
		return Unknown
	}
	for _, q := range queries {
		v := verdict(q)
		seen.Verdict = worst(seen.Verdict, v)
		if q.Addr.IsValid() {
			before, known := seen.Addresses[q.Addr]
			if !known {
				before = Unknown
			}
			seen.Addresses[q.Addr] = worst(before, v)
		}
		switch v {
		case Failing:
			failing = append(failing, q.Failure())
		case NotServed:
			absent, seen.Absent = append(absent, q.Failure()), append(seen.Absent, q)
		}
	}
	seen.Err = Unserved(absent)
	if len(failing) > 0 {
		seen.Err = Unserved(failing)
	}
	return seen
}

// An unservedError reports the endpoints and names of one target at which its
// pair is not served, all of them.
type unservedError struct{ errs []error }

// Unserved returns the errors of several queries as one; nil: none.
func Unserved(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return &unservedError{errs}
}

// Error says each reason once, and names together that are served with one
// certificate.
func (e *unservedError) Error() string {
	var parts []string
	var stale []*probe.StaleError
	for _, err := range e.errs {
		s, ok := errors.AsType[*probe.StaleError](err)
		if !ok {
			if text := err.Error(); !slices.Contains(parts, text) {
				parts = append(parts, text)
			}
			continue
		}
		stale = append(stale, s)
	}
	for len(stale) > 0 {
		first := stale[0]
		var names []string
		stale = slices.DeleteFunc(stale, func(s *probe.StaleError) bool {
			same := s.Endpoint == first.Endpoint && s.Addr == first.Addr && s.Got == first.Got
			if same {
				names = append(names, fmt.Sprintf("%q", s.ServerName))
			}
			return same
		})
		parts = append(parts, fmt.Sprintf("%s serves certificate %.16s for %s, not %.16s", probe.At(first.Endpoint, first.Addr), first.Got, strings.Join(names, ", "), first.Want))
	}
	return strings.Join(parts, "; ")
}

func (e *unservedError) Unwrap() []error { return e.errs }
