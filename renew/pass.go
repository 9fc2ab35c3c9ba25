package renew

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
)

// A Pass looks at targets and does what each needs. Whoever runs it holds the
// state's lock. It may be run again and again, not twice at a time.
type Pass struct {
	Store    *keypair.Store                // required
	Obtainer Obtainer                      // required
	Deployer Deployer                      // required
	Limiter  Limiter                       // nil: only the Obtainer knows limits
	Advisor  Advisor                       // nil: no CA is asked when it wants certificates replaced
	Resolver Resolver                      // nil: no TLSA records are queried
	Records  *Records                      // shared with who shows them; nil: this pass alone uses them
	Observer Observer                      // nil: nobody counts
	Parallel int                           // orders at once; zero means 1
	Mood     Mood                          // zero means Patient
	Window   func(now time.Time) time.Time // when deployments may begin, zero: now; nil: always
	Clock    func() time.Time              // the wall clock; nil means time.Now
	Yield    <-chan struct{}               // closed when the pass is to end early, with no harm done; may be nil
	Log      *slog.Logger                  // required
	Step     func(target, step string)     // told what is being done; "" means done with the target; may be nil

	mu   sync.Mutex
	shut map[string]error // by CA: why no order can succeed there in this pass
}

// An Observer counts what passes do.
type Observer interface {
	Ordered(ca string, took time.Duration, err error)
	Deployed(deployment string, took time.Duration, err error)
}

// ErrYield is the cause of a pass that ended early because it was to.
var ErrYield = errors.New("somebody else wants to work")

// A job is one target on its way through a pass.
type job struct {
	Target
	place    int // among the targets of the pass
	state    State
	decision Decision
	ca       string // that issued in this pass
	failed   bool   // obtaining did
	taken    bool   // from its files in this pass
	moved    bool   // something now uses the newest version
	broken   error  // its state cannot be read
}

// Run looks at targets and does what each needs. One failure does not hold up
// another target.
func (p *Pass) Run(ctx context.Context, targets []Target) Report {
	p.shut = map[string]error{}
	if p.Records == nil {
		p.Records = new(Records)
	}
	var errs failures
	orders, stop := p.polite(ctx)
	defer stop()
	jobs := p.lookAll(ctx, targets, &errs)
	// Who has no certificate does not wait for what a CA says of others.
	late := p.Mood == Patient && slices.ContainsFunc(jobs, func(j *job) bool { return j.broken == nil && j.state.Leaf == nil })
	if !late {
		p.adviseAll(orders, jobs)
	}
	p.queryTLSA(orders, jobs)
	active := p.decideAll(jobs, &errs)
	p.deployAll(ctx, p.obtainAll(orders, active, &errs), &errs)
	p.refresh(active)
	p.adviseAll(orders, slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !late && j.ca == "" }))
	if orders.Err() != nil {
		errs.add(context.Cause(orders))
	}
	r := Report{Errs: errs.list, Next: p.nextAll(jobs)}
	for _, j := range jobs {
		r.Targets = append(r.Targets, TargetState{j.Target, j.state, j.broken})
	}
	for _, j := range active {
		p.step(j.Name, "")
		if j.ca != "" || j.taken || j.moved {
			r.Done = append(r.Done, Done{j.Name, j.decision.Action, j.ca, j.state.Leaf.NotAfter.UTC(), j.decision.Why})
		}
	}
	return r
}

// polite returns a context that ends when the pass is to yield, too.
func (p *Pass) polite(ctx context.Context) (context.Context, func()) {
	orders, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-p.Yield: // never, if there is none
			cancel(ErrYield)
		case <-orders.Done():
		}
	})
	return orders, func() {
		cancel(nil)
		watch.Wait()
	}
}

// lookAll reads the state of each target.
func (p *Pass) lookAll(ctx context.Context, targets []Target, errs *failures) []*job {
	jobs := make([]*job, 0, len(targets))
	for i, t := range targets {
		if ctx.Err() != nil {
			break
		}
		j := &job{Target: t, place: i}
		if j.state, j.broken = p.Records.LoadState(p.Store, t.Name); j.broken != nil {
			errs.add(&TargetError{[]string{t.Name}, "reading its state", j.broken})
		} else {
			p.retrySave(j)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// decideAll returns the jobs that need something.
func (p *Pass) decideAll(jobs []*job, errs *failures) []*job {
	var active []*job
	for _, j := range jobs {
		if j.broken != nil {
			continue
		}
		now := p.now()
		j.state.Opens = p.opens(now)
		LoadLimits(p.Limiter, j.Target, &j.state)
		d := Decide(now, j.Target, j.state, p.Mood)
		j.decision = d
		if d.Action == Issue || d.Action == Take || d.Action == Deploy {
			p.Log.Info("decided", "cert", j.Name, "action", string(d.Action), "why", d.Why)
			active = append(active, j)
			continue
		}
		p.Log.Debug("decided", "cert", j.Name, "action", string(d.Action), "why", d.Why, "at", d.At)
		if d.Action == Wait && p.Mood != Patient { // for a limit or a TLSA record: a manual pass does not wait for a backoff
			errs.add(&TargetError{[]string{j.Name}, "obtaining", p.refusedError(j, now)})
		}
	}
	return active
}

// refresh looks again at what was worked on.
func (p *Pass) refresh(jobs []*job) {
	for _, j := range jobs {
		if s, err := LoadState(p.Store, j.Name); err == nil && s.Leaf != nil {
			s.Record, s.Next = j.state.Record, j.state.Next
			j.state = s
		}
	}
}

// nextAll says when each target should be looked at again.
func (p *Pass) nextAll(jobs []*job) map[string]time.Time {
	now, next := p.now(), make(map[string]time.Time, len(jobs))
	soon := now.Add(time.Minute)
	for _, j := range jobs {
		if j.broken != nil {
			continue // at the next scheduled look
		}
		j.state.Opens = p.opens(now)
		LoadLimits(p.Limiter, j.Target, &j.state)
		at := soon // what is to be done now could not be
		if d := Decide(now, j.Target, j.state, Patient); d.Action == Wait || d.Action == None {
			at = d.At
			if meanwhile, _ := decideMeanwhile(now, j.Target, j.state, Patient); meanwhile.Action == Wait {
				at = earlier(at, meanwhile.At) // what is stored need not wait for the next order
			}
		}
		if _, ask := j.state.wanted(now, j.Target); p.Advisor != nil && !ask.IsZero() {
			at = earlier(at, later(ask, soon))
		}
		if query := j.state.Record.TLSA.QueryAt; p.Resolver != nil && len(j.TLSA) > 0 {
			at = earlier(at, later(query, soon))
		}
		next[j.Name] = later(at, now.Add(time.Second))
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// save writes the record of a job.
func (p *Pass) save(j *job) error { return p.Records.Save(p.Store, j.Name, j.state.Record) }

// saveDurably is save for what must survive a power failure.
func (p *Pass) saveDurably(j *job) error {
	return p.Records.SaveDurably(p.Store, j.Name, j.state.Record)
}

// retrySave writes a record again that the disk did not take.
func (p *Pass) retrySave(j *job) {
	rec, unsaved := p.Records.pending(p.Store, j.Name)
	if !unsaved {
		return
	}
	j.state.Record = rec
	if err := p.save(j); err != nil {
		p.Log.Warn("record not saved", "cert", j.Name, "err", err)
	}
}

// LoadState reads what is on disk of a target.
func LoadState(store *keypair.Store, name string) (State, error) {
	var s State
	var err error
	if s.Record, err = LoadRecord(store, name); err != nil {
		return s, err
	}
	leaf, version, fingerprint, err := store.NewestLeaf(name)
	if err != nil && none(err) {
		return s, nil // as good as no version at all
	}
	if err != nil {
		return s, err
	}
	s.Leaf, s.Version, s.Fingerprint = leaf, version, fingerprint
	live, err := store.LiveID(name)
	if s.Live = err == nil && live == version; s.Live {
		s.InUse = leaf
		return s, nil
	}
	if err == nil {
		leaf, _, _, err = store.LiveLeaf(name)
	}
	switch {
	case err == nil:
		s.InUse = leaf
	case !none(err):
		return s, err // it may well be there
	}
	return s, nil
}

// none reports whether there is nothing that could be used. That the disk keeps
// it from us is another matter.
func none(err error) bool {
	var broken *durable.BrokenError
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, &broken)
}

// recovered turns a panic into an error: one target must not end the process
// that keeps the others alive.
func (p *Pass) recovered(err *error, key, value string) {
	if v := recover(); v != nil {
		p.Log.Error("panicked", key, value, "value", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal fault: %v", v)
	}
}

// each calls do for 0 to n-1, as many at once as orders: what waits for the disk
// waits together.
func (p *Pass) each(n int, do func(i int)) {
	slots := make(chan struct{}, max(p.Parallel, 1))
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

func (p *Pass) now() time.Time {
	if p.Clock != nil {
		return p.Clock()
	}
	return time.Now().Round(0) // without the monotonic clock, which stands still in suspend
}

// opens is when deployments may begin; zero: now.
func (p *Pass) opens(now time.Time) time.Time {
	if p.Window == nil {
		return time.Time{}
	}
	return p.Window(now)
}

func (p *Pass) step(target, step string) {
	if p.Step != nil {
		p.Step(target, step)
	}
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// oneLine makes an error fit for a record.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
