package dns01

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme"
	"keypaird/acme/dns01/dnsquery"
	"keypaird/renew/durable"
)

// maxHold bounds how long an answer is assumed to be in the cache of a CA's resolver,
// whatever its TTL; CAs keep none longer than a minute or two.
const maxHold = 2 * time.Minute

// cached returns how long an answer with a TTL may be repeated. Resolvers count in whole
// seconds, and may be a second late.
func cached(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return 0
	}
	return min(ttl, maxHold) + 2*time.Second
}

// Recent remembers where a CA has validated a short while ago. Its resolver may
// repeat what it found there until the TTL is over, without a value published
// since. Nil remembers nothing.
type Recent struct {
	Path string // file for the processes that follow; empty: only this one remembers
	Log  *slog.Logger

	mu     sync.Mutex
	active []*validation
	past   []validation
}

// A validation is one of a record by a CA.
type validation struct {
	Name  string    `json:"name"` // of the record
	CA    string    `json:"ca"`   // host:port
	Order string    `json:"order"`
	Until time.Time `json:"until"` // when its answers are in no cache any more
}

// begin remembers that the CA is being asked to validate; ttl is that of the records.
// The caller calls end with how long the answers may be cached from then on.
func (r *Recent) begin(c acme.Challenge, fqdn string, ttl time.Duration) (end func(hold time.Duration)) {
	if r == nil || c.Order == "" {
		return func(time.Duration) {}
	}
	v := &validation{Name: fqdn, CA: host(c.Order), Order: c.Order}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = append(r.active, v)
	r.note(*v, ttl)
	return func(hold time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.active = slices.DeleteFunc(r.active, func(a *validation) bool { return a == v })
		r.note(*v, hold)
	}
}

// clearAt returns when no cache of the CA's can lack a value at fqdn that is visible now.
// The other values of its order were published before it was validated, unless they had
// to be removed first.
func (r *Recent) clearAt(c acme.Challenge, fqdn string, ttl time.Duration) (at time.Time) {
	if r == nil || c.Order == "" {
		return at
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	now := time.Now()
	for _, a := range r.active {
		if a.Name == fqdn && a.CA == host(c.Order) && a.Order != c.Order {
			at = now.Add(cached(ttl))
		}
	}
	for _, p := range r.past {
		ongoing := slices.ContainsFunc(r.active, func(a *validation) bool { return a.Name == p.Name && a.Order == p.Order })
		if p.Name == fqdn && p.CA == host(c.Order) && !(ongoing && p.Order == c.Order) && p.Until.After(at) {
			at = p.Until
		}
	}
	if limit := now.Add(cached(maxHold)); at.After(limit) { // the clock was set back
		return limit
	}
	return at
}

// note puts a validation in place of an earlier one of its order at the name. mu must be
// held.
func (r *Recent) note(v validation, hold time.Duration) {
	r.load()
	now := time.Now()
	r.past = slices.DeleteFunc(r.past, func(p validation) bool {
		return p.Until.Before(now) || p.Name == v.Name && p.Order == v.Order
	})
	v.Until = now.Add(cached(hold)).UTC()
	r.past = append(r.past, v)
	if r.Path == "" {
		return
	}
	text, err := json.Marshal(r.past)
	if err == nil {
		err = writeHint(r.Path, append(text, '\n'))
	}
	if err != nil && r.Log != nil {
		r.Log.Debug("recent validations not noted", "file", r.Path, "err", err)
	}
}

func writeHint(path string, text []byte) error {
	d, err := durable.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.ReplaceHint(filepath.Base(path), text, durable.Private)
}

// load reads what other processes have noted. mu must be held.
func (r *Recent) load() {
	if r.Path == "" {
		return
	}
	text, _, err := durable.ReadFile(r.Path, 1<<20, durable.Owned)
	var past []validation
	if err == nil && json.Unmarshal(text, &past) == nil {
		r.past = past
	}
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// awaitCaches waits until the CA's resolver cannot have a cached answer without the value.
// found is what was at the name meanwhile: a value of another process may have been
// validated.
func (t *attempt) awaitCaches(ctx context.Context, c acme.Challenge, found *found) error {
	at := t.account.Recent.clearAt(c, t.fqdn, found.ttl)
	foreign := c.Order != "" && slices.ContainsFunc(found.values, func(v string) bool {
		return v != t.want && challengeValue().MatchString(v) && !presents.holds(t.fqdn, v)
	})
	if later := time.Now().Add(cached(found.ttl)); foreign && later.After(at) {
		at = later
	}
	wait := time.Until(at)
	if wait <= 0 {
		return nil
	}
	t.account.log().Info("waiting until caches of the CA drop the previous value", "fqdn", t.fqdn, "for", wait.Round(time.Millisecond))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the caches of the CA at %s: %w", t.fqdn, context.Cause(ctx))
	}
}

// challengeValue matches the value of a challenge record.
var challengeValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) })

// hold returns how long the CA's resolver may repeat its answers after a validation
// that ended with err: those without the record, too, if it failed.
func (t *attempt) hold(ctx context.Context, err error, ttl time.Duration) time.Duration {
	if err == nil || ctx.Err() != nil {
		return ttl
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	a := t.account
	in, err := Checker{Resolvers: a.Resolvers, System: a.System}.resolve(ctx, t.fqdn, dns.TypeCAA)
	if err != nil {
		return max(ttl, time.Minute)
	}
	negative, ok := dnsquery.NegativeTTL(in)
	if !ok {
		return max(ttl, time.Minute)
	}
	return max(ttl, negative)
}
