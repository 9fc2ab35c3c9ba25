package renew

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"keypaird/renew/keypair"
)

// A Pass is one look at every target. Whoever runs it holds the state's lock.
type Pass struct {
	Store    *keypair.Store            // required
	Obtainer Obtainer                  // required
	Deployer Deployer                  // required
	Parallel int                       // orders at once; zero means 1
	Mood     Mood                      // zero means Patient
	Log      *slog.Logger              // required
	Step     func(target, step string) // told what is being done; "" means done with the target; may be nil
}

// Done is what a pass did to one target, for the report.
type Done struct {
	Target   string    `json:"target"`
	Action   Action    `json:"action"`
	CA       string    `json:"ca,omitempty"` // Issue only
	NotAfter time.Time `json:"not_after"`
	Why      string    `json:"why"`
}

// A TargetError is the failure of one step for some targets.
type TargetError struct {
	Targets []string
	Step    string // "obtaining", "deploying to relayd"
	Err     error
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("cert %s: %s: %v", quoted(e.Targets), e.Step, e.Err)
}

func (e *TargetError) Unwrap() error { return e.Err }

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(q, ", ")
}

// A job is one target on its way through a pass.
type job struct {
	Target
	state    State
	decision Decision
	ca       string // that issued in this pass
	failed   bool
}

// Run looks at targets and does what each needs. It returns what was changed
// and, as *TargetError, what failed; one failure does not hold up another
// target. An interrupt is the last of the errors.
func (p *Pass) Run(ctx context.Context, targets []Target) ([]Done, []error) {
	var errs failures
	var active []*job
	for _, t := range targets {
		j, err := p.look(t)
		if err != nil {
			errs.add(&TargetError{[]string{t.Name}, "reading its state", err})
			continue
		}
		if d := j.decision; d.Action == Issue || d.Action == Deploy {
			p.Log.Info("decided", "cert", t.Name, "action", string(d.Action), "why", d.Why)
			active = append(active, j)
		} else {
			p.Log.Debug("decided", "cert", t.Name, "action", string(d.Action), "why", d.Why, "at", d.At)
		}
	}
	p.obtainAll(ctx, active, &errs)
	done := p.deployAll(ctx, active, &errs)
	if ctx.Err() != nil {
		errs.add(context.Cause(ctx))
	}
	return done, errs.list
}

// failures collects errors of jobs that run side by side.
type failures struct {
	mu   sync.Mutex
	list []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, err)
}

func (p *Pass) look(t Target) (*job, error) {
	s, err := Look(p.Store, t.Name)
	if err != nil {
		return nil, err
	}
	return &job{Target: t, state: s, decision: Decide(time.Now(), t, s, p.Mood)}, nil
}

// Look reads what is on disk of a target.
func Look(store *keypair.Store, name string) (State, error) {
	var s State
	var err error
	if s.Record, err = LoadRecord(store, name); err != nil {
		return s, err
	}
	leaf, version, fingerprint, err := store.NewestLeaf(name)
	var broken *keypair.BrokenError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &broken) {
		return s, nil // no version that could be used: as good as none
	}
	if err != nil {
		return s, err
	}
	s.Leaf, s.Version, s.Fingerprint = leaf, version, fingerprint
	live, err := store.LiveID(name)
	s.Live = err == nil && live == version
	return s, nil
}

// obtainAll gets what is to be issued, up to Parallel at once.
func (p *Pass) obtainAll(ctx context.Context, jobs []*job, errs *failures) {
	slots := make(chan struct{}, max(p.Parallel, 1))
	var wg sync.WaitGroup
	for _, j := range jobs {
		if j.decision.Action != Issue {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			j.failed = true
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := p.obtain(ctx, j); err != nil {
				j.failed = true
				p.step(j.Name, "")
				if ctx.Err() == nil { // an interrupt is not a failure
					errs.add(&TargetError{[]string{j.Name}, "obtaining", err})
				}
			}
		})
	}
	wg.Wait()
}

// obtain gets a certificate and stores it. Nothing in use changes yet.
func (p *Pass) obtain(ctx context.Context, j *job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.Log.Error("panicked", "cert", j.Name, "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", v)
		}
	}()
	began := time.Now()
	if err := p.Store.Tidy(j.Name); err != nil {
		return err
	}
	pair, ca, err := p.Obtainer.Obtain(ctx, j.Target, j.state.Leaf, func(step string) { p.step(j.Name, step) })
	if err != nil {
		return p.recordFailure(ctx, j, err)
	}
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return p.recordFailure(ctx, j, fmt.Errorf("storing: %w", err))
	}
	j.state.Leaf, j.state.Version, j.state.Fingerprint, j.ca = pair.Leaf, v.ID, pair.Fingerprint(), ca
	rec := &j.state.Record
	rec.CA, rec.Profile, rec.Order = ca, j.Profile, Attempt{}
	rec.issued(j.Names, time.Now())
	if err := rec.save(p.Store, j.Name); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "ca", ca, "fingerprint", j.state.Fingerprint[:16],
		"not_after", pair.Leaf.NotAfter.UTC(), "took", time.Since(began).Round(time.Millisecond))
	if err := p.Store.RemoveAll(j.Name, "pending"); err != nil {
		p.Log.Warn("order not forgotten", "cert", j.Name, "err", err)
	}
	return nil
}

// recordFailure keeps the failure of an order for the backoff and for status.
func (p *Pass) recordFailure(ctx context.Context, j *job, err error) error {
	if ctx.Err() != nil {
		return err
	}
	j.state.Record.Order = j.state.Record.Order.failed(err, time.Now())
	if rerr := j.state.Record.save(p.Store, j.Name); rerr != nil {
		p.Log.Warn("failure not recorded", "cert", j.Name, "err", rerr)
	}
	return err
}

func (p *Pass) step(target, step string) {
	if p.Step != nil {
		p.Step(target, step)
	}
}
