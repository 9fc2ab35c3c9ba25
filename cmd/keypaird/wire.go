package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/hooks"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
)

// levelQuiet is above every event: for commands that print results only.
const levelQuiet = slog.LevelError + 4

// load reads the configuration.
func (a *app) load() (*Config, error) { return LoadConfig(a.config, a.env) }

// A wiring is the configuration turned into parts that work together, each name
// in it resolved once.
type wiring struct {
	cfg         *Config
	log         *slog.Logger
	store       *keypair.Store
	subjects    []status.Subject // sorted by name
	targets     map[string]TargetConfig
	cas         map[string]*acme.Client
	http01      *http01.Solver
	accounts    map[string]*dns01.Account // by name of the [dns] table
	persist     *dns01.Persist
	deployments map[string]*hooks.Deployment
}

// wire makes the parts. It touches nothing but the state directory.
func (a *app) wire(cfg *Config, log *slog.Logger) (*wiring, error) {
	store, err := keypair.Open(cfg.State)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	w := &wiring{
		cfg: cfg, log: log, store: store,
		targets: map[string]TargetConfig{}, cas: map[string]*acme.Client{},
		accounts: map[string]*dns01.Account{}, deployments: map[string]*hooks.Deployment{},
		persist: &dns01.Persist{Log: log},
		http01: &http01.Solver{
			Dir: filepath.Join(cfg.State, "http-01"), Listen: cfg.HTTP01.Listen, Webroot: cfg.HTTP01.Webroot, Log: log,
		},
	}
	for _, t := range cfg.Targets() {
		if err := w.add(t); err != nil {
			store.Close()
			return nil, err
		}
	}
	return w, nil
}

// add wires one target and whatever it needs that is not there yet.
func (w *wiring) add(t TargetConfig) error {
	s := status.Subject{
		Target: renew.Target{Name: t.Name, KeyType: t.Key, CAs: t.SignWith, Profile: t.Profile, Deploy: t.Deploy, Manner: map[string]renew.Manner{}},
		Proofs: map[string]string{}, Verifies: map[string]bool{},
	}
	for _, p := range t.Proofs {
		s.Names = append(s.Names, p.Name)
		s.Proofs[p.Name] = p.Type
		if p.Type == acme.DNS01 {
			w.addAccount(p.Account)
		}
	}
	for _, name := range t.SignWith {
		if err := w.addCA(name); err != nil {
			return err
		}
	}
	for _, name := range t.Deploy {
		if w.deployments[name] == nil {
			d := w.cfg.Deployment(name)
			d.Log = w.log
			w.deployments[name] = &d
		}
		s.Verifies[name] = len(w.deployments[name].Verify) > 0
		s.Manner[name] = manner(w.deployments[name], t.Name)
	}
	w.targets[t.Name] = t
	w.subjects = append(w.subjects, s)
	return nil
}

// manner sums up how a deployment is done for a target, so that a changed
// [deploy] table is carried out, and a lost file is put back, without an order.
func manner(d *hooks.Deployment, target string) renew.Manner {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %o %o %q %q %q %v", d.Chain, d.Key, d.Combined,
		d.Owner, d.Group, d.ChainMode, d.KeyMode, d.Check, d.Reload, d.Socket, d.Verify))
	m := renew.Manner{Sum: hex.EncodeToString(sum[:8])}
	for _, file := range d.Paths(target) {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			m.Lost = true
		}
	}
	return m
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

func (w *wiring) addCA(name string) error {
	if w.cas[name] != nil {
		return nil
	}
	ca, err := w.cfg.Authority(name)
	if err != nil {
		return err
	}
	w.cas[name] = acme.NewClient(acme.Options{
		CA: ca, Dir: filepath.Join(w.cfg.State, "accounts", name), Email: w.cfg.Email,
		UserAgent: "keypaird/" + programVersion().Version, Log: w.log,
	})
	return nil
}

// endLimit is how long the end of the program waits for DNS children that still
// remove their records.
const endLimit = 8 * time.Second

// close ends what the parts have running.
func (w *wiring) close() {
	w.http01.Close()
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	for name, a := range w.accounts {
		if err := a.Close(ctx); err != nil {
			w.log.Warn("dns account not ended in time; its child goes on alone", "account", name, "err", err)
		}
	}
	for _, c := range w.cas {
		c.Close()
	}
	w.store.Close()
}

func (w *wiring) lockPath() string { return filepath.Join(w.cfg.State, "lock") }

// pass returns one look at the targets.
func (w *wiring) pass(mood renew.Mood) *renew.Pass {
	return &renew.Pass{
		Store: w.store, Obtainer: w, Deployer: w, Parallel: w.cfg.Parallel, Mood: mood, Log: w.log,
	}
}

// prover returns what answers the challenges of one name.
func (w *wiring) prover(p NameProof) acme.Prover {
	switch p.Type {
	case acme.DNS01:
		return w.accounts[p.Account]
	case acme.DNSPersist01:
		return w.persist
	}
	return w.http01
}

// Obtain implements renew.Obtainer: the CAs of a target are tried in order, as
// long as the next may do better.
func (w *wiring) Obtain(ctx context.Context, t renew.Target, have *x509.Certificate, step func(string)) (*keypair.Pair, string, error) {
	cfg := w.targets[t.Name]
	req := acme.Request{
		Names: t.Names, KeyType: t.KeyType, Profile: t.Profile, PreferredChain: cfg.PreferredChain,
		Current: have, Step: step,
		Proofs: map[string]acme.Proof{},
	}
	for _, p := range cfg.Proofs {
		req.Proofs[p.Name] = acme.Proof{Type: p.Type, Prover: w.prover(p)}
	}
	var first error
	for i, name := range t.CAs {
		req.Pending = w.pendingDir(t, name) // each CA has its own: falling back must not lose what the first may have issued
		pair, err := w.cas[name].Obtain(ctx, req)
		if err == nil {
			return pair, name, nil
		}
		if first == nil {
			first = err
		} else {
			w.log.Warn("this CA failed too", "cert", t.Name, "ca", name, "err", err)
		}
		if i == len(t.CAs)-1 || !acme.Elsewhere(err) || ctx.Err() != nil {
			break
		}
		w.log.Warn("trying the next CA", "cert", t.Name, "failed", name, "next", t.CAs[i+1], "err", err)
	}
	return nil, "", first
}

// pendingDir keeps the order of a target under way at one CA.
func (w *wiring) pendingDir(t renew.Target, ca string) string {
	return filepath.Join(w.store.Dir(t.Name), "pending", ca)
}

// Settle implements renew.Obtainer.
func (w *wiring) Settle(t renew.Target, have *x509.Certificate) error {
	for _, ca := range t.CAs {
		settled, err := acme.Settle(w.pendingDir(t, ca), have)
		if err != nil {
			return err
		}
		if settled { // what was begun at other CAs on the way there is not wanted any more
			return os.RemoveAll(filepath.Join(w.store.Dir(t.Name), "pending"))
		}
	}
	return nil
}

// Deploy implements renew.Deployer.
func (w *wiring) Deploy(ctx context.Context, name string, changes []renew.Change) ([]renew.Outcome, error) {
	batch := make([]hooks.Change, len(changes))
	for i, c := range changes {
		batch[i] = hooks.Change(c)
	}
	err := w.deployments[name].Deploy(ctx, batch)
	var failed *hooks.Error
	if !errors.As(err, &failed) {
		return nil, err
	}
	outcomes := make([]renew.Outcome, len(changes))
	for i, c := range changes {
		outcomes[i] = outcome(failed, c.Name)
	}
	return outcomes, err
}

// outcome says how far one target got in a deployment that failed.
func outcome(e *hooks.Error, target string) renew.Outcome {
	untouched := e.Step == hooks.StepInstall && e.RollbackErr == nil
	switch {
	case !slices.Contains(e.Failed, target):
		return renew.Verified
	case e.Installed:
		return renew.InUse
	case e.RolledBack || untouched:
		return renew.TakenBack
	}
	return renew.Placed
}
