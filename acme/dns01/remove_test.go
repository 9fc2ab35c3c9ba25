package dns01

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"keypaird/renew/problem"
)

// A record of an order is noted before it is presented, and until it is removed. Another
// process removes it by what was noted.
func TestNote(t *testing.T) {
	t.Parallel()
	p := startProvider(t, nil)
	a := p.account(t)
	var noted []Presented
	gone := 0
	a.Note = func(_ context.Context, r Presented) (func(), error) {
		if p.calls() != "" {
			t.Errorf("noted after %s", p.calls())
		}
		noted = append(noted, r)
		return func() { gone++ }, nil
	}
	c := challenge("example.org", "noted")
	if err := a.Solve(t.Context(), c, accept); err != nil || len(noted) != 0 { // of check -live
		t.Fatalf("noted %v: %v", noted, err)
	}
	p.mu.Lock()
	p.told = nil
	p.mu.Unlock()
	c.Order = "https://ca.test/order/1"
	err := a.Solve(t.Context(), c, func(context.Context) error {
		if gone != 0 {
			t.Error("forgotten while it is presented")
		}
		return nil
	})
	want := Presented{"api", "_acme-challenge.example.org.", txtValue(c.KeyAuth), "example.org", c.Token, c.KeyAuth}
	if err != nil || len(noted) != 1 || noted[0] != want || gone != 1 {
		t.Errorf("noted %+v, forgotten %d times, want %+v: %v", noted, gone, want, err)
	}

	p.mu.Lock()
	p.told, p.txt["_acme-challenge.example.org."] = nil, want.Value
	p.mu.Unlock()
	if err := p.account(t).Remove(t.Context(), want); err != nil || p.calls() != "/cleanup" {
		t.Errorf("the provider was told %q: %v", p.calls(), err)
	}
	moved := want
	moved.FQDN = "elsewhere.example.org."
	err = a.Remove(t.Context(), moved)
	if !errors.Is(err, ErrAccount) || !strings.Contains(err.Error(), "its CNAME leads to _acme-challenge.example.org. now") || problem.Remedy(err) == "" {
		t.Errorf("Remove = %v", err)
	}
	forged := want
	forged.KeyAuth += "x"
	if err := a.Remove(t.Context(), forged); err == nil || p.calls() != "/cleanup" {
		t.Errorf("removed a value that the token does not have: %v, %s", err, p.calls())
	}
}

// A record that cannot be noted is not presented.
func TestNotNoted(t *testing.T) {
	t.Parallel()
	p := startProvider(t, nil)
	a := p.account(t)
	lost := errors.New("another node sits")
	a.Note = func(context.Context, Presented) (func(), error) { return nil, lost }
	c := challenge("example.org", "unnoted")
	c.Order = "https://ca.test/order/1"
	if err := a.Solve(t.Context(), c, accept); !errors.Is(err, lost) || p.calls() != "" {
		t.Errorf("Solve = %v, the provider was told %q", err, p.calls())
	}
	a.Note = nil
	if err := a.Solve(t.Context(), c, accept); err != nil { // the name is free
		t.Error(err)
	}
	if presents.holds(dns.CanonicalName("_acme-challenge.example.org."), txtValue(c.KeyAuth)) {
		t.Error("the name is still held")
	}
}
