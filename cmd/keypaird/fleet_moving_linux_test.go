package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/testutil"
)

// passes returns how many passes a node has finished.
func (n *fleetNode) passes() int { return strings.Count(n.log.String(), `msg="pass finished"`) }

// restart restarts the daemon, and waits until it has made a pass.
func (n *fleetNode) restart() {
	n.fleet.Helper()
	n.stop(syscall.SIGTERM)
	n.awaitPass(n.start)
}

// awaitPass does something, and waits until a pass has finished after it.
func (n *fleetNode) awaitPass(do func()) {
	n.fleet.Helper()
	before := n.passes()
	do()
	if err := testutil.Within(patience, func() error {
		if n.passes() == before {
			return fmt.Errorf("%s has made no pass", n.name)
		}
		return nil
	}); err != nil {
		n.fleet.Fatal(err)
	}
}

// engineHas waits until the engine has a release of each target.
func (f *testFleet) engineHas(targets ...string) {
	f.Helper()
	if err := testutil.Within(patience, func() error {
		keys := f.engine.Ctl("get", "--prefix", "--keys-only", etcdtest.Prefix+"live/")
		for _, target := range targets {
			if !strings.Contains(keys, "/live/"+target) {
				return fmt.Errorf("the engine has no release of %s: %q", target, keys)
			}
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
}

// One machine becomes a fleet, another joins, and both go back: nothing is ordered, and no
// server is reloaded that has its pair.
func TestFleetMoving(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := makeFleet(t, etcdtest.Options{}, []string{"mx1"}, "web", "mx1") // the CA asks the last
	web, mx1 := f.nodes[0], f.nodes[1]
	mx1.awaitPass(mx1.start)
	pairs := f.agree(60*time.Second, nil, mx1)
	f.issued(2)
	mx1.restart()
	reloads, ofWeb := mx1.reloads(), 0
	unchanged := func(nodes ...*fleetNode) {
		t.Helper()
		for _, n := range nodes {
			for _, target := range fleetTargets {
				if n.deployed(target) != pairs[target] {
					t.Errorf("%s has another pair of %s", n.name, target)
				}
			}
		}
		if placed, finalized := f.ca.orders(); placed+finalized > 0 {
			t.Errorf("%d orders placed, %d finalized", placed, finalized)
		}
		if got := mx1.reloads(); got != reloads {
			t.Errorf("%d reloads of mx1, before %d", got, reloads)
		}
		if got := web.reloads(); got != ofWeb {
			t.Errorf("%d reloads of web, before %d", got, ofWeb)
		}
	}

	t.Log("a fleet of one")
	mx1.join()
	mx1.configure()
	mx1.must("fleet", "init")
	mx1.restart()
	f.engineHas(fleetTargets...)
	unchanged(mx1)

	t.Log("another joins")
	web.join()
	f.configure()
	mx1.awaitPass(func() { try(t, mx1.cmd.Process.Signal(syscall.SIGHUP)) })
	web.start()
	f.agree(60*time.Second, nil, mx1, web)
	web.restart()
	ofWeb = web.reloads()
	if ofWeb == 0 {
		t.Error("web was never reloaded")
	}
	unchanged(mx1, web)

	t.Log("the other leaves")
	web.alone = true
	web.configure()
	check, _ := web.command("check").CombinedOutput()
	if want := "the next order registers an account"; !strings.Contains(string(check), want) {
		t.Errorf("check does not say %q:\n%s", want, check)
	}
	web.restart()
	unchanged(mx1, web)

	t.Log("the first goes back")
	mx1.alone = true
	mx1.configure()
	mx1.restart()
	unchanged(mx1, web)
	f.change(mx1)
	f.agree(60*time.Second, pairs, mx1)
	f.issued(2)
	for _, n := range f.nodes { // the engine is asked no more
		if text := n.log.String(); strings.Contains(text[strings.LastIndex(text, `msg="pass finished"`):], "engine") {
			t.Errorf("%s speaks of the engine", n.name)
		}
	}
}
