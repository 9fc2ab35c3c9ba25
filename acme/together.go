package acme

import (
	"context"
	"slices"
	"sync"
)

// together keeps the proofs of one order in step: none is validated while
// another is being published, and none is removed while another is validated.
// One that is queued behind another challenge at the same place is not waited
// for. So each proof that is waited for can go on by itself.
type together struct {
	asks chan struct{} // holds a value for each proof that asks the CA

	mu      sync.Mutex
	stages  []stage
	changed chan struct{} // closed when a stage does
}

// A stage is how far a proof has come.
type stage int

const (
	publishing stage = iota // until it is seen
	queued                  // until another challenge is removed
	published
	ended // by a verdict or an error
)

func newTogether(proofs int) *together {
	return &together{
		asks: make(chan struct{}, maxAsking), stages: make([]stage, proofs), changed: make(chan struct{}),
	}
}

func (g *together) set(i int, s stage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stages[i] == ended {
		return
	}
	g.stages[i] = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until no proof is in one of the stages.
func (g *together) await(ctx context.Context, stages ...stage) error {
	for {
		g.mu.Lock()
		busy := slices.ContainsFunc(g.stages, func(s stage) bool { return slices.Contains(stages, s) })
		changed := g.changed
		g.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// A turn is one proof of those.
type turn struct {
	all *together
	i   int
}

// asking calls f while few enough others ask the CA.
func (t turn) asking(ctx context.Context, f func() error) error {
	select {
	case t.all.asks <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.all.asks }()
	return f()
}

// queued is for Challenge.Queued.
func (t turn) queued(waits bool) {
	if waits {
		t.all.set(t.i, queued)
	} else {
		t.all.set(t.i, publishing)
	}
}

// validate calls f, which validates the proof, once all are published, and
// returns when all of them may be removed.
func (t turn) validate(ctx context.Context, f func() error) error {
	t.all.set(t.i, published)
	if err := t.all.await(ctx, publishing); err != nil {
		return err
	}
	err := t.asking(ctx, f)
	t.all.set(t.i, ended)
	if ctx.Err() == nil {
		_ = t.all.await(ctx, published) // an end of ctx is no verdict on this proof
	}
	return err
}
