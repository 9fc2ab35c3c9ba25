package renew

import (
	"context"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/testutil"
)

// A world is a store, a CA and a proxy. Both do as they are told by their
// functions, and well where there is none.
type world struct {
	specs map[string]DeploySpec // by target, in place of the deployer's
	store *keypair.Store
	log   *slog.Logger

	mu        sync.Mutex
	obtained  []string   // targets, in the order they were asked for
	asked     []string   // CAs, likewise
	orders    []Order    // likewise
	deployed  [][]Change // each call
	forgotten []string   // targets, with the serial number of what they have

	obtain  func(ctx context.Context, t Target) error
	certify func(t Target, o Order) (*keypair.Pair, error) // nil: a new key is certified
	at      func(ca string) error
	deploy  func(ctx context.Context, deployment string, changes []Change) ([]Outcome, error)
	suggest func(ca string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) // nil: no CA is asked

	results []Result // of each deployment; nil: as deploy says

	yield chan struct{}
	limit func(ca string) Limit // nil: there is none
}

func newWorld(t testing.TB) *world {
	t.Helper()
	store, err := keypair.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &world{store: store, log: slog.New(slog.DiscardHandler)}
}

var (
	must     = testutil.Must
	issue    = pairtest.Issue
	issueFor = pairtest.IssueFor
)

// A testCA is an Issuer of one target. Until the target is bound to a world, it is
// a name only.
type testCA struct {
	world  *world
	name   string
	target Target
}

// An askedCA is a testCA that has renewal information.
type askedCA struct{ *testCA }

// A testDeployer is a Deployer. Until its target is bound to a world, it is a name
// and a specification only.
type testDeployer struct {
	world *world
	name  string
	spec  DeploySpec
}

// cas are CAs for targets that are not bound yet.
func cas(names ...string) (list []Issuer) {
	for _, name := range names {
		list = append(list, &testCA{name: name})
	}
	return list
}

// deployments are deployments for targets that are not bound yet.
func deployments(names ...string) []Deployer { return deploymentsAs(DeploySpec{}, names...) }

func deploymentsAs(spec DeploySpec, names ...string) (list []Deployer) {
	for _, name := range names {
		list = append(list, testDeployer{name: name, spec: spec})
	}
	return list
}

// bind binds targets to the world.
func (w *world) bind(targets ...Target) []Target {
	targets = slices.Clone(targets)
	for i, t := range targets {
		var issuers []Issuer
		for _, issuer := range t.Issuers {
			ca, ok := issuer.(*testCA)
			switch {
			case !ok:
				issuers = append(issuers, issuer)
			case w.suggest != nil:
				issuers = append(issuers, askedCA{&testCA{w, ca.name, t}})
			default:
				issuers = append(issuers, &testCA{w, ca.name, t})
			}
		}
		var deploy []Deployer
		for _, d := range t.Deploy {
			d := d.(testDeployer)
			d.world = w
			deploy = append(deploy, d)
		}
		targets[i].Issuers, targets[i].Deploy = issuers, deploy
	}
	return targets
}

func (c *testCA) String() string { return c.name }

func (c *testCA) Obtain(ctx context.Context, o Order) (*keypair.Pair, error) {
	w, t := c.world, c.target
	w.mu.Lock()
	w.obtained, w.asked, w.orders = append(w.obtained, t.Name), append(w.asked, c.name), append(w.orders, o)
	w.mu.Unlock()
	o.Step("ordering")
	if w.obtain != nil {
		if err := w.obtain(ctx, t); err != nil {
			return nil, err
		}
	}
	if w.at != nil {
		if err := w.at(c.name); err != nil {
			return nil, err
		}
	}
	if w.certify != nil {
		return w.certify(t, o)
	}
	return issue(t.Names, time.Now(), 90*day)
}

func (c *testCA) Forget(stored *x509.Certificate) (bool, error) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.world.forgotten = append(c.world.forgotten, c.target.Name+" "+stored.SerialNumber.String())
	return true, nil
}

func (c *testCA) Limit(*x509.Certificate) Limit {
	if c.world == nil || c.world.limit == nil {
		return Limit{}
	}
	return c.world.limit(c.name)
}

func (c askedCA) RenewalInfo(_ context.Context, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
	return c.world.suggest(c.name, leaf)
}

func (d testDeployer) String() string { return d.name }

func (d testDeployer) Endpoints() []string { return nil }

func (d testDeployer) Probe(_ context.Context, changes []Change) []Result {
	return make([]Result, len(changes))
}

func (d testDeployer) Paths(target string) []string { return []string{"/etc/" + target + ".pem"} }

func (d testDeployer) Spec(target string) DeploySpec {
	if d.world != nil {
		if spec, ok := d.world.specs[target]; ok {
			return DeploySpec{ConfigHash: spec.ConfigHash, Signature: spec.Signature}
		}
	}
	return d.spec
}

func (d testDeployer) Inspect(target string, should *keypair.Pair) Inspection {
	i := d.spec.Inspection
	if d.world != nil {
		if spec, ok := d.world.specs[target]; ok {
			i = spec.Inspection
		}
	}
	if i.Newer != nil && i.Newer.Leaf.Equal(should.Leaf) {
		return Inspection{}
	}
	return i
}

// Deploy does what the world's function says. Without an error all are Verified;
// without outcomes it is not known how far each got.
func (d testDeployer) Deploy(ctx context.Context, changes []Change) []Result {
	w := d.world
	w.mu.Lock()
	w.deployed = append(w.deployed, changes)
	w.mu.Unlock()
	results := make([]Result, len(changes))
	if w.results != nil {
		return w.results
	}
	if w.deploy == nil {
		return results
	}
	outcomes, err := w.deploy(ctx, d.name, changes)
	for i := range results {
		results[i] = Result{Outcome: Installed, Err: err}
		if i < len(outcomes) {
			results[i].Outcome = outcomes[i]
		}
	}
	return results
}

// loadState reads the state of a target by its name alone.
func loadState(store *keypair.Store, name string) (State, error) {
	return LoadState(store, Target{Name: name})
}

// pass is one look at targets.
func (w *world) pass(ctx context.Context, mode Mode, targets ...Target) ([]Done, []error) {
	r := w.report(ctx, mode, targets...)
	return r.Done, r.Errs
}

func (w *world) report(ctx context.Context, mode Mode, targets ...Target) Report {
	p := Pass{Store: w.store, Parallel: 4, Mode: mode, Yield: w.yield, Log: w.log}
	return p.Run(ctx, w.bind(targets...))
}

// counts are how often the CA and the proxy were asked so far.
func (w *world) counts() [2]int { return [2]int{len(w.obtained), len(w.deployed)} }

// named are targets for hosts of their own, all for the deployment relayd.
func named(names ...string) []Target {
	var ts []Target
	for _, name := range names {
		ts = append(ts, Target{Name: name, Names: []string{name + ".test"}, KeyType: "ec256", Issuers: cas("le"), Deploy: deployments("relayd")})
	}
	return ts
}

// wantErrors checks that each error is one line with its text.
func wantErrors(t *testing.T, errs []error, texts ...string) {
	t.Helper()
	if len(errs) != len(texts) {
		t.Fatalf("errors = %v, want %q", errs, texts)
	}
	for i, text := range texts {
		if got := errs[i].Error(); !strings.Contains(got, text) || strings.Contains(got, "\n") {
			t.Errorf("error %d = %q, want one line with %q", i, got, text)
		}
	}
}

// threeInTheMorning is the window "* 3 * * *".
func threeInTheMorning(now time.Time) time.Time {
	if now.Hour() == 3 {
		return time.Time{}
	}
	opens := time.Date(now.Year(), now.Month(), now.Day(), 3, 0, 0, 0, now.Location())
	if !opens.After(now) {
		opens = opens.AddDate(0, 0, 1)
	}
	return opens
}
