package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/acme/orderlog"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
)

// levelQuiet is above every event: for commands that print results only.
const levelQuiet = slog.LevelError + 4

// load reads the configuration.
func (a *app) load() (*config.Config, error) {
	return config.Load(config.Options{Path: a.config, Getenv: a.env})
}

// A wiring is the configuration turned into parts that work together, each name
// in it resolved once.
type wiring struct {
	cfg         *config.Config
	log         *slog.Logger
	store       *keypair.Store
	subjects    []status.Subject // sorted by name
	targets     map[string]config.Target
	cas         map[string]*acme.Client
	orderLogs   map[string]*orderlog.Log // by CA
	http01      *http01.Solver
	accounts    map[string]*dns01.Account // by name of the [dns] table
	persist     *dns01.Persist
	deployments map[string]*hooks.Deployment
	window      *config.DeployWindow // nil: deployments may begin at any time
	files       watch
}

// wire makes the parts. It touches nothing but the state directory.
func (a *app) wire(cfg *config.Config, log *slog.Logger) (*wiring, error) {
	return a.wired(cfg, log, (*wiring).addCA)
}

// wireToLook is wire for those who only look at the state: there are no CAs,
// whose secrets and roots would have to be read.
func (a *app) wireToLook(cfg *config.Config, log *slog.Logger) (*wiring, error) {
	return a.wired(cfg, log, func(*wiring, string, *status.Metrics) error { return nil })
}

// An adder adds what goes by a name, if it is not there yet.
type adder func(w *wiring, name string, m *status.Metrics) error

func (a *app) wired(cfg *config.Config, log *slog.Logger, ca adder) (*wiring, error) {
	store, err := keypair.Open(cfg.State)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	w := &wiring{
		cfg: cfg, log: log, store: store,
		targets: map[string]config.Target{}, cas: map[string]*acme.Client{}, orderLogs: map[string]*orderlog.Log{},
		accounts: map[string]*dns01.Account{}, deployments: map[string]*hooks.Deployment{},
		persist: &dns01.Persist{Log: log},
		http01: &http01.Solver{
			Dir: filepath.Join(cfg.State, "http-01"), Listen: cfg.HTTP01.Listen, Webroot: cfg.HTTP01.Webroot, Log: log,
		},
	}
	if w.window, err = config.NewDeployWindow(cfg.Window); err != nil {
		store.Close()
		return nil, fmt.Errorf("window: %w", err)
	}
	for _, t := range cfg.Targets() {
		if err := w.add(t, ca, a.metrics); err != nil {
			store.Close()
			return nil, err
		}
	}
	w.files.settled(w.subjects) // as they are before anybody takes them
	return w, nil
}

// add wires one target and whatever it needs that is not there yet.
func (w *wiring) add(t config.Target, ca adder, m *status.Metrics) error {
	s := status.Subject{
		Target: renew.Target{Name: t.Name, KeyType: t.Key, CAs: t.SignWith, Profile: t.Profile, Deploy: t.Deploy, TLSA: t.TLSA},
		Proofs: map[string]string{}, Verifies: map[string]bool{}, Endpoints: map[string][]string{}, Limiter: w, Window: w.opens(),
	}
	for _, p := range t.Challenges {
		s.Names = append(s.Names, p.Name)
		s.Proofs[p.Name] = p.Type
		if p.Type == acme.DNS01 {
			w.addAccount(p.Account)
		}
	}
	for _, name := range t.SignWith {
		w.addOrderLog(name)
		if err := ca(w, name, m); err != nil {
			return err
		}
	}
	for _, name := range t.Deploy {
		if w.deployments[name] == nil {
			d := w.cfg.Deployment(name)
			d.Log = w.log
			w.deployments[name] = &d
		}
		for _, e := range w.deployments[name].Verify {
			s.Verifies[name] = true
			s.Endpoints[name] = append(s.Endpoints[name], e.String())
		}
	}
	s.External = externalOf(t)
	w.targets[t.Name] = t
	w.subjects = append(w.subjects, s)
	return nil
}

// opens is the window of deployments as others know it.
func (w *wiring) opens() func(time.Time) time.Time {
	if w.window == nil {
		return nil
	}
	return w.window.Next
}

// standing returns the subjects as they are now: the manners of their
// deployments tell of files that have gone. With names, only those.
func (w *wiring) standing(names map[string]bool) []status.Subject {
	sums := make(map[string]string, len(w.deployments))
	for name, d := range w.deployments {
		sums[name] = sum(d)
	}
	var list []status.Subject
	for _, s := range w.subjects {
		if names != nil && !names[s.Name] {
			continue
		}
		if s.External != nil {
			s = w.bought(s)
		}
		s.Manner = make(map[string]renew.Manner, len(s.Deploy))
		for _, name := range s.Deploy {
			s.Manner[name] = renew.Manner{Sum: sums[name], Lost: lost(w.deployments[name], s.Name)}
		}
		list = append(list, s)
	}
	return list
}

// sum sums up how a deployment is done, so that a changed [deploy] table is
// carried out without an order.
func sum(d *hooks.Deployment) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %o %o %q %q %q %v", d.Chain, d.Key, d.Combined,
		d.Owner, d.Group, d.ChainMode, d.KeyMode, d.Check, d.Reload, d.Socket, d.Verify))
	return hex.EncodeToString(h[:8])
}

// lost reports whether a file of a deployment is gone, to be put back.
func lost(d *hooks.Deployment, target string) bool {
	for _, file := range d.Paths(target) {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func (w *wiring) addAccount(name string) {
	if w.accounts[name] != nil {
		return
	}
	d := w.cfg.DNS[name]
	w.accounts[name] = &dns01.Account{
		Name: name, Provider: d.Provider, Env: d.Env, Resolvers: d.Resolvers,
		Propagation: d.Propagation.Duration, User: d.User, Log: w.log,
	}
}

func (w *wiring) addOrderLog(ca string) {
	if w.orderLogs[ca] == nil {
		known, _ := acme.BuiltIn(ca)
		w.orderLogs[ca] = acme.NewOrderLog(known, w.accountDir(ca))
	}
}

func (w *wiring) accountDir(ca string) string { return filepath.Join(w.cfg.State, "accounts", ca) }

func (w *wiring) addCA(name string, m *status.Metrics) error {
	if w.cas[name] != nil {
		return nil
	}
	ca, err := w.cfg.Authority(name)
	if err != nil {
		return err
	}
	o := acme.Options{
		CA: ca, Dir: w.accountDir(name), OrderLog: w.orderLogs[name], Email: w.cfg.Email,
		UserAgent: "keypaird/" + programVersion().Version, Log: w.log,
	}
	if m != nil {
		o.Observe = func(x acme.Exchange) { m.Request(x.CA, x.Resource, x.Status, x.Took) }
	}
	w.cas[name] = acme.NewClient(o)
	return nil
}

// endLimit is how long the end of a pass waits for DNS children that still
// remove their records; those that hang take a second more.
const endLimit = 7 * time.Second

// rest ends what a pass that was interrupted has left running: DNS children,
// which others end by themselves, with their last clean-up.
func (w *wiring) rest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	var ends sync.WaitGroup
	for name, a := range w.accounts {
		ends.Go(func() {
			if err := a.Close(ctx); err != nil {
				w.log.Warn("dns account not ended well", "account", name, "err", err, "remedy", renew.Remedy(err))
			}
		})
	}
	ends.Wait()
}

// close lets go of everything, when no pass runs.
func (w *wiring) close() {
	for _, c := range w.cas {
		c.Close()
	}
	w.store.Close()
}

// end is rest and close, for commands.
func (w *wiring) end(ctx context.Context) {
	w.http01.Close()
	w.rest(ctx)
	w.close()
}

// activated reports whether the service manager holds the socket for http-01.
func (w *wiring) activated() bool { return strings.HasPrefix(w.cfg.HTTP01.Listen, "fd:") }

func (w *wiring) lockPath() string { return filepath.Join(w.cfg.State, "lock") }

// pass returns one look at the targets.
func (w *wiring) pass(mood renew.Mood) *renew.Pass {
	return &renew.Pass{
		Store: w.store, Obtainer: w, Deployer: w, Limiter: w, Advisor: w, Resolver: w, Parallel: w.cfg.Parallel, Mood: mood, Window: w.opens(), Log: w.log,
	}
}
