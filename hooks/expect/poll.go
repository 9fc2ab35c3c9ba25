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
	inARow     = 5                      // good replies that count as served: old workers accept connections for a moment
)

// Patience says how long to repeat probes.
type Patience struct {
	Limit time.Duration
	Some  time.Duration // after which enough is enough
	Once  bool          // they are not repeated
}

// Poll sends each query until it is answered with the wanted pair several times in a
// row, on new connections, the time limit is reached, or enough holds after some time.
// It returns the queries that are left.
func Poll(ctx context.Context, list []*Query, p Patience, enough func() bool) []*Query {
	limited, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	need := inARow
	if p.Once {
		need = 1
	}
	left := reachable(list)
	for _, q := range left {
		q.Now, q.good = Reply{}, 0
	}
	began, confirming := time.Now(), false
	for pause := firstPause; len(left) > 0; pause = min(2*pause, maxPause) {
		Probe(limited, left)
		left = slices.DeleteFunc(left, func(q *Query) bool { return q.good >= need })
		good := !slices.ContainsFunc(left, func(q *Query) bool { return q.good == 0 })
		if good && !confirming {
			pause = firstPause
		}
		confirming = good
		if len(left) == 0 || p.Once || time.Since(began) >= p.Some && enough() || !wait(limited, pause) {
			break
		}
	}
	return left
}

// note takes a reply. After a bad one, a good one is only the latest once several came
// in a row.
func (q *Query) note(r Reply) {
	same := q.Before.leaf != nil && r.leaf != nil && r.leaf.Equal(q.Before.leaf)
	if !r.Is(q.Want) && !(same && q.Want != q.New) { // after a rollback, what was served before is good
		q.Now, q.good = r, 0
		return
	}
	q.good++
	if q.good >= inARow || q.Now == (Reply{}) {
		q.Now = r
	}
}

// Probe sends each query once.
func Probe(ctx context.Context, list []*Query) { each(reachable(list), func(q *Query) { q.send(ctx) }) }

// reachable returns the queries that can be sent from here.
func reachable(list []*Query) []*Query {
	return slices.DeleteFunc(slices.Clone(list), func(q *Query) bool { return q.Unreachable })
}

// each calls do for the queries, some at a time.
func each(list []*Query, do func(*Query)) {
	var g errgroup.Group
	g.SetLimit(maxProbes)
	for _, q := range list {
		g.Go(func() error {
			do(q)
			return nil
		})
	}
	g.Wait()
}

// send sends the query and takes the reply.
func (q *Query) send(ctx context.Context) {
	probing, cancel := context.WithTimeout(ctx, maxProbe)
	defer cancel()
	served, err := probe.Probe{Endpoint: q.Endpoint, Addr: q.Addr, SNI: q.ServerName, KeyType: q.Want.Leaf.PublicKeyAlgorithm}.Run(probing)
	if failed, ok := errors.AsType[*probe.Error](err); ok && errors.Is(err, context.DeadlineExceeded) {
		failed.TimedOut, failed.Err = true, fmt.Errorf("no answer for %q in time", q.ServerName)
	}
	switch {
	case err == nil:
		q.note(Reply{leaf: served.Chain[0]})
	case q.Now == (Reply{}) || ctx.Err() == nil: // our deadline is less informative than the reply before
		q.note(Reply{err: err})
	}
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
