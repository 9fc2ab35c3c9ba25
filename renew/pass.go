package renew

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"keypaird/renew/keypair"
)

// A Pass processes targets and does what each needs. The caller holds the state lock.
// It may be run again, not concurrently.
type Pass struct {
	Store        *keypair.Store                // required
	Records      *Records                      // shared with status documents; nil: only this pass uses them
	Observer     Observer                      // nil: nothing is counted
	Parallel     int                           // orders at once; zero means 1
	Mode         Mode                          // zero means Scheduled
	Beside       func() []Target               // the other targets in the deployments of those of the pass; may be nil
	DeployWindow func(now time.Time) time.Time // when deployments may begin, zero: now; nil: always
	Clock        func() time.Time              // the wall clock; nil means time.Now
	Yield        <-chan struct{}               // closed when the pass is to end early, with no harm done; may be nil
	Log          *slog.Logger                  // required
	Step         func(target, step string)     // receives what is being done; "" means done with the target; may be nil

	mu          sync.Mutex
	failedCAs   map[string]error // by CA: why no order can succeed there in this pass
	unreachable map[string]bool  // by CA: it cannot give renewal information at the moment
	fetching    sync.WaitGroup   // renewal information of new certificates, and what warms issuers
}

// An Observer counts what passes do.
type Observer interface {
	Ordered(ca string, took time.Duration, err error)
	Deployed(deployment string, took time.Duration, err error)
}

// ErrYield is the cause of a pass that ended early for another process.
var ErrYield = errors.New("stopped for another keypaird process")

// A Report is the result of a pass.
type Report struct {
	Done []Done
	Errs []error              // *TargetError; why it was interrupted, perhaps ErrYield, is the last
	Next map[string]time.Time // by target: when it should be looked at again

	Interrupted bool
	Targets     []TargetState // of all targets of the pass, as it left them
}

// A TargetState is a target with its State.
type TargetState struct {
	Target
	State State // zero if Err is set
	Err   error // the state cannot be read
}

// Done is the result of a pass for one target.
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
	return fmt.Sprintf("cert %s: %s: %v", keypair.Quoted(e.Targets), e.Step, e.Err)
}

func (e *TargetError) Unwrap() error { return e.Err }

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

// A job is one target on its way through a pass.
type job struct {
	Target
	index     int // among the targets of the pass
	state     State
	decision  Decision
	issuer    Issuer // that provided the newest version in this pass; nil: none did
	failed    bool   // obtaining did
	activated bool   // something now uses the newest version
	stateErr  error  // its state cannot be read
	unmade    error  // why nothing can be stored; nil: it can

	newest       keypair.Version // to be deployed
	previousLive keypair.Version // live when the pass began; ID "" if there was none or it is newest
	rollbackTo   keypair.Version // what deployments that failed went back to; ID "" if none did
	installed    bool            // newest may be in use somewhere

	asked  bool // for renewal information of its certificate
	answer atomic.Pointer[renewalAnswer]
}

// save writes the record of a job.
func (p *Pass) save(j *job) error { return p.Records.Save(p.Store, j.Name, j.state.Record) }

// saveOrWarn writes the record of a job after a step. That it fails changes nothing else.
func (p *Pass) saveOrWarn(j *job, step string) {
	if err := p.save(j); err != nil {
		p.Log.Warn("record not saved", "cert", j.Name, "step", step, "err", err)
	}
}

// recovered turns a panic into an error: one target must not end the process
// that keeps the others alive.
func (p *Pass) recovered(err *error, key, value string) {
	if v := recover(); v != nil {
		p.Log.Error("panicked", key, value, "value", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal fault: %v", v)
	}
}

// onDisk is how many jobs use the disk at once for one that uses the network: what
// waits for the disk waits together.
const onDisk = 4

// eachOnDisk is each for what uses the disk; with one order at once it is each.
func (p *Pass) eachOnDisk(n int, do func(i int)) {
	atOnce := 1
	if p.Parallel > 1 {
		atOnce = onDisk * p.Parallel
	}
	each(atOnce, n, do)
}

// each calls do for 0 to n-1, as many at once as orders.
func (p *Pass) each(n int, do func(i int)) { each(max(p.Parallel, 1), n, do) }

func each(atOnce, n int, do func(i int)) {
	slots := make(chan struct{}, atOnce)
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

// nextDeployWindow returns when deployments may begin; zero: now.
func (p *Pass) nextDeployWindow(now time.Time) time.Time {
	if p.DeployWindow == nil {
		return time.Time{}
	}
	return p.DeployWindow(now)
}

func (p *Pass) step(target, step string) {
	if p.Step != nil {
		p.Step(target, step)
	}
}
