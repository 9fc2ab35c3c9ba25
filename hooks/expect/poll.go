package expect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"keypaird/hooks/probe"
)

// Limits of probing.
const (
	maxProbe   = 8 * time.Second // of one probe; postscreen delays its greeting by 6 s
	maxProbes  = 8               // at a time
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond // between two rounds of probes
)

// Patience says how long to repeat probes.
type Patience struct {
	Limit time.Duration
	Some  time.Duration // after which enough is enough
	Once  bool          // they are not repeated
}

// Poll sends each query until it is answered with the wanted pair, the time limit is
// reached, or enough holds after some time. It returns the queries that are left.
func Poll(ctx context.Context, list []*Query, p Patience, enough func() bool) []*Query {
	limited, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	left := slices.Clone(list)
	began := time.Now()
	for pause := firstPause; len(left) > 0; pause = min(2*pause, maxPause) {
		Probe(limited, left)
		left = slices.DeleteFunc(left, (*Query).settled)
		if len(left) == 0 || p.Once || time.Since(began) >= p.Some && enough() || !wait(limited, pause) {
			break
		}
	}
	return left
}

// settled reports whether the endpoint serves the wanted pair or, after a rollback,
// what it served before.
func (q *Query) settled() bool {
	same := q.Before.leaf != nil && q.Now.leaf != nil && q.Now.leaf.Equal(q.Before.leaf)
	return q.Now.Is(q.Want) || same && q.Want != q.New
}

// Probe sends each query once.
func Probe(ctx context.Context, list []*Query) {
	var g errgroup.Group
	g.SetLimit(maxProbes)
	for _, q := range list {
		g.Go(func() error {
			probing, cancel := context.WithTimeout(ctx, maxProbe)
			defer cancel()
			chain, err := probe.Dial(probing, q.Endpoint, q.ServerName)
			if failed, ok := errors.AsType[*probe.Error](err); ok && errors.Is(err, context.DeadlineExceeded) {
				failed.TimedOut, failed.Err = true, fmt.Errorf("no answer for %q in time", q.ServerName)
			}
			switch {
			case err == nil:
				q.Now = Reply{leaf: chain[0]}
			case q.Now.leaf == nil && q.Now.err == nil || ctx.Err() == nil: // our deadline is less informative than the reply before
				q.Now = Reply{err: err}
			}
			return nil
		})
	}
	g.Wait()
}

// wait waits for d and reports whether ctx has not ended.
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
