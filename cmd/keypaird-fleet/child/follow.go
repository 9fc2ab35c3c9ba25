package child

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
)

// maxBehind bounds the changes that wait until keypaird wants them.
const maxBehind = 4 << 20

// follow sends changes until it fails or ctx ends.
func (c *connection) follow(ctx context.Context, f *wire.Follow, send func([]engine.Entry, engine.Revision) bool) wire.Answer {
	for _, prefix := range f.Prefixes {
		err := c.try(ctx, func(ctx context.Context, client *clientv3.Client) error {
			return c.revision(ctx, client, prefix, max(f.After, 1)) // of one that is not there yet, etcd would wait for it
		})
		if err != nil {
			return wire.Answer{Failure: c.failure(ctx, err, prefix)}
		}
	}
	if len(f.Prefixes) == 0 {
		<-ctx.Done()
		return wire.Answer{}
	}
	client, err := c.etcd()
	if err != nil {
		return wire.Answer{Failure: c.failure(ctx, err)}
	}
	ctx, done := c.history.follow(ctx, f.Prefixes[0])
	changes := &queue{wake: make(chan struct{}, 1)}
	var watches sync.WaitGroup
	defer watches.Wait()
	defer done()
	for i, prefix := range f.Prefixes {
		if slices.Contains(f.Prefixes[:i], prefix) {
			continue
		}
		watches.Go(func() {
			failure := c.watchPrefix(ctx, client, f.Prefixes[:i], prefix, f.After, changes)
			changes.fail(failure)
		})
	}
	for {
		next, failure := changes.take(ctx)
		switch {
		case failure != nil:
			return wire.Answer{Failure: failure}
		case next == nil:
			return wire.Answer{Failure: c.failure(ctx, context.Cause(ctx))}
		}
		for len(next) > 0 {
			n := fittingRevisions(next)
			if !send(next[:n], 0) {
				return wire.Answer{Failure: c.failure(ctx, context.Cause(ctx))}
			}
			next = next[n:]
		}
	}
}

// watchPrefix adds the changes below one prefix, but for those that begin with one of
// others, until it fails or ctx ends. It goes on after an election of the engine.
func (c *connection) watchPrefix(ctx context.Context, client *clientv3.Client, others []string, prefix string, after engine.Revision, to *queue) *wire.Failure {
	w := &watch{connection: c, prefix: prefix, others: others, after: after, to: to, led: time.Now()}
	for {
		failure := w.run(ctx, client)
		if failure.Kind != wire.NoLeader || time.Since(w.led) > electionLimit {
			return failure
		}
		select {
		case <-ctx.Done():
			return failure
		case <-time.After(electionAgain):
		}
	}
}

// How long a watch waits for a leader, and how often it looks.
const (
	electionLimit = wire.Limit
	electionAgain = 500 * time.Millisecond
)

// A watch is of one prefix.
type watch struct {
	*connection
	prefix string
	others []string
	after  engine.Revision
	to     *queue
	led    time.Time // when there was a leader
}

// run watches until it fails or ctx ends.
func (w *watch) run(ctx context.Context, client *clientv3.Client) *wire.Failure {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx)) // clientv3 keeps what nobody takes
	defer cancel()
	// A member without a leader hears of no changes. Progress keeps clientv3 from going on
	// at a revision that was compacted meanwhile.
	responses := client.Watch(watching, w.key(w.prefix), clientv3.WithPrefix(), clientv3.WithRev(int64(w.after)+1),
		clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
	for response := range responses {
		if err := response.Err(); err != nil {
			return w.failure(ctx, err, w.prefix)
		}
		w.led = time.Now()
		if !w.to.put(w.changes(response.Events)) {
			return &wire.Failure{Kind: wire.Gap, Text: "changes of the engine came faster than keypaird took them"}
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return w.failure(ctx, cause)
	}
	return &wire.Failure{Kind: wire.Unreachable, Text: "the engine has ended a watch"}
}

// changes returns the events as changes.
func (w *watch) changes(events []*clientv3.Event) (changes []engine.Entry) {
	for _, event := range events {
		e := engine.Entry{Key: w.name(event.Kv.Key), Revision: engine.Revision(event.Kv.ModRevision)}
		w.after = max(w.after, e.Revision)
		if slices.ContainsFunc(w.others, func(o string) bool { return strings.HasPrefix(e.Key, o) }) {
			continue
		}
		if event.Type == clientv3.EventTypePut {
			e.Value = append([]byte{}, event.Kv.Value...)
		}
		changes = append(changes, e)
	}
	w.history.seen(int64(w.after))
	return changes
}

// fittingRevisions returns how many of the entries are sent in one line: whole revisions.
func fittingRevisions(entries []engine.Entry) int {
	n := fitting(entries)
	cut := n
	for cut > 0 && cut < len(entries) && entries[cut-1].Revision == entries[cut].Revision {
		cut--
	}
	if cut > 0 {
		return cut
	}
	for n < len(entries) && entries[n-1].Revision == entries[n].Revision {
		n++
	}
	return n
}

// A queue holds changes.
type queue struct {
	wake chan struct{}

	mu      sync.Mutex
	changes []engine.Entry
	size    int
	failure *wire.Failure
}

// put adds changes, unless too many wait.
func (q *queue) put(changes []engine.Entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range changes {
		q.size += entrySize(e)
	}
	if q.size > maxBehind && len(q.changes) > 0 {
		return false
	}
	q.changes = append(q.changes, changes...)
	q.signal()
	return true
}

// fail ends the queue: take returns the failure after the changes.
func (q *queue) fail(f *wire.Failure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil {
		q.failure = f
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for changes, for a failure or until ctx ends.
func (q *queue) take(ctx context.Context) ([]engine.Entry, *wire.Failure) {
	for {
		q.mu.Lock()
		changes, failure := q.changes, q.failure
		q.changes, q.size = nil, 0
		q.mu.Unlock()
		if len(changes) > 0 {
			return changes, nil
		}
		if failure != nil {
			return nil, failure
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, nil
		}
	}
}
