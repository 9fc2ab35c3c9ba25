package dns01

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"keypaird/acme"

	"github.com/miekg/dns"
)

// An Account is an account at a DNS provider. It may be used concurrently.
type Account struct {
	Name        string            // in messages
	Provider    string            // lego's code; required
	Env         map[string]string // the provider's variables; the child gets these, PATH, TZ and proxy settings
	Resolvers   []string          // host:port; they follow CNAMEs, and all of them must show a record; empty: resolv.conf's follow CNAMEs, the authoritative servers must show it
	Propagation time.Duration     // longest wait for a record to show; zero: DefaultPropagation
	Child       string            // path of keypaird-dns; empty: FindChild
	User        string            // whom the child runs as when we are root; empty: ourselves
	Log         *slog.Logger      // nil: nothing is logged

	System []string // host:port; used in place of resolv.conf's
	Port   string   // of the authoritative servers; empty: "53"

	extra   time.Duration // zero: presentExtra
	bound   time.Duration // zero: endLimit
	mu      sync.Mutex
	current *child              // takes new requests; nil: none
	alive   map[*child]struct{} // all that have not exited
}

// DefaultPropagation is how long a record may take to show.
const DefaultPropagation = 2 * time.Minute

// Deadlines. That for a present begins when the child takes it up, so that one
// slow name does not fail those queued behind it.
const (
	openLimit    = time.Minute
	presentExtra = 2 * time.Minute // on top of the longest propagation, for providers that wait themselves
	cleanLimit   = 2 * time.Minute
)

// presents serialises what is published at one name, whichever account does it.
var presents nameLocks

func (a *Account) propagation() time.Duration {
	if a.Propagation > 0 {
		return a.Propagation
	}
	return DefaultPropagation
}

// presentLimit is how long a provider may take over one record.
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

// Solve publishes the TXT record that answers c, waits until it shows, calls
// validate, and removes the record. When ctx ends Solve returns at once and
// the child removes the record on its own: see Close.
func (a *Account) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	k, err := a.join()
	if err != nil {
		return err
	}
	defer a.leave(k)
	p := &proof{
		account: a, child: k, fqdn: "_acme-challenge." + dns.Fqdn(c.Identifier), want: txtValue(c.KeyAuth),
		ask: request{Domain: c.Identifier, Token: c.Token, KeyAuth: c.KeyAuth}, done: make(chan struct{}),
	}
	several, err := p.locate(ctx)
	if err != nil {
		return err
	}
	var share any
	if several {
		share = a
	}
	unlock, err := presents.lock(ctx, k.stuck, p.fqdn, p.want, share, c.Queued)
	switch {
	case errors.Is(err, errInVain):
		// Whoever holds the name may wait for this child to end, and it ends
		// when we, too, have left it.
		return a.failed("presenting", p.fqdn, k.hangs())
	case err != nil:
		return fmt.Errorf("waiting for another challenge at %s: %w", p.fqdn, err)
	}
	p.unlock = sync.OnceFunc(func() { unlock(); close(p.done) })
	if err := p.present(ctx); err != nil {
		return err
	}
	defer p.withdraw(ctx)
	if err := p.show(ctx); err != nil {
		return err
	}
	return validate(ctx)
}

// txtValue is RFC 8555, section 8.4.
func txtValue(keyAuth string) string {
	sum := sha256.Sum256([]byte(keyAuth))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Close ends the child, if there is one, and waits until it has cleaned up and
// exited. If ctx ends first a child that is still cleaning up goes on by itself,
// for two minutes at most; one that does not heed the end of its input is
// killed, so that it does not outlive us.
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
			k.forsake()
		}
		// Those that were killed are waited for.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), termGrace+termGrace/2)
		defer cancel()
		allGone(limit.Done(), slices.DeleteFunc(slices.Clone(alive), (*child).parting))
	}
	var errs []error
	for _, k := range alive {
		select {
		case <-k.gone:
			if k.err != nil {
				errs = append(errs, a.failed("ending", "", k.err))
			}
		default:
			errs = append(errs, fmt.Errorf("waiting for the clean-up of DNS account %q: %w", a.Name, context.Cause(ctx)))
		}
	}
	return errors.Join(errs...)
}

// allGone waits for the end of children, or for done, and says which it was.
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

// join gives the child to use and counts its user.
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

// leave ends the child with its last user.
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
