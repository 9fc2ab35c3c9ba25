package expect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/probe"
)

// Evaluate returns the errors of the targets that the latest replies do not verify.
//
// An endpoint need not serve a name that it did not serve before. But each endpoint
// must serve some name, unless it is up and served none when the previous pair was
// verified; and if no endpoint serves a target, none may serve its names with another
// certificate.
func Evaluate(list []*Query, now time.Time) map[*Target]error {
	serving, verified := map[probe.Endpoint]bool{}, map[*Target]bool{}
	for _, q := range list {
		if q.Evaluate(now) == Served {
			serving[q.Endpoint], verified[q.Target] = true, true
		}
	}
	missing := map[*Target][]error{}
	for _, q := range list {
		switch v := q.Evaluate(now); {
		case v == Served:
		case v == NotServed && (serving[q.Endpoint] || q.WasVerified && q.Now.up()) && (verified[q.Target] || q.Now.disowns(q.ServerName, now)):
		default:
			missing[q.Target] = append(missing[q.Target], q.Failure())
		}
	}
	failed := map[*Target]error{}
	for t, errs := range missing {
		failed[t] = Unserved(errs)
	}
	return failed
}

// An unservedError reports the endpoints and names of one target at which its
// pair is not served, all of them.
type unservedError struct{ errs []error }

// Unserved returns the errors of several queries as one.
func Unserved(errs []error) error {
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
			same := s.Endpoint == first.Endpoint && s.Got == first.Got
			if same {
				names = append(names, fmt.Sprintf("%q", s.ServerName))
			}
			return same
		})
		parts = append(parts, fmt.Sprintf("%s serves certificate %.16s for %s, not %.16s", first.Endpoint, first.Got, strings.Join(names, ", "), first.Want))
	}
	return strings.Join(parts, "; ")
}

func (e *unservedError) Unwrap() []error { return e.errs }
