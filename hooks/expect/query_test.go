package expect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

const (
	plain = "example.org"
	host  = "server.example.org"
)

// good returns a pair for names that is valid now.
func good(t *testing.T, names ...string) *keypair.Pair {
	return newPair(t, -time.Hour, 90*24*time.Hour, names...)
}

// newPair returns a pair for names that was valid from one time relative to now and
// is until another.
func newPair(t *testing.T, from, until time.Duration, names ...string) *keypair.Pair {
	t.Helper()
	p, err := pairtest.Issue(names, time.Now().Add(from), until-from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every state of an endpoint before a deployment, and after it.
func TestJudge(t *testing.T) {
	now := time.Now()
	old, p, ended := good(t, plain), good(t, plain), newPair(t, -48*time.Hour, -time.Hour, plain)
	serving := func(p *keypair.Pair) Reply { return Reply{leaf: p.Leaf} }
	refused := func(s probe.Stage) Reply { return Reply{err: &probe.Error{Stage: s, Err: errors.New("no")}} }
	replies := []struct {
		name string
		Reply
	}{
		{"previous", serving(old)},
		{"new", serving(p)},
		{"twin", serving(good(t, plain))},                 // another key type, or another client's
		{"wildcard", serving(good(t, plain, "*."+plain))}, // another target's, for the name too
		{"default", serving(good(t, host))},               // another target's
		{"ended", serving(ended)},
		{"down", refused(probe.Connecting)},
		{"handshake", refused(probe.Handshaking)},
		{"unknown", Reply{err: fmt.Errorf("stream: %w", probe.ErrHostUnknown)}},
	}
	// By reply before: the verdicts on each reply after, in the same order.
	want := map[string]string{ // s: Served, e: NotServed, f: Failing, w: Worse
		"previous":  "w s w w w w w w w",
		"new":       "f s f f w w w w w",
		"twin":      "f s f f w w w w w",
		"wildcard":  "f s f e w w w w w",
		"default":   "f s f e e f e e e",
		"ended":     "f s f f f f f f e",
		"down":      "f s f e e f e e e",
		"handshake": "f s f e e f e e e",
		"unknown":   "f s f e e f e e e",
	}
	for _, before := range replies {
		for i, after := range replies {
			q := &Query{Target: &Target{Name: "x", New: p, Earlier: []*keypair.Pair{old}}, ServerName: plain, Before: before.Reply, Now: after.Reply}
			got := string("sefw"[q.Evaluate(now)])
			if w := strings.Fields(want[before.name])[i]; got != w {
				t.Errorf("%s, then %s: %s, want %s", before.name, after.name, got, w)
			}
		}
	}
}
