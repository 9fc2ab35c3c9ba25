package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"keypaird/hooks/probe"
)

// Verification: how long at most, how long if there is another reload to try,
// how long one visit, how many at a time, and
// how long between two looks at first and at most.
const (
	maxVerify  = 15 * time.Second
	someVerify = 2 * time.Second
	maxVisit   = 8 * time.Second // postscreen holds its greeting back for 6
	visitors   = 8
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// patience says how often to look.
type patience int

const (
	once   patience = iota
	aWhile          // for some seconds
	untilDeadline
)

// limit is how long looking may take.
func (d *Deployment) limit(p patience) time.Duration {
	limit := d.Patience
	if limit <= 0 {
		limit = min(d.timeout(), maxVerify)
	}
	if p == aWhile {
		limit = min(limit, someVerify)
	}
	return limit
}

// A sight is one look that has to be taken: an endpoint and a name.
type sight struct {
	change   int
	endpoint probe.Endpoint
	name     string
	err      error // of the last look
}

// verify looks until every endpoint serves the leaves of states for all their
// names, and returns the changes that are not served and the first reason. A
// server takes a moment to follow a reload, and says nothing when it has.
func (r *run) verify(ctx context.Context, states []state, p patience) (failing []int, err error) {
	pending := r.sights(states)
	limited, cancel := context.WithTimeout(ctx, r.limit(p))
	defer cancel()
	for pause := firstPause; len(pending) > 0; pause = min(2*pause, maxPause) {
		pending = look(limited, pending, states)
		if len(pending) == 0 || p == once || !wait(limited, pause) {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, s := range pending {
		if len(failing) == 0 || failing[len(failing)-1] != s.change {
			failing = append(failing, s.change)
		}
	}
	switch n := len(pending) - 1; {
	case n < 0:
		return nil, nil
	case n == 0:
		return failing, pending[0].err
	default:
		return failing, fmt.Errorf("%w (and %d more)", pending[0].err, n)
	}
}

// serves tells whether all pairs there are in states are served, and there is
// an endpoint to say so.
func (r *run) serves(ctx context.Context, states []state) bool {
	_, err := r.verify(ctx, states, once)
	return err == nil && len(r.sights(states)) > 0
}

// sights lists all looks, by change.
func (r *run) sights(states []state) []sight {
	var list []sight
	for i, s := range states {
		if s.pair == nil {
			continue
		}
		for _, name := range s.pair.Names() {
			for _, e := range r.Verify {
				list = append(list, sight{change: i, endpoint: e, name: name})
			}
		}
	}
	return list
}

// look takes one look at each and returns those that did not show what they
// should.
func look(ctx context.Context, pending []sight, states []state) []sight {
	var g errgroup.Group
	g.SetLimit(visitors)
	for i := range pending {
		g.Go(func() error {
			s := &pending[i]
			visit, cancel := context.WithTimeout(ctx, maxVisit)
			defer cancel()
			err := probe.Verify(visit, s.endpoint, s.name, states[s.change].pair.Leaf)
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%s does not answer for %q in time", s.endpoint, s.name)
			}
			if err == nil || s.err == nil || ctx.Err() == nil {
				s.err = err // but a look that our deadline ended says less than the one before
			}
			return nil
		})
	}
	g.Wait()
	var still []sight
	for _, s := range pending {
		if s.err != nil {
			still = append(still, s)
		}
	}
	return still
}

// wait waits for d and tells whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
