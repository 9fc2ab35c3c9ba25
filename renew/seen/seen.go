// Package seen records what endpoints were last seen to serve, and says when they are
// probed again. It probes nothing.
package seen

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// An Endpoint is the result for a target of the last probe of an endpoint.
type Endpoint struct {
	State     string            `json:"state"`               // one of those below
	At        time.Time         `json:"at,omitzero"`         // of the last probe
	Since     time.Time         `json:"since,omitzero"`      // of the first in a row with this State
	ServedAt  time.Time         `json:"served_at,omitzero"`  // of the last that saw Served, if that was not the last
	Addresses map[string]string `json:"addresses,omitempty"` // state at each address of the host, if it has several
	Absent    []string          `json:"absent,omitempty"`    // what need not be served, see Place
	Error     string            `json:"error,omitempty"`     // of the names that it does not serve
	Remedy    string            `json:"remedy,omitempty"`
}

// States of an endpoint, or of one address of it.
const (
	Served      = "served"      // its pair, for some of its names at least
	Absent      = "absent"      // nothing, as before its deployment
	Failing     = "failing"     // not the pair that it should
	Nothing     = "none"        // no name of it is requested there
	Unreachable = "unreachable" // there is no way to it from here: what it serves is not known
)

// Place returns a name as Absent lists it: with the address, if the host has several.
func Place(name, address string) string {
	if address == "" {
		return name
	}
	return name + " at " + address
}

// Expects reports whether the endpoint must serve a name, since it did before. An
// address that it did not have then must serve the same as the others.
func (e Endpoint) Expects(name, address string) bool {
	switch e.State {
	case Served:
		if e.Error != "" && len(e.Absent) == 0 { // by a version that did not record which
			return false
		}
	case Failing:
	default:
		return false
	}
	return !slices.Contains(e.Absent, Place(name, address)) && !slices.Contains(e.Absent, name)
}

// A Record contains the results for a target of the last probe of a deployment's endpoints.
type Record struct {
	ProbedAt  time.Time           `json:"probed_at,omitzero"`  // last
	LostAt    time.Time           `json:"lost_at,omitzero"`    // when something was first not served any more; zero: all is
	Endpoints map[string]Endpoint `json:"endpoints,omitempty"` // never changed
}

// The day is divided into slots, so that targets are probed together, but not all at once.
const (
	day   = 24 * time.Hour
	slot  = 10 * time.Minute
	retry = time.Hour // between probes of what is lost, to see that it is back
)

// Next returns when the endpoints of the deployment called name are probed next: once a
// day, at a time that depends on the name, which should contain the target.
func (r Record) Next(name string) time.Time {
	if !r.LostAt.IsZero() {
		return r.ProbedAt.Add(retry)
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	next := r.ProbedAt.Truncate(day).Add(time.Duration(h.Sum32()%uint32(day/slot)) * slot)
	if !next.After(r.ProbedAt) {
		next = next.Add(day)
	}
	return next
}

// Due reports whether the endpoints are to be probed at now. A time in the future was
// recorded by a wrong clock.
func (r Record) Due(name string, now time.Time) bool {
	return !now.Before(r.Next(name)) || r.ProbedAt.After(now)
}

// Lost wraps err as the error of a deployment with an endpoint that does not serve the
// certificate any more.
func (r Record) Lost(err error) error {
	return fmt.Errorf("not served any more since %s: %w", r.LostAt.Format(time.RFC3339), err)
}

// Observe records what a probe found at now. lost: something is not served any more.
func (r *Record) Observe(found map[string]Endpoint, lost bool, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	all := make(map[string]Endpoint, len(found))
	for name, e := range found {
		last := r.Endpoints[name]
		if e.Since = e.At; e.State == last.State && !last.Since.IsZero() {
			e.Since = last.Since
		}
		if e.State != Served {
			if e.ServedAt = last.ServedAt; last.State == Served {
				e.ServedAt = last.At
			}
		}
		if e.State == Failing { // which need not be served is seen only while others are
			e.Absent = slices.Concat(e.Absent, slices.DeleteFunc(slices.Clone(last.Absent), func(name string) bool { return slices.Contains(e.Absent, name) }))
		}
		if e.State == Unreachable && last.State != "" { // what was seen last holds
			e = last
		}
		all[name] = e
	}
	r.Endpoints, r.ProbedAt = all, now
	switch {
	case !lost:
		r.LostAt = time.Time{}
	case r.LostAt.IsZero():
		r.LostAt = now
	}
}
