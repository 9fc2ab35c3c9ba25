package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

// An operator asks on any node: keypaird writes asks/NODE/ID there, and the node in the seat
// writes its answer in the place of it.

// rereadEvery is when all asks are read again: watches have been known to hang.
const rereadEvery = time.Minute

// An issuer makes a pass over targets now, as an operator wants it.
type issuer func(ctx context.Context, targets []string, force, newKey bool) (status.Results, error)

// An accountRollover replaces the keys of the accounts at CAs.
type accountRollover func(ctx context.Context, cas []string) (status.Results, error)

// asks are those that this node answers.
type asks struct {
	node     *Node
	issue    issuer          // nil: this process makes no passes but its own
	rollover accountRollover // nil, as for issue

	mu    sync.Mutex
	known map[string]*engine.Op // answers by key; nil: one is under way
}

// ServeAsks answers asks whenever this node sits in the seat, until ctx ends.
func (n *Node) ServeAsks(ctx context.Context, issue issuer, rollover accountRollover) {
	a := &asks{node: n, issue: issue, rollover: rollover, known: map[string]*engine.Op{}}
	for ctx.Err() == nil {
		if f := n.Fleet(); f != nil {
			f.WaitSeated(ctx)
			if t, err := f.Term(); err == nil {
				if err := a.follow(ctx, t); err != nil && ctx.Err() == nil {
					n.o.Log.Debug("reading all asks", "err", err)
				}
			}
		}
		sleep(ctx, followRetry)
	}
}

// follow answers what is there and what comes, until it is time to read all again.
func (a *asks) follow(ctx context.Context, t *fleet.Term) error {
	term, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer end()
	work.Go(func() {
		select {
		case <-t.Over():
		case <-term.Done():
		}
		end()
	})
	for term.Err() == nil {
		snapshot, err := engine.Read(term, a.node.o.Fleet.Engine, document.KindAsk.Prefix())
		if err != nil {
			return err
		}
		for _, e := range snapshot.Entries {
			a.take(term, t, &work, e)
		}
		limited, cancel := context.WithTimeout(term, rereadEvery)
		for e, err := range a.node.o.Fleet.Engine.Follow(limited, []string{document.KindAsk.Prefix()}, snapshot.Revision) {
			if err != nil {
				break // read all again, if this is not the end
			}
			a.take(term, t, &work, e)
		}
		if limited.Err() == nil {
			sleep(term, followRetry)
		}
		cancel()
	}
	return nil
}

// take begins what an entry asks for, once.
func (a *asks) take(ctx context.Context, t *fleet.Term, work *sync.WaitGroup, e engine.Entry) {
	n := a.node
	k, ok := document.ParseKey(e.Key)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer, known := a.known[e.Key]
	if e.Value == nil {
		if answer != nil {
			delete(a.known, e.Key)
		}
		return
	}
	if old, _, err := fleet.Open(n.Fleet(), e, n.o.Fleet.Order, document.Parse[document.Answer]); err == nil {
		if time.Since(old.At) > document.AskFor {
			_ = t.Commit(ctx, engine.Op{Key: e.Key})
		}
		return
	}
	ask, _, err := fleet.Open(n.Fleet(), e, []string{k.Node}, document.Parse[document.Ask])
	switch {
	case err != nil:
		n.o.Log.Warn("ask ignored", "key", e.Key, "err", err, "remedy", problem.Remedy(err))
	case known && answer != nil: // the ask was written again
		_ = t.Commit(ctx, *answer)
	case !known:
		a.known[e.Key] = nil
		work.Go(func() { a.answer(ctx, t, e.Key, k.Node, ask) })
	}
}

// answer carries out an ask and writes the answer. If that fails, who sits next answers.
func (a *asks) answer(ctx context.Context, t *fleet.Term, key, by string, ask document.Ask) {
	n := a.node
	n.o.Log.Info("asked", "by", by, "for", ask.Do, "certs", len(ask.Targets), "node", ask.Node, "reason", ask.Reason)
	done := false
	outcomes, err := a.do(ctx, t, ask)
	if err == nil || t.Good() == nil && ctx.Err() == nil {
		answer := document.Answer{At: time.Now().UTC(), Answered: true, Outcomes: outcomes}
		if err != nil {
			answer.Error, answer.Remedy = err.Error(), problem.Remedy(err)
		}
		var op engine.Op
		if op, err = n.Fleet().Op(key, answer, nil, nil); err != nil { // it is too large
			answer.Error, answer.Remedy, answer.Outcomes = err.Error(), "see what was done: keypaird fleet status", nil
			op, err = n.Fleet().Op(key, answer, nil, nil)
		}
		if err == nil {
			a.mu.Lock()
			a.known[key], done = &op, true
			a.mu.Unlock()
			err = t.Commit(ctx, op)
		}
		if err == nil {
			return
		}
	}
	n.o.Log.Warn("not answered", "by", by, "for", ask.Do, "err", err)
	if done { // the answer is written when the ask is read again
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, key)
}

// do carries out an ask.
func (a *asks) do(ctx context.Context, t *fleet.Term, ask document.Ask) ([]document.Outcome, error) {
	if ask.Late(time.Now()) {
		return nil, problem.Newf("set the clocks of both", "the clock of the node where this was asked differs from that of node %s by more than %v", a.node.Name(), document.AskFor)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, ask.At.Add(document.AskFor), errNotInTime)
	defer cancel()
	if ask.Do == document.Rollover {
		outcomes, err := a.replaceKeys(ctx, ask.CAs)
		return outcomes, inTime(ctx, err)
	}
	f := a.node.Fleet()
	var outcomes []document.Outcome
	var now []string // targets of the release that the operator knew
	for _, target := range slices.Sorted(maps.Keys(ask.Targets)) {
		r, _ := f.Release(target)
		switch {
		case r.Serial == ask.Targets[target]:
			now = append(now, target)
		case ask.Do == document.Issue && !ask.Force && !ask.NewKey || ask.Do == document.Remove && !ask.Compromised:
			now = append(now, target)
		case ask.Do == document.Remove:
			outcomes = append(outcomes, document.Outcome{Target: target, Why: fmt.Sprintf("release %d came meanwhile", r.Serial)})
		default:
			outcomes = append(outcomes, failed(target, problem.Newf("see keypaird fleet status, and ask again if it is still needed", "release %d came meanwhile", r.Serial)))
		}
	}
	switch ask.Do {
	case document.Issue:
		did, err := a.order(ctx, now, ask.Force, ask.NewKey)
		return append(outcomes, did...), inTime(ctx, err)
	case document.Remove:
		did, err := a.remove(ctx, t, ask, now)
		return append(outcomes, did...), inTime(ctx, err)
	}
	for _, target := range now {
		outcomes = append(outcomes, a.node.change(ctx, t, ask, target))
	}
	return outcomes, nil
}

// errNotInTime is for an ask that nobody waits for any more.
var errNotInTime = problem.Newf("see what was done: keypaird fleet status", "not done within %v", document.AskFor)

// inTime returns errNotInTime in place of an error that comes of it.
func inTime(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errNotInTime) {
		return cause
	}
	return err
}

// change does one thing to the release of a target.
func (n *Node) change(ctx context.Context, t *fleet.Term, ask document.Ask, target string) document.Outcome {
	f := n.Fleet()
	r, _ := f.Release(target)
	o := document.Outcome{Target: target, Action: string(ask.Do), NotAfter: r.NotAfter}
	var err error
	switch ask.Do {
	case document.Rollback:
		before := r.Serial
		accepts := func(leaf *x509.Certificate) error { return n.accepts(ctx, target, leaf) }
		if ask.Force {
			accepts = nil
		}
		if r, err = f.Rollback(ctx, t, target, accepts); err == nil {
			o.NotAfter, o.Why = r.NotAfter, fmt.Sprintf("release %d has the certificate before release %d, for all nodes now", r.Serial, before)
		}
	case document.Hold:
		err, o.Why = f.Hold(ctx, t, target, ask.Reason), fmt.Sprintf("release %d goes to no further node", r.Serial)
	case document.Go:
		err, o.Why = f.Go(ctx, t, target), fmt.Sprintf("release %d goes to all nodes now", r.Serial)
	}
	if err != nil {
		return failed(target, err)
	}
	return o
}

func failed(target string, err error) document.Outcome {
	return document.Outcome{Target: target, Error: err.Error(), Remedy: problem.Remedy(err)}
}

// order has targets ordered by the daemon of this node.
func (a *asks) order(ctx context.Context, targets []string, force, newKey bool) ([]document.Outcome, error) {
	switch {
	case len(targets) == 0:
		return nil, nil
	case a.issue == nil:
		return nil, a.busy()
	}
	results, err := a.issue(ctx, targets, force, newKey)
	return outcomesOf(results), err
}

// replaceKeys has the daemon of this node replace the keys of accounts. The other nodes follow.
func (a *asks) replaceKeys(ctx context.Context, cas []string) ([]document.Outcome, error) {
	if a.rollover == nil {
		return nil, a.busy()
	}
	results, err := a.rollover(ctx, cas)
	return outcomesOf(results), err
}

// busy returns why nothing is done now.
func (a *asks) busy() error {
	return problem.Newf("try again in a minute", "node %s sits for one pass only", a.node.Name())
}

func outcomesOf(results status.Results) (outcomes []document.Outcome) {
	for _, r := range results {
		o := document.Outcome{Target: r.Target, Action: string(r.Action), CA: r.CA, NotAfter: r.NotAfter, Why: r.Why, Step: r.Step, Error: r.Error, Remedy: r.Remedy}
		if r.Action == renew.None {
			o.Action = ""
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// remove seals all for the nodes that are left. If the node's key is compromised, new
// pairs replace all that it could open, with other keys than those that were to come next.
func (a *asks) remove(ctx context.Context, t *fleet.Term, ask document.Ask, targets []string) (outcomes []document.Outcome, err error) {
	n := a.node
	if n.o.Fleet.Members[ask.Node] != nil {
		return nil, problem.Newf("take it out of [fleet.nodes] on every node, and reload keypaird on those of order", "[fleet.nodes] of node %s still has %q", n.Name(), ask.Node)
	}
	var had []string
	for _, target := range targets {
		opened, nextKey, err := n.Fleet().Had(ctx, target, ask.Node)
		switch sealed, failure := n.Fleet().Reseal(ctx, t, target); {
		case errors.Join(err, failure) != nil:
			outcomes = append(outcomes, failed(target, errors.Join(err, failure)))
		case ask.Compromised && opened:
			had = append(had, target)
			if nextKey != nil {
				n.replaceNextKey(target, nextKey)
			}
		case sealed:
			outcomes = append(outcomes, document.Outcome{Target: target, Action: string(ask.Do), Why: "resealed"})
		}
	}
	did, err := a.order(ctx, had, true, true)
	if outcomes = append(outcomes, did...); !ask.Compromised {
		return outcomes, err
	}
	for _, target := range targets {
		if failure := n.Fleet().Forget(ctx, t, target, ask.Node); failure != nil {
			outcomes = append(outcomes, failed(target, failure))
		}
	}
	return outcomes, err
}
