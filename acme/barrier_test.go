package acme_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// shared solves challenges by records at one name, and removes its own afterwards.
type shared struct {
	mu     sync.Mutex
	dns    *acmetest.DNS
	values map[string]bool
	begun  atomic.Int32
}

const sharedName = "_acme-challenge.a.test."

func (p *shared) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	sum := sha256.Sum256([]byte(c.KeyAuth))
	value := base64.RawURLEncoding.EncodeToString(sum[:])
	if err := p.slowly(ctx); err != nil {
		return err
	}
	if err := p.change(value, true); err != nil {
		return err
	}
	defer p.change(value, false)
	return validate(ctx)
}

// slowly waits, longer for each challenge, as a slow provider does.
func (p *shared) slowly(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(p.begun.Add(1)) * 200 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *shared) change(value string, there bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values[value] = there
	p.dns.Remove(sharedName, "TXT")
	for v, is := range p.values {
		if !is {
			continue
		}
		if err := p.dns.Add(sharedName + ` 60 TXT "` + v + `"`); err != nil {
			return err
		}
	}
	return nil
}

// A CA with a resolver that caches sees the values at a name as of its first query: all
// of an order must be published by then.
func TestResolverThatCaches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		names   []string
		records []string
	}{
		{"apex and wildcard", []string{"*.a.test", "a.test"}, nil},
		{"names led to one name", []string{"a.test", "b.test", "c.test"}, []string{
			"_acme-challenge.b.test. 60 CNAME " + sharedName, "_acme-challenge.c.test. 60 CNAME " + sharedName,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{})
			if err := g.dns.Add(tt.records...); err != nil {
				t.Fatal(err)
			}
			cache, err := acmetest.StartCache(g.dns.Addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cache.Close() })
			var n acmetest.Counter
			g.ca.Close()
			g.ca, err = acmetest.StartCA(acmetest.Options{DNS: cache.Addr, AuthzReuse: -1, NonceReject: -1, Wrap: n.Wrap})
			if err != nil {
				t.Fatal(err)
			}
			req := g.request(tt.names...)
			req.Pending = acme.OrderDir(filepath.Join(g.dir, "pending"))
			p := &shared{dns: g.dns, values: map[string]bool{}}
			for _, name := range tt.names {
				req.Methods[name] = acme.Method{Type: acme.DNS01, Solver: p}
			}
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if got := n.Count(acmetest.PathChallenge); got != len(tt.names) {
				t.Errorf("asked to validate %d times, want %d", got, len(tt.names))
			}
			for _, left := range p.values {
				if left {
					t.Error("a record is left")
				}
			}
		})
	}
}

// A challenge that can only be published once another is removed does not block the
// order.
func TestOneValueAtATime(t *testing.T) {
	g := newFixture(t, acmetest.Options{AuthzReuse: -1})
	turn := make(chan struct{}, 1)
	one := solverFunc(func(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
		c.Queued(true)
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.Queued(false)
		defer func() { <-turn }()
		return g.byDNS().Solver.Solve(ctx, c, validate)
	})
	req := g.request("*.a.test", "a.test", "b.test")
	for name := range req.Methods {
		req.Methods[name] = acme.Method{Type: acme.DNS01, Solver: one}
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}
