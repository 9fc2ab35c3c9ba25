package expect

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"keypaird/hooks/probe"
)

// pauses are those before each round of a recheck: a server may be restarted meanwhile.
var pauses = []time.Duration{0, time.Second, 3 * time.Second}

// enoughTries is how many replies without the wanted pair count as a failure.
const enoughTries = 2

// Recheck sends each query, and those that are not answered with the wanted pair a few
// more times: one reply that fails is none.
func Recheck(ctx context.Context, list []*Query) {
	left := reachable(list)
	for _, pause := range pauses {
		if len(left) == 0 || !wait(ctx, pause) {
			return
		}
		down := new(places)
		each(left, func(q *Query) {
			last := q.Now
			if q.Now = (Reply{}); !down.share(q) {
				q.send(ctx)
			}
			switch {
			case q.Now.Is(q.Want):
			case ctx.Err() != nil:
				q.Now = last
			default:
				q.tries++
				down.add(q)
			}
		})
		left = slices.DeleteFunc(left, func(q *Query) bool { return q.Now.Is(q.Want) })
	}
}

// places are where no server answered in one round: it is not waited for again.
type places struct {
	mu   sync.Mutex
	down map[place]error
}

type place struct {
	probe.Endpoint
	netip.Addr
}

// share gives q the error of another query to the same place, if there is one.
func (p *places) share(q *Query) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.down[place{q.Endpoint, q.Addr}]
	if err != nil {
		q.Now = Reply{err: err}
	}
	return err != nil
}

// add keeps the reply of a query if no server answered.
func (p *places) add(q *Query) {
	failed, ok := errors.AsType[*probe.Error](q.Now.err)
	if !ok || failed.Stage != probe.Connecting && !failed.TimedOut {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down == nil {
		p.down = map[place]error{}
	}
	p.down[place{q.Endpoint, q.Addr}] = failed
}

// Certain reports whether the replies to the query show whether the wanted pair is served.
func (q *Query) Certain() bool { return q.Unreachable || q.Now.Is(q.Want) || q.tries >= enoughTries }

// Compare returns the results of a recheck, by target: what was served has to be served.
func Compare(list []*Query) map[*Target]*Result {
	return collect(list, func(q *Query) Verdict {
		switch {
		case q.Unreachable, !q.Certain():
			return Unknown
		case q.Now.Is(q.Want):
			return Served
		case q.WasServed:
			return Failing
		}
		return NotServed
	})
}
