package engine

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"keypaird/acme"
	"keypaird/acme/orderlog"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
)

// The parts as package renew knows them: an Engine is its Obtainer, its Limiter,
// its RenewalInfoFetcher, its Deployer and its Notifier.

// solver returns what answers the challenges of one name.
func (e *Engine) solver(p config.Challenge) acme.Solver {
	switch p.Type {
	case acme.DNS01:
		return e.Accounts[p.Account]
	case acme.DNSPersist01:
		return e.Persist
	}
	return e.HTTP01
}

// Obtain implements renew.Obtainer.
func (e *Engine) Obtain(ctx context.Context, o renew.Order) (*keypair.Pair, error) {
	cfg := e.Targets[o.Target.Name]
	req := acme.Request{
		Names: o.Target.Names, KeyType: o.Target.KeyType, Profile: o.Target.Profile, PreferredChain: cfg.PreferredChain,
		Current: o.Have, Foreign: o.Foreign, Key: o.Key, Step: o.Step, Forced: o.Forced,
		Pending: e.pendingDir(o.Target, o.CA), // each CA has its own: falling back must not lose what the first may have issued
		Methods: map[string]acme.Method{},
	}
	if o.Replaces {
		req.Replaces, _ = acme.CertID(o.Have) // what has none is replaced without
	}
	for _, p := range cfg.Challenges {
		req.Methods[p.Name] = acme.Method{Type: p.Type, Solver: e.solver(p)}
	}
	ca, err := e.CA(o.CA)
	if err != nil {
		return nil, err
	}
	pair, err := ca.Obtain(ctx, req)
	if err != nil {
		return nil, &renew.OrderError{TryNextCA: acme.TryNextCA(err), CAWide: acme.CAWide(err), Err: err}
	}
	return pair, nil
}

// Limit implements renew.Limiter.
func (e *Engine) Limit(t renew.Target, ca string, current *x509.Certificate) renew.Limit {
	err := acme.OwnLimit(e.orderLogs[ca], e.pendingDir(t, ca), orderlog.Request{Names: t.Names, Current: current})
	if reached, ok := errors.AsType[*orderlog.RateLimitError](err); ok {
		return renew.Limit{Until: reached.Next, Err: reached}
	}
	return renew.Limit{}
}

// adviceLife is how long no advice is asked of a CA that gives none.
const adviceLife = 24 * time.Hour

// FetchRenewalInfo implements renew.RenewalInfoFetcher.
func (e *Engine) FetchRenewalInfo(ctx context.Context, ca string, leaf *x509.Certificate) (renew.SuggestedWindow, error) {
	client, err := e.CA(ca)
	if err != nil {
		return renew.SuggestedWindow{}, err
	}
	info, err := client.RenewalInfo(ctx, leaf)
	if errors.Is(err, acme.ErrNoRenewalInfo) {
		return renew.SuggestedWindow{Next: time.Now().Add(adviceLife)}, nil
	}
	return renew.SuggestedWindow(info), err
}

// pendingDir keeps the order of a target under way at one CA.
func (e *Engine) pendingDir(t renew.Target, ca string) string {
	return filepath.Join(e.Store.Dir(t.Name), "pending", ca)
}

// ForgetOrder implements renew.Obtainer.
func (e *Engine) ForgetOrder(t renew.Target, have *x509.Certificate) error {
	for _, ca := range t.CAs {
		settled, err := acme.ForgetIfStored(e.pendingDir(t, ca), have)
		if err != nil {
			return err
		}
		if settled { // what was begun at other CAs on the way there is not wanted any more
			return os.RemoveAll(filepath.Join(e.Store.Dir(t.Name), "pending"))
		}
	}
	return nil
}

// Deploy implements renew.Deployer.
func (e *Engine) Deploy(ctx context.Context, name string, changes []renew.Change) ([]renew.Outcome, error) {
	batch := make([]hooks.Change, len(changes))
	for i, c := range changes {
		batch[i] = hooks.Change(c)
	}
	err := e.Deployments[name].Deploy(ctx, batch)
	var failed *hooks.Error
	if !errors.As(err, &failed) {
		return nil, err
	}
	outcomes := make([]renew.Outcome, len(changes))
	for i, c := range changes {
		outcomes[i] = outcome(failed.Failed(c.Name))
	}
	several := new(renew.DeployError)
	for _, f := range failed.Failures {
		several.Failures = append(several.Failures, renew.DeployFailure{Targets: f.Targets, Err: f})
	}
	return outcomes, several
}

// outcome says how far one target got in a deployment; nil: nothing failed.
func outcome(f *hooks.Failure) renew.Outcome {
	switch {
	case f == nil:
		return renew.Verified
	case f.Installed:
		return renew.Reloaded
	case f.RolledBack, f.Step == hooks.StepInstall && f.RollbackErr == nil: // untouched
		return renew.RolledBack
	}
	return renew.Installed
}

// notifyTimeout bounds one call of the [notify] command.
const notifyTimeout = time.Minute

// Send implements notify.Sender.
func (e *Engine) Send(ctx context.Context, notices []notify.Notice) error {
	ev := hooks.Event{Kind: string(notices[0].Kind), Error: notices[0].Error, Remedy: notices[0].Remedy}
	if n := notices[0]; len(notices) == 1 {
		ev.Name, ev.Fingerprint, ev.NotAfter = n.Target, n.Fingerprint, n.NotAfter
		if n.Version != "" {
			ev.Dir = filepath.Join(e.Store.Dir(n.Target), n.Version)
		}
	}
	command := hooks.Command{Argv: e.Config.Notify.Command, Timeout: notifyTimeout, Log: e.options.Log}
	var errs []error
	for length := 0; len(notices) > 0; notices = notices[len(ev.Names):] {
		ev.Names, length = nil, 0
		for _, n := range notices {
			if length += len(n.Target) + 1; length > hooks.MaxNames { // then in one more call
				break
			}
			ev.Names = append(ev.Names, n.Target)
		}
		errs = append(errs, command.Run(ctx, ev))
	}
	return errors.Join(errs...)
}
