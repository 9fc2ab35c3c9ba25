package acme_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// seen counts exchanges.
type seen struct {
	mu    sync.Mutex
	times map[string]int
}

func (s *seen) note(x acme.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[string]int{}
	}
	s.times[fmt.Sprintf("%s %s %s %d", x.CA, x.Method, x.Resource, x.Status)]++
	if x.Took <= 0 || x.Took > time.Minute {
		s.times[fmt.Sprintf("took %v", x.Took)]++
	}
}

func (s *seen) kinds() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.times))
}

func TestObserve(t *testing.T) {
	var s seen
	g := newFixture(t, acmetest.Options{NonceReject: -1, AlternateRoots: 1, AuthzReuse: -1})
	o := g.options(t)
	o.Observe = s.note
	c := start(t, o)
	req := g.request("a.test", "b.test")
	req.PreferredChain = rootName(t, g.ca, 1)
	pair, err := c.Obtain(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RenewalInfo(t.Context(), pair.Leaf); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), pair.Leaf, nil, nil); err != nil {
		t.Fatal(err)
	}
	o.Email = "new@a.test"
	if _, err := start(t, o).Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.kinds()
	want := []string{
		"pebble GET directory 200", "pebble GET renewal-info 200", "pebble HEAD nonce 200", "pebble POST account 200", "pebble POST account 201",
		"pebble POST authz 200", "pebble POST cert 200", "pebble POST challenge 200", "pebble POST finalize 200", "pebble POST order 200",
		"pebble POST order 201", "pebble POST revoke 200",
	}
	if !slices.Equal(got, want) {
		t.Errorf("seen %q, want %q", got, want)
	}
}

// An incomplete answer has no status; an interrupt is not observed.
func TestObserveFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault acmetest.Fault
		want  string
	}{
		{"reset", acmetest.Answer(acmetest.Reset()), "pebble POST order 0"},
		{"cut off", acmetest.Truncate(), "pebble POST order 0"},
		{"without end", acmetest.Endless(200), "pebble POST order 0"},
		{"refused", acmetest.Say(403, ""), "pebble POST order 403"},
		{"malformed", acmetest.Say(200, "<html>"), "pebble POST order 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s seen
			g := newFixture(t, acmetest.Options{Wrap: acmetest.At(acmetest.PathNewOrder, tt.fault)})
			o := g.options(t)
			o.Observe = s.note
			if _, err := start(t, o).Obtain(t.Context(), g.request("a.test")); err == nil {
				t.Fatal("nothing failed")
			}
			orders := slices.DeleteFunc(s.kinds(), func(kind string) bool { return !strings.Contains(kind, " order ") })
			if !slices.Equal(orders, []string{tt.want}) {
				t.Errorf("seen %q, want %q", orders, tt.want)
			}
		})
	}
	t.Run("interrupt", func(t *testing.T) {
		var s seen
		ctx, cancel := context.WithCancel(t.Context())
		g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(acmetest.PathNewOrder, -1, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // before its end nobody sees that the client has gone
			cancel()
			<-r.Context().Done()
		}))})
		o := g.options(t)
		o.Observe = s.note
		if _, err := start(t, o).Obtain(ctx, g.request("a.test")); err == nil {
			t.Fatal("nothing was interrupted")
		}
		if got := s.kinds(); slices.ContainsFunc(got, func(kind string) bool { return strings.Contains(kind, " order ") }) {
			t.Errorf("seen %q", got)
		}
	})
}
