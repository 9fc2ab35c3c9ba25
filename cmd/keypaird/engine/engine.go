package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/acme/selftest"
	"keypaird/acme/tlsalpn01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/schedule"
	"keypaird/cmd/keypaird/version"
	"keypaird/hooks"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rights"
	"keypaird/renew/status"
)

// An Engine is a configuration turned into parts that work together.
type Engine struct {
	Config      *config.Config
	Store       *keypair.Store
	Targets     []renew.Target           // sorted by name
	Settings    map[string]config.Target // by name of a target: what the configuration says of it
	HTTP01      *http01.Solver
	TLSALPN01   *tlsalpn01.Solver
	Tests       map[string]*selftest.Test // of those two, by challenge type
	Accounts    map[string]*dns01.Account // by name of the [dns] table
	Persist     *dns01.Persist
	Deployments map[string]*hooks.Deployment

	options   Options
	recent    *dns01.Recent
	window    *schedule.Window         // nil: deployments may begin at any time
	orderLogs map[string]acme.OrderLog // by CA
	openings  map[string]*opening      // by CA
	warned    map[string]bool          // files that others can read, of which the log has a warning

	mu  sync.Mutex
	cas map[string]*acme.Client // those made so far
}

// Options configure an Engine beside its configuration.
type Options struct {
	Log      *slog.Logger
	Observe  func(acme.Exchange) // called after each exchange with a CA; nil: none is reported
	DryRun   string              // directory for what is issued in a dry run, see rehearsed; "": it is none
	Twinless bool                // a dry run leaves out targets with a CA that has no twin
	Listener *listener.Process   // answers challenges at sockets; nil: this process does
	Shared   Shared              // not in a dry run
}

// notOpened is the error for a state directory that cannot be opened.
func notOpened(err error) error {
	remedy := problem.Remedy(err)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		remedy = "move that file out of the way, or name another directory as state in the configuration"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		remedy = "run this as root, or name a directory of this user as state in the configuration"
	}
	return problem.Wrap(fmt.Errorf("opening the state directory: %w", err), remedy)
}

// New makes an Engine. It touches nothing but the state directory. A CA client is
// made when it is first used.
func New(cfg *config.Config, o Options) (*Engine, error) {
	window, err := schedule.NewWindow(cfg.Window)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if err := durable.MakeDir(cfg.State); err != nil {
		return nil, notOpened(err)
	}
	store, err := keypair.Open(cmp.Or(o.DryRun, cfg.State))
	if err != nil {
		return nil, notOpened(err)
	}
	e := &Engine{
		Config: cfg, Store: store, Settings: map[string]config.Target{},
		Accounts: map[string]*dns01.Account{}, Deployments: map[string]*hooks.Deployment{},
		Persist: &dns01.Persist{Log: o.Log},
		HTTP01: &http01.Solver{
			Dir: filepath.Join(cfg.State, "http-01"), Listen: cfg.HTTP01.Listen, Webroot: cfg.HTTP01.Webroot, Log: o.Log,
		},
		TLSALPN01: &tlsalpn01.Solver{Dir: filepath.Join(cfg.State, "tls-alpn-01"), Listen: cfg.TLSALPN.Listen, Log: o.Log},
		Tests:     selfTests(cfg, o.Log),
		recent:    &dns01.Recent{Path: filepath.Join(cfg.State, "dns-01.json"), Log: o.Log},
		options:   o, window: window, cas: map[string]*acme.Client{}, orderLogs: map[string]acme.OrderLog{}, openings: map[string]*opening{}, warned: map[string]bool{},
	}
	if o.DryRun != "" {
		e.options.Shared = Shared{}
	}
	if o.Listener != nil {
		e.HTTP01.Serve, e.TLSALPN01.Serve = o.Listener.Challenges(listener.HTTP01), o.Listener.Challenges(listener.TLSALPN01)
	}
	targets := cfg.Targets()
	e.Targets = make([]renew.Target, 0, len(targets))
	for _, t := range targets {
		if o.DryRun != "" {
			if t, err = rehearsed(cfg, t, o); err != nil {
				e.Close()
				return nil, err
			}
			if len(t.Challenges) == 0 {
				continue
			}
		}
		e.Settings[t.Name] = t
		e.Targets = append(e.Targets, e.bind(t))
	}
	return e, nil
}

// rehearsed returns a target for a dry run: ordered at the staging twins of its CAs, and
// not deployed. One without challenges is left out, as external ones are.
func rehearsed(cfg *config.Config, t config.Target, o Options) (config.Target, error) {
	t.Deploy, t.TLSA = nil, nil
	twins := make([]string, 0, len(t.SignWith))
	for _, ca := range t.SignWith {
		known, err := cfg.Authority(ca)
		twin := known.Staging
		switch {
		case err != nil:
			return t, err
		case known.Test:
			twin = ca
		case twin == "" && o.Twinless:
			o.Log.Warn("no dry run, since the CA has no twin for tests", "cert", t.Name, "ca", ca)
			return config.Target{}, nil
		case twin == "":
			return t, problem.Newf("set staging in [ca."+ca+"] to a CA for tests, which has a [ca] table, too", "%s has no twin for tests", ca)
		}
		if !slices.Contains(twins, twin) {
			twins = append(twins, twin)
		}
	}
	t.SignWith = twins
	return t, nil
}

// bind makes a target with its issuers and deployers, and the accounts and deployments that
// they need.
func (e *Engine) bind(t config.Target) renew.Target {
	out := renew.Target{
		Name: t.Name, KeyType: t.Key, Profile: t.Profile, TLSA: t.TLSA,
		Domain: t.Identity, Components: t.Components,
	}
	var accounts []*dns01.Account
	for _, c := range t.Challenges {
		out.Names, out.Challenges = append(out.Names, c.Name), append(out.Challenges, c.Type)
		if a, ok := e.solver(c).(*dns01.Account); ok && !slices.Contains(accounts, a) {
			accounts = append(accounts, a)
		}
	}
	if x := ExternalOf(t); x != nil {
		out.Issuers = []renew.Issuer{x}
	}
	orders := orders{dir: PendingDir(e.Store, t.Name, "")}
	for _, ca := range t.SignWith {
		orders.at = append(orders.at, e.options.Shared.orders(t.Name, ca, PendingDir(e.Store, t.Name, ca)))
	}
	for n, ca := range t.SignWith {
		if e.openings[ca] == nil {
			e.openings[ca] = new(opening)
		}
		out.Issuers = append(out.Issuers, &issuer{
			name: ca, warm: e.warm(t), client: func() (*acme.Client, error) { return e.CA(ca) }, opening: e.openings[ca], log: e.orderLog(ca), orders: orders, accounts: accounts,
			methods: func() map[string]acme.Method { return e.methods(out.Name) },
			request: acme.Request{
				Target: t.Name, Names: out.Names, Profile: t.Profile, PreferredChain: t.PreferredChain,
				Pending: orders.at[n],
			},
		})
	}
	for _, name := range t.Deploy {
		out.Deploy = append(out.Deploy, e.deployment(name))
	}
	if len(t.TLSA) > 0 {
		out.Resolver = e.resolver(t)
	}
	if e.options.Shared.Target != nil {
		out.Sharing = e.options.Shared.Target(out)
	}
	return out
}

// methods returns how each name of a target is validated.
func (e *Engine) methods(target string) map[string]acme.Method {
	methods := map[string]acme.Method{}
	for _, c := range e.Settings[target].Challenges {
		methods[c.Name] = acme.Method{Type: c.Type, Solver: e.solver(c)}
	}
	return methods
}

// Select returns the targets called names, or all if names is nil.
func (e *Engine) Select(names map[string]bool) []renew.Target {
	if names == nil {
		return e.Targets
	}
	var list []renew.Target
	for _, t := range e.Targets {
		if names[t.Name] {
			list = append(list, t)
		}
	}
	return list
}

// Beside returns the other targets in the deployments of some targets. A pass asks for them
// when it has found something to do: this process gives up its rights then, before it
// changes a file, and while no thread waits for the disk, which takes least time.
func (e *Engine) Beside(some []renew.Target) []renew.Target {
	_ = rights.Drop() // an error comes back when something needs the rights dropped
	names, deployers := map[string]bool{}, map[renew.Deployer]bool{}
	for _, t := range some {
		names[t.Name] = true
		for _, d := range t.Deploy {
			deployers[d] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(e.Targets), func(t renew.Target) bool {
		return names[t.Name] || !slices.ContainsFunc(t.Deploy, func(d renew.Deployer) bool { return deployers[d] })
	})
}

// Status returns the source of a status document of targets.
func (e *Engine) Status(targets []renew.Target, records *renew.Records) status.Source {
	return status.Source{
		Store: e.Store, Targets: targets, Records: records, NextDeployWindow: e.nextDeployWindow,
		StandIn: e.standInOf, Unconfigured: e.Unconfigured, Left: e.left, Exposed: e.Exposed,
	}
}

// solver returns the solver of the challenges of one name.
func (e *Engine) solver(c config.Challenge) acme.Solver {
	switch c.Type {
	case acme.DNS01:
		return e.account(c.Account)
	case acme.DNSPersist01:
		return e.Persist
	case acme.TLSALPN01:
		return e.tested(c.Type, e.TLSALPN01, e.Config.TLSALPN.SelfTest)
	}
	return e.options.Shared.tokens(e.tested(c.Type, e.HTTP01, e.Config.HTTP01.SelfTest))
}

// deployment returns the deployment called name, which targets share.
func (e *Engine) deployment(name string) *hooks.Deployment {
	if e.Deployments[name] == nil {
		d := e.Config.Deployment(name)
		d.Log = e.options.Log
		e.Deployments[name] = &d
	}
	return e.Deployments[name]
}

// resolver returns the resolver for the TLSA records of a target. Those of a host are
// queried at the resolvers of the account that solves its challenges, which may know no
// other zone; else at its authoritative servers.
func (e *Engine) resolver(t config.Target) resolver {
	r := resolver{}
	for _, name := range t.TLSA {
		_, host, _ := hostname.TLSA(name)
		checker := dns01.Checker{Log: e.options.Log}
		for _, c := range t.Challenges {
			if a := e.Accounts[c.Account]; a != nil && hostname.Covers(c.Name, host, false) {
				if checker.Resolvers = a.Resolvers; c.Name == host {
					break
				}
			}
		}
		r[name] = checker
	}
	return r
}

// TypeExternal stands for an external certificate where others have the type of
// challenge that validates a name.
const TypeExternal = "external"

// ExternalOf returns the issuer of an external certificate; nil: the target is ordered at
// CAs.
func ExternalOf(t config.Target) *renew.External {
	if t.External == (config.External{}) {
		return nil
	}
	return &renew.External{Source: keypair.Source{Chain: t.External.Chain, Key: t.External.Key}, Target: t.Name}
}

// Names returns the names that the certificate of a target is for. Those of an
// external certificate are the names of the newest that was imported; none if none
// was.
func (e *Engine) Names(t renew.Target) []string {
	if t.External() == nil {
		return t.Names
	}
	leaf, _, _, err := e.Store.NewestLeaf(t.Name)
	if err != nil {
		return nil
	}
	return keypair.Names(leaf)
}

// nextDeployWindow returns when deployments may begin; zero: now.
func (e *Engine) nextDeployWindow(now time.Time) time.Time {
	if e.window == nil {
		return time.Time{}
	}
	return e.window.Next(now)
}

// account returns the DNS account of the [dns] table called name.
func (e *Engine) account(name string) *dns01.Account {
	if e.Accounts[name] == nil {
		a := NewAccount(e.Config, name)
		a.Log, a.Recent, a.Note = e.options.Log, e.recent, e.options.Shared.TXT
		e.Accounts[name] = a
	}
	return e.Accounts[name]
}

// NewAccount makes the account of a [dns] table.
func NewAccount(cfg *config.Config, name string) *dns01.Account {
	d := cfg.DNS[name]
	return &dns01.Account{
		Name: name, Provider: d.Provider, Env: d.Env, Resolvers: d.Resolvers,
		Propagation: d.Propagation.Duration, User: d.User,
	}
}

// orderLog returns the order log of a CA.
func (e *Engine) orderLog(ca string) acme.OrderLog {
	if e.orderLogs[ca] == nil {
		e.orderLogs[ca] = e.options.Shared.orderLog(ca, e.accountDir(ca))
	}
	return e.orderLogs[ca]
}

func (e *Engine) accountDir(ca string) string { return AccountDir(e.Config.State, ca) }

// CA returns the client of the CA called name.
func (e *Engine) CA(name string) (*acme.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.cas[name]; c != nil {
		return c, nil
	}
	ca, err := e.Config.Authority(name)
	if err != nil {
		return nil, err
	}
	var c *acme.Client
	c = acme.NewClient(acme.Options{
		CA: ca, Account: e.options.Shared.account(name, e.accountDir(name)), OrderLog: e.orderLog(name), Email: e.Config.Email,
		UserAgent: "keypaird/" + version.Program().Version, Log: e.options.Log, Permit: e.options.Shared.Permit,
		Observe: func(x acme.Exchange) { e.observe(x, c) },
	})
	e.cas[name] = c
	return c, nil
}

// observe is called after each exchange with a CA.
func (e *Engine) observe(x acme.Exchange, c *acme.Client) {
	if e.options.Observe != nil {
		e.options.Observe(x)
	}
	if ahead, known := c.Clock(); known && x.Status != 0 && e.options.Shared.Clock != nil {
		e.options.Shared.Clock(ahead)
	}
}

// CAs returns the clients of all CAs that targets use, by name.
func (e *Engine) CAs() (map[string]*acme.Client, error) {
	all := map[string]*acme.Client{}
	for _, t := range e.Targets {
		for _, name := range t.CAs() {
			c, err := e.CA(name)
			if err != nil {
				return nil, err
			}
			all[name] = c
		}
	}
	return all, nil
}

// endLimit is how long the end of a pass waits for DNS children that still
// remove their records; those that hang take a second more.
const endLimit = 7 * time.Second

// CloseAccounts ends the DNS children that an interrupted pass has left running; otherwise
// the last clean-up of a pass ends them.
func (e *Engine) CloseAccounts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	var ends sync.WaitGroup
	for name, a := range e.Accounts {
		ends.Go(func() {
			if err := a.Close(ctx); err != nil {
				e.options.Log.Warn("DNS helper exited with error", "account", name, "err", err, "remedy", renew.Remedy(err))
			}
		})
	}
	ends.Wait()
}

// Close closes the CA clients and the store. No pass may be running.
func (e *Engine) Close() {
	for _, c := range e.cas {
		c.Close()
	}
	e.Store.Close()
}

// shutdown ends what a command began and closes the Engine.
func (e *Engine) shutdown(ctx context.Context) {
	e.ClosePorts(false)
	e.CloseAccounts(ctx)
	e.Close()
}

// LockPath returns the path of the lock of the state directory.
func (e *Engine) LockPath() string { return filepath.Join(e.Config.State, "lock") }

// Pass returns a pass over the targets.
func (e *Engine) Pass(mode renew.Mode) *renew.Pass {
	return &renew.Pass{
		Store: e.Store, Parallel: e.Config.Parallel, Mode: mode, DeployWindow: e.nextDeployWindow, Log: e.options.Log,
	}
}
