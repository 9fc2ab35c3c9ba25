package dns01

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme"
	"keypaird/acme/dns01/need"
	"keypaird/renew/problem"
)

// An Account is an account at a DNS provider. It may be used concurrently.
type Account struct {
	Name        string            // in messages
	Provider    string            // lego's code; required
	Env         map[string]string // the provider's variables; the child gets these, PATH, TZ and proxy settings
	Resolvers   []string          // host:port; follow CNAMEs, and all of them must have the record; empty: resolv.conf's follow CNAMEs, the authoritative servers must have the record
	Propagation time.Duration     // longest wait for a record to be visible; zero: DefaultPropagation
	Child       string            // path of keypaird-dns; empty: FindChild
	User        string            // the child's user if this process is root; empty: launch.DNSUser
	Log         *slog.Logger      // nil: nothing is logged
	Recent      *Recent           // shared by the accounts of this machine; nil: nothing is remembered

	// Note is called before a record of an order is presented, which it is not after an
	// error. The function that Note returns is called once the record is removed. If this
	// machine dies before that, another one calls Remove. nil: records are not noted.
	Note func(context.Context, Presented) (removed func(), err error)

	System []string // host:port; used in place of resolv.conf's
	Port   string   // of the authoritative servers; empty: "53"

	extra   time.Duration // zero: presentExtra
	bound   time.Duration // zero: endLimit
	mu      sync.Mutex
	current *child              // takes new requests; nil: none
	alive   map[*child]struct{} // all that have not exited
}

// DefaultPropagation is the longest wait for a record to be visible.
const DefaultPropagation = 2 * time.Minute

// Timeouts of requests. Each starts when the child begins with the request, so that
// a slow name does not fail those queued after it.
const (
	openLimit    = time.Minute
	presentExtra = 2 * time.Minute // added to the longest propagation, since some providers wait for it themselves
	cleanLimit   = 2 * time.Minute
)

// presents serialises challenges at one name, across accounts.
var presents nameLocks

func (a *Account) propagation() time.Duration {
	if a.Propagation > 0 {
		return a.Propagation
	}
	return DefaultPropagation
}

// presentLimit returns the timeout for publishing one record.
func (a *Account) presentLimit() time.Duration {
	if a.extra > 0 {
		return a.propagation() + a.extra
	}
	return a.propagation() + presentExtra
}

func (a *Account) log() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log.With("account", a.Name)
}

// Solve publishes the TXT record for c, waits until it is visible and the CA's
// resolver cannot have a cached answer without it, calls validate, and removes the
// record. When ctx ends, Solve returns immediately and the child
// removes the record: see Close.
func (a *Account) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	k, err := a.join()
	if err != nil {
		return err
	}
	defer a.leave(k)
	t := &attempt{
		account: a, child: k, fqdn: "_acme-challenge." + dns.Fqdn(c.Identifier), want: txtValue(c.KeyAuth),
		ask: request{Domain: c.Identifier, Token: c.Token, KeyAuth: c.KeyAuth}, done: make(chan struct{}),
	}
	several, err := t.locate(ctx)
	if err != nil {
		return err
	}
	var share any
	if several {
		share = a
	}
	unlock, err := presents.lock(ctx, k.stuck, t.fqdn, t.want, share, c.Queued)
	switch {
	case errors.Is(err, errStuck):
		// The holder of the name may wait for this child to exit, and it exits
		// only after this user has left it, too.
		return a.failed("presenting", t.fqdn, k.timeoutError())
	case err != nil:
		return fmt.Errorf("waiting for another challenge at %s: %w", t.fqdn, err)
	}
	t.unlock = sync.OnceFunc(func() { unlock(); close(t.done) })
	if err := t.note(ctx, c); err != nil {
		t.unlock()
		return err
	}
	if err := t.present(ctx); err != nil {
		return err
	}
	defer t.withdraw(ctx)
	found, err := t.awaitRecord(ctx)
	if err != nil {
		return err
	}
	if err := t.awaitCaches(ctx, c, found); err != nil {
		return err
	}
	end := a.Recent.begin(c, t.fqdn, found.ttl)
	err = validate(ctx)
	end(t.hold(ctx, err, found.ttl))
	return err
}

// Hold starts the child and opens the account in it, before an order: what is wrong with
// the account costs none. The child stays until release is called.
func (a *Account) Hold(ctx context.Context) (release func(), err error) {
	k, err := a.join()
	if err != nil {
		return nil, err
	}
	t := &attempt{account: a, child: k}
	if _, err := t.wait(ctx, "opening", k.opened); err != nil {
		a.leave(k)
		return nil, err
	}
	return func() { a.leave(k) }, nil
}

// txtValue returns the value of the TXT record (RFC 8555, section 8.4).
func txtValue(keyAuth string) string {
	sum := sha256.Sum256([]byte(keyAuth))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Close closes the child's input, if there is a child, and waits until it has
// cleaned up and exited. If ctx ends first, a child that is still cleaning up
// continues on its own, for two minutes at most; one that does not react to the end
// of its input is killed.
func (a *Account) Close(ctx context.Context) error {
	a.mu.Lock()
	a.current = nil
	alive := slices.Collect(maps.Keys(a.alive))
	a.mu.Unlock()
	for _, k := range alive {
		k.end()
	}
	if !allGone(ctx.Done(), alive) {
		for _, k := range alive {
			k.abandon()
		}
		// Wait for those that were killed.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), termGrace+termGrace/2)
		defer cancel()
		allGone(limit.Done(), slices.DeleteFunc(slices.Clone(alive), (*child).isExiting))
	}
	var errs []error
	for _, k := range alive {
		select {
		case <-k.gone:
			if k.err != nil {
				errs = append(errs, a.failed("ending", "", k.err))
			}
		default:
			errs = append(errs, fmt.Errorf("DNS helper is still cleaning up for DNS account %q: %w", a.Name, context.Cause(ctx)))
		}
	}
	return errors.Join(errs...)
}

// allGone waits until all children have exited, and reports false if done closes
// first.
func allGone(done <-chan struct{}, children []*child) bool {
	for _, k := range children {
		select {
		case <-k.gone:
		case <-done:
			return false
		}
	}
	return true
}

// join returns the child to use, started if necessary, and counts the user.
func (a *Account) join() (*child, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil && !a.current.usable() {
		a.current = nil
	}
	if a.current == nil {
		k, err := a.start()
		if err != nil {
			return nil, err
		}
		a.current = k
	}
	a.current.users++
	return a.current, nil
}

// leave closes the child's input when its last user leaves.
func (a *Account) leave(k *child) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k.users--
	if k.users > 0 {
		return
	}
	if a.current == k {
		a.current = nil
	}
	k.end()
}

// failed returns the error of a DNS account. Doing is "starting", "opening",
// "locating", "presenting", "removing" or "ending"; fqdn is the name of the record, if there
// is one; err is the error that the child answered, or how it exited. The remedy is
// the child's, or else the most likely one.
func (a *Account) failed(doing, fqdn string, err error) error {
	remedy := "check that the account may change this name; its variables are listed by: keypaird dns " + a.Provider
	if doing == "starting" {
		remedy = "install keypaird-dns beside keypaird, executable by the user it runs as"
		switch {
		case errors.Is(err, syscall.EPERM): // of the change of users
			remedy = need.UsersRemedy
		case errors.Is(err, fs.ErrPermission): // of the stage
			remedy = "let the user that keypaird-dns runs as execute keypaird, too: it starts keypaird-dns as that user"
		}
	}
	return problem.Newf(cmp.Or(problem.Remedy(err), remedy), "%w %q (%s): %s: %w", ErrAccount, a.Name, a.Provider, strings.TrimSpace(doing+" "+fqdn), err)
}

// ErrAccount says that this machine cannot use a DNS account.
var ErrAccount = errors.New("DNS account")
