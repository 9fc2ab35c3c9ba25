package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// Options say how keypaird-fleet is started.
type Options struct {
	Path string // of keypaird-fleet; empty: it is looked for
	// Settings returns how to reach the engine. It is called at each start, and then each
	// minute: what has changed, such as a certificate, is used from then on. Required.
	Settings func() (wire.Settings, error)
	Log      *slog.Logger // required
}

// Times of a child.
const (
	firstDelay = time.Second // before it is started again
	lastDelay  = time.Minute
	longRun    = time.Minute // after which the delay is the first again
	lookEvery  = time.Minute // at the settings
	patience   = wire.Limit + 5*time.Second
	endLimit   = 5 * time.Second
	maxAtOnce  = 32 // requests, but for those that follow and renewals
)

// An Engine is the one behind keypaird-fleet.
type Engine struct {
	o      Options
	atOnce chan struct{}
	leases sync.WaitGroup

	mu      sync.Mutex
	child   *child
	err     error         // why there is no child; nil: it is being started
	changed chan struct{} // closed when one of them changes, and replaced
}

var _ engine.Engine = (*Engine)(nil)

// New returns an engine that waits for Run.
func New(o Options) *Engine {
	return &Engine{o: o, atOnce: make(chan struct{}, maxAtOnce), changed: make(chan struct{})}
}

// Run keeps keypaird-fleet running. When ctx ends, it ends the leases and returns.
func (e *Engine) Run(ctx context.Context) {
	defer e.leases.Wait()
	defer e.set(nil, errors.New("keypaird ends"))
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		began := time.Now()
		err := e.runChild(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longRun {
			delay = firstDelay
		}
		e.o.Log.Warn("keypaird-fleet is not running", "err", err, "remedy", problem.Remedy(err), "again_in", delay)
		e.set(nil, problem.Wrap(fmt.Errorf("the engine cannot be reached: %w", err), problem.Remedy(err)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// runChild runs one child until it has ended, or ctx.
func (e *Engine) runChild(ctx context.Context) error {
	settings, err := e.o.Settings()
	if err != nil {
		return err
	}
	k, err := start(ctx, e.o.Path)
	if err != nil {
		return err
	}
	defer k.end()
	means, err := k.open(ctx, settings)
	if err != nil {
		return err
	}
	e.o.Log.Debug("started keypaird-fleet", "confinement", means)
	e.set(k, nil)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for used := settings; ; {
		select {
		case <-k.gone:
			return k.err
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		settings, err := e.o.Settings()
		if err == nil && !same(used, settings) {
			_, err = k.open(ctx, settings)
			used = settings
		}
		if err != nil {
			e.o.Log.Warn("engine settings not read, keeping the previous ones", "err", err, "remedy", problem.Remedy(err))
		}
	}
}

func same(a, b wire.Settings) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

func (e *Engine) set(k *child, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.child, e.err = k, err
	close(e.changed)
	e.changed = make(chan struct{})
}

// running returns the child. While it is started for the first time it waits.
func (e *Engine) running(ctx context.Context) (*child, error) {
	for {
		e.mu.Lock()
		k, err, changed := e.child, e.err, e.changed
		e.mu.Unlock()
		if k != nil || err != nil {
			return k, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask sends a request and waits for its answer.
func (e *Engine) ask(ctx context.Context, r wire.Request) (wire.Answer, *child, error) {
	select {
	case e.atOnce <- struct{}{}:
	case <-ctx.Done():
		return wire.Answer{}, nil, ctx.Err()
	}
	defer func() { <-e.atOnce }()
	k, err := e.running(ctx)
	if err != nil {
		return wire.Answer{}, nil, err
	}
	a, err := k.ask(ctx, r)
	return a, k, err
}

// Commit implements engine.Engine.
func (e *Engine) Commit(ctx context.Context, conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	a, _, err := e.ask(ctx, wire.Request{Commit: &wire.Commit{Conditions: conditions, Do: do}})
	if errors.Is(err, wire.ErrLong) {
		err = problem.Newf("report this", "a commit of %d keys is too large", len(do))
	}
	if failed, ok := errors.AsType[*engine.ConditionError](err); ok && !slices.ContainsFunc(conditions, func(c engine.Condition) bool { return c.Key == failed.Key }) {
		err = errors.New("keypaird-fleet names a condition that was not asked for")
	}
	return a.Revision, err
}

// readAgain is how often a read begins anew because of a compaction.
const readAgain = 3

// Read implements engine.Engine.
func (e *Engine) Read(ctx context.Context, prefix string) (s engine.Snapshot, err error) {
	select {
	case e.atOnce <- struct{}{}:
	case <-ctx.Done():
		return s, ctx.Err()
	}
	defer func() { <-e.atOnce }()
	k, err := e.running(ctx)
	if err != nil {
		return s, err
	}
	for range readAgain {
		if s, err = k.read(ctx, prefix); !errors.Is(err, engine.ErrGap) {
			break
		}
	}
	return s, err
}

// Follow implements engine.Engine.
func (e *Engine) Follow(ctx context.Context, prefixes []string, after engine.Revision) iter.Seq2[engine.Change, error] {
	return func(yield func(engine.Change, error) bool) {
		k, err := e.running(ctx)
		if err != nil {
			yield(engine.Change{}, err)
			return
		}
		c, err := k.begin(wire.Request{Follow: &wire.Follow{Prefixes: prefixes, After: after}})
		if err != nil {
			yield(engine.Change{}, err)
			return
		}
		defer c.cancel()
		for {
			a, err := c.next(ctx, 0)
			if err != nil {
				yield(engine.Change{}, err)
				return
			}
			for _, change := range a.Entries {
				if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(change.Key, p) }) {
					a.More = false
					break
				}
				if !yield(change, nil) {
					return
				}
			}
			if !a.More {
				k.kill("violated the protocol: a change that was not asked for, or none")
				<-k.gone
				yield(engine.Change{}, k.err)
				return
			}
			c.take()
		}
	}
}

// State asks the members of the engine for their state.
func (e *Engine) State(ctx context.Context) (*wire.State, error) {
	a, _, err := e.ask(ctx, wire.Request{State: true})
	if err != nil {
		return nil, err
	}
	if a.State == nil {
		return nil, errors.New("keypaird-fleet has no state of the engine")
	}
	clean := func(texts ...*string) {
		for _, text := range texts {
			*text = textfmt.OneLine(*text, maxText)
		}
	}
	for i := range a.State.Others {
		clean(&a.State.Others[i])
	}
	for i := range a.State.Endpoints {
		e := &a.State.Endpoints[i]
		clean(&e.URL, &e.Error, &e.Remedy, &e.Version)
		for i := range e.Alarms {
			clean(&e.Alarms[i])
		}
	}
	return a.State, nil
}

// failed returns a failure as an error.
func failed(f *wire.Failure) error {
	switch f.Kind {
	case wire.Condition:
		return &engine.ConditionError{Key: f.Key}
	case wire.Gap:
		return fmt.Errorf("%w: %s", engine.ErrGap, textfmt.OneLine(f.Text, maxText))
	case wire.LeaseEnded:
		return errLease
	}
	return problem.New(textfmt.OneLine(f.Text, maxText), textfmt.OneLine(f.Remedy, maxText))
}

const maxText = 2000
