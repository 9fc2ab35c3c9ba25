package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/selftest"
	"keypaird/renew/problem"
)

// In a fleet, where each address is another node's, that is a failure on which a CA fails.
func TestAnsweredByNodes(t *testing.T) {
	own, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	page := problem.New("http status 404", "correct the record")
	away := problem.New("the engine does not answer", "start it")
	for _, tt := range []struct {
		name     string
		wait     time.Duration // of a fleet
		unshared error
		own      error
		other    error
		want     string // results, in the order of the addresses
		detail   string // of the last
	}{
		{"all have the token", time.Second, nil, nil, nil, "ok ok", "our token is served on port 80"},
		{"a node lacks the token", time.Second, nil, nil, page, "ok failed", "http status 404"},
		{"a node is down", time.Second, nil, nil, syscall.ECONNREFUSED, "ok warning", "connection refused"},
		{"a node is away", time.Second, nil, nil, context.DeadlineExceeded, "ok warning", "deadline"},
		{"all are down", time.Second, nil, syscall.ECONNREFUSED, syscall.ECONNREFUSED, "failed failed", "connection refused"},
		{"no engine", time.Second, away, nil, page, "ok warning", "could not be given our token: the engine does not answer"},
		{"a single machine", 0, nil, nil, page, "ok failed", "http status 404"},
		{"a single machine is down at one address", 0, nil, nil, syscall.ECONNREFUSED, "ok failed", "connection refused"},
	} {
		test := &selftest.Test{Port: "80", Wait: tt.wait}
		found := answered(test, acme.Challenge{Type: acme.HTTP01, Identifier: "a.test"},
			[]selftest.Result{{Addr: own, Err: tt.own}, {Addr: other, Err: tt.other, Node: "mx2"}}, tt.unshared)
		got := string(found[0].Result) + " " + string(found[1].Result)
		if got != tt.want || !strings.Contains(found[1].Detail, tt.detail) || !strings.HasPrefix(found[1].Subject, "a.test at 192.0.2.2 (node mx2)") {
			t.Errorf("%s: %s, %+v; want %s, %q", tt.name, got, found[1], tt.want, tt.detail)
		}
		if tt.unshared != nil && found[1].Remedy != "start it" {
			t.Errorf("%s: remedy %q", tt.name, found[1].Remedy)
		}
	}
}

// An account that another node of the fleet is going to register is no failure of this one.
func TestAccount(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Result
	}{
		{nil, Good},
		{fmt.Errorf("%w: node mx1 orders for the fleet", acme.ErrNotPermitted), Warning},
		{problem.New("account is deactivated", "register another"), Failed},
	} {
		if f := account("pebble", "https://ca.test/1", tt.err); f.Result != tt.want {
			t.Errorf("%v: %+v, want %s", tt.err, f, tt.want)
		}
	}
}
