package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/testutil"
)

// accountKey returns the key that a node has of the account.
func (n *fleetNode) accountKey() string {
	key, _ := os.ReadFile(n.file("state", "accounts", "pebble", "key.pem"))
	return string(key)
}

// The key of the account is replaced while all daemons run, from any node: the one that orders
// does it, the others follow, and the next node that orders has the new key.
func TestFleetAccount(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	first, second, web := f.nodes[0], f.nodes[1], f.nodes[2]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)
	old := first.accountKey()
	for _, n := range []*fleetNode{web, second, first} {
		before := first.accountKey()
		if out := n.must("account", "rollover", "pebble"); !strings.Contains(out, "pebble: key replaced") || first.accountKey() == before {
			t.Errorf("%s: %q", n.name, out)
		}
	}
	if out := second.refused("account", "deactivate", "pebble"); !strings.Contains(out, "node mx1 orders for the fleet") || !strings.Contains(out, "stop keypaird on mx1, mx2") {
		t.Error(out)
	}
	f.change(f.nodes...)
	pairs = f.agree(90*time.Second, pairs, f.nodes...)
	f.issued(2)
	if err := testutil.Within(60*time.Second, func() error {
		if key := second.accountKey(); key == old || key != first.accountKey() {
			return errors.New("mx2 has another key of the account")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if web.accountKey() != "" {
		t.Error("web has the key of the account")
	}

	t.Log("the first choice is gone: the second orders with the new key")
	first.stop(syscall.SIGKILL)
	f.endLeases(first)
	f.change(second, web)
	f.agree(120*time.Second, pairs, second, web)
	f.issued(2)
	if out := second.must("account", "rollover", "pebble"); !strings.Contains(out, "key replaced") {
		t.Errorf("%q", out)
	}

	t.Log("without the engine, the key is kept")
	for _, m := range f.engine.Members {
		m.Kill()
	}
	second.stop(syscall.SIGTERM)
	key := second.accountKey()
	if out := second.refused("account", "rollover", "pebble"); !strings.Contains(out, "the engine of the fleet cannot be used") || second.accountKey() != key {
		t.Error(out)
	}
}
