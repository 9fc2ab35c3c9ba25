package engine

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

// An Engine is a configuration turned into parts that work together.
type Engine struct {
	Config      *config.Config
	Store       *keypair.Store
	Subjects    []status.Subject // sorted by name, as they were at the start; see Current
	Targets     map[string]config.Target
	HTTP01      *http01.Solver
	Accounts    map[string]*dns01.Account // by name of the [dns] table
	Persist     *dns01.Persist
	Deployments map[string]*hooks.Deployment

	options   Options
	window    *config.DeployWindow     // nil: deployments may begin at any time
	orderLogs map[string]*orderlog.Log // by CA

	mu  sync.Mutex
	cas map[string]*acme.Client // those made so far
}

// Options are what an Engine needs beside its configuration.
type Options struct {
	Log       *slog.Logger
	UserAgent string              // sent to CAs
	Observe   func(acme.Exchange) // called after each exchange with a CA; nil: none is reported
}

// New makes an Engine. It touches nothing but the state directory. A CA client is
// made when it is first used.
func New(cfg *config.Config, o Options) (*Engine, error) {
	window, err := config.NewDeployWindow(cfg.Window)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	store, err := keypair.Open(cfg.State)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	e := &Engine{
		Config: cfg, Store: store, Targets: map[string]config.Target{},
		Accounts: map[string]*dns01.Account{}, Deployments: map[string]*hooks.Deployment{},
		Persist: &dns01.Persist{Log: o.Log},
		HTTP01: &http01.Solver{
			Dir: filepath.Join(cfg.State, "http-01"), Listen: cfg.HTTP01.Listen, Webroot: cfg.HTTP01.Webroot, Log: o.Log,
		},
		options: o, window: window, cas: map[string]*acme.Client{}, orderLogs: map[string]*orderlog.Log{},
	}
	for _, t := range cfg.Targets() {
		e.add(t)
	}
	return e, nil
}

// add wires one target and whatever it needs that is not there yet.
func (e *Engine) add(t config.Target) {
	s := status.Subject{
		Target:     renew.Target{Name: t.Name, KeyType: t.Key, CAs: t.SignWith, Profile: t.Profile, Deploy: t.Deploy, TLSA: t.TLSA},
		Challenges: map[string]string{}, Verifies: map[string]bool{}, Endpoints: map[string][]string{}, Limiter: e, Window: e.opens(),
	}
	for _, p := range t.Challenges {
		s.Names = append(s.Names, p.Name)
		s.Challenges[p.Name] = p.Type
		if p.Type == acme.DNS01 {
			e.addAccount(p.Account)
		}
	}
	for _, name := range t.SignWith {
		e.addOrderLog(name)
	}
	for _, name := range t.Deploy {
		if e.Deployments[name] == nil {
			d := e.Config.Deployment(name)
			d.Log = e.options.Log
			e.Deployments[name] = &d
		}
		for _, e := range e.Deployments[name].Verify {
			s.Verifies[name] = true
			s.Endpoints[name] = append(s.Endpoints[name], e.String())
		}
	}
	s.External = ExternalOf(t)
	e.Targets[t.Name] = t
	e.Subjects = append(e.Subjects, s)
}

// opens is the window of deployments as others know it.
func (e *Engine) opens() func(time.Time) time.Time {
	if e.window == nil {
		return nil
	}
	return e.window.Next
}

// Current returns the subjects as they are now: the manners of their
// deployments tell of files that have gone. With names, only those.
func (e *Engine) Current(names map[string]bool) []status.Subject {
	sums := make(map[string]string, len(e.Deployments))
	for name, d := range e.Deployments {
		sums[name] = sum(d)
	}
	var list []status.Subject
	for _, s := range e.Subjects {
		if names != nil && !names[s.Name] {
			continue
		}
		if s.External != nil {
			s = e.external(s)
		}
		s.Specs = make(map[string]renew.DeploySpec, len(s.Deploy))
		for _, name := range s.Deploy {
			s.Specs[name] = renew.DeploySpec{ConfigHash: sums[name], FilesMissing: lost(e.Deployments[name], s.Name)}
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

func (e *Engine) addAccount(name string) {
	if e.Accounts[name] != nil {
		return
	}
	d := e.Config.DNS[name]
	e.Accounts[name] = &dns01.Account{
		Name: name, Provider: d.Provider, Env: d.Env, Resolvers: d.Resolvers,
		Propagation: d.Propagation.Duration, User: d.User, Log: e.options.Log,
	}
}

func (e *Engine) addOrderLog(ca string) {
	if e.orderLogs[ca] == nil {
		known, _ := acme.BuiltIn(ca)
		e.orderLogs[ca] = acme.NewOrderLog(known, e.accountDir(ca))
	}
}

func (e *Engine) accountDir(ca string) string { return filepath.Join(e.Config.State, "accounts", ca) }

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
	c := acme.NewClient(acme.Options{
		CA: ca, Dir: e.accountDir(name), OrderLog: e.orderLogs[name], Email: e.Config.Email,
		UserAgent: e.options.UserAgent, Log: e.options.Log, Observe: e.options.Observe,
	})
	e.cas[name] = c
	return c, nil
}

// CAs returns the clients of all CAs that targets use, by name.
func (e *Engine) CAs() (map[string]*acme.Client, error) {
	all := map[string]*acme.Client{}
	for _, s := range e.Subjects {
		for _, name := range s.CAs {
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

// CloseAccounts ends what a pass that was interrupted has left running: DNS children,
// which others end by themselves, with their last clean-up.
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

// Close lets go of everything, when no pass runs.
func (e *Engine) Close() {
	for _, c := range e.cas {
		c.Close()
	}
	e.Store.Close()
}

// Shutdown ends what a command began and closes the Engine.
func (e *Engine) Shutdown(ctx context.Context) {
	e.HTTP01.Close()
	e.CloseAccounts(ctx)
	e.Close()
}

// SocketActivated reports whether the service manager holds the socket for http-01.
func (e *Engine) SocketActivated() bool { return strings.HasPrefix(e.Config.HTTP01.Listen, "fd:") }

func (e *Engine) LockPath() string { return filepath.Join(e.Config.State, "lock") }

// Pass returns a pass over the targets.
func (e *Engine) Pass(mode renew.Mode) *renew.Pass {
	return &renew.Pass{
		Store: e.Store, Obtainer: e, Deployer: e, Limiter: e, RenewalInfo: e, Resolver: e, Parallel: e.Config.Parallel, Mode: mode, DeployWindow: e.opens(), Log: e.options.Log,
	}
}

// TargetsOf returns the targets of subjects.
func TargetsOf(subjects []status.Subject) []renew.Target {
	list := make([]renew.Target, len(subjects))
	for i, s := range subjects {
		list[i] = s.Target
	}
	return list
}
