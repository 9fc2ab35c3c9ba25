package renew

import (
	"context"
	"crypto/x509"
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
	NotAfter time.Time `json:"not_after,omitzero"`
	Why      string    `json:"why,omitempty"`
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

// A BudgetError reports a certificate that is needed and may not be ordered
// yet.
type BudgetError struct {
	Target, Why string
	Next        time.Time
}

func (e *BudgetError) Error() string { return e.Why }

// Remedy says what the operator can do about it.
func (e *BudgetError) Remedy() string {
	return fmt.Sprintf("wait until %s, or: keypaird issue -force %s", e.Next.UTC().Format(time.RFC3339), e.Target)
}

// A job is one target on its way through a pass.
type job struct {
	Target
	state    State
	decision Decision
	ca       string // that issued in this pass
	failed   bool   // obtaining did
	moved    bool   // something now uses the newest version
}

// Run looks at targets and does what each needs. It returns what was changed
// and, as *TargetError, what failed; one failure does not hold up another
// target. An interrupt is the last of the errors.
func (p *Pass) Run(ctx context.Context, targets []Target) ([]Done, []error) {
	var errs failures
	active := p.lookAll(ctx, targets, &errs)
	p.obtainAll(ctx, active, &errs)
	p.deployAll(ctx, active, &errs)
	if ctx.Err() != nil {
		errs.add(context.Cause(ctx))
	}
	var done []Done
	for _, j := range active {
		p.step(j.Name, "")
		if j.ca != "" || j.moved {
			done = append(done, Done{j.Name, j.decision.Action, j.ca, j.state.Leaf.NotAfter.UTC(), j.decision.Why})
		}
	}
	return done, errs.list
}

// lookAll decides about each target and returns those that need something.
func (p *Pass) lookAll(ctx context.Context, targets []Target, errs *failures) []*job {
	var active []*job
	for _, t := range targets {
		if ctx.Err() != nil {
			break
		}
		s, err := Look(p.Store, t.Name)
		if err != nil {
			errs.add(&TargetError{[]string{t.Name}, "reading its state", err})
			continue
		}
		d := Decide(time.Now(), t, s, p.Mood)
		if d.Action == Issue || d.Action == Deploy {
			p.Log.Info("decided", "cert", t.Name, "action", string(d.Action), "why", d.Why)
			active = append(active, &job{Target: t, state: s, decision: d})
			continue
		}
		p.Log.Debug("decided", "cert", t.Name, "action", string(d.Action), "why", d.Why, "at", d.At)
		if d.Action == Wait && p.Mood == Asked { // for the budget: nobody who asks waits for a backoff
			errs.add(&TargetError{[]string{t.Name}, "obtaining", &BudgetError{t.Name, d.Why, d.At}})
		}
	}
	return active
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
				if ctx.Err() == nil { // an interrupt is not a failure
					errs.add(&TargetError{[]string{j.Name}, "obtaining", err})
				}
			}
			p.step(j.Name, "")
		})
	}
	wg.Wait()
}

// obtain gets a certificate and stores it. Nothing in use changes yet.
func (p *Pass) obtain(ctx context.Context, j *job) error {
	began := time.Now()
	pair, ca, err := p.callObtainer(ctx, j)
	if err != nil {
		return p.recordFailure(ctx, j, err)
	}
	v, err := p.Store.Add(j.Name, pair)
	if err != nil {
		return p.recordFailure(ctx, j, fmt.Errorf("storing: %w", err))
	}
	j.ca, j.state.Live = ca, false
	j.state.Leaf, j.state.Version, j.state.Fingerprint = pair.Leaf, v.ID, pair.Fingerprint()
	j.state.Record.issued(j.Target, ca, pair.Fingerprint(), time.Now())
	if err := j.state.Record.save(p.Store, j.Name); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	p.Log.Info("stored", "cert", j.Name, "version", v.ID, "ca", ca, "fingerprint", j.state.Fingerprint[:16],
		"not_after", pair.Leaf.NotAfter.UTC(), "took", time.Since(began).Round(time.Millisecond))
	p.settle(j, pair.Leaf)
	return nil
}

// settle removes what is left of the order that ended in leaf.
func (p *Pass) settle(j *job, leaf *x509.Certificate) {
	if err := p.Obtainer.Settle(j.Target, leaf); err != nil {
		p.Log.Warn("order not forgotten", "cert", j.Name, "err", err)
	}
}

func (p *Pass) callObtainer(ctx context.Context, j *job) (pair *keypair.Pair, ca string, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.Log.Error("panicked", "cert", j.Name, "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", v)
		}
	}()
	if err := p.Store.Tidy(j.Name); err != nil {
		return nil, "", err
	}
	return p.Obtainer.Obtain(ctx, j.Target, j.state.Leaf, func(step string) { p.step(j.Name, step) })
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
