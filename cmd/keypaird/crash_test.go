package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// A crash is keypaird killed with -9, again and again, in one world.
//
// Each round wants new certificates for both names. Whenever keypaird dies, the
// proxy goes on with whole pairs; the next run ends the round with the orders
// that were placed, and leaves nothing behind.
type crash struct {
	*testing.T
	*world
	ca      *authority
	program string
	round   int
	crumbs  []string // left over, and to be gone after the next round
}

var crashNames = []string{"example.org", "matrix.example.org"}

// Killed at each request of an order, before the CA saw it, and after that
// without its answer.
func TestKilledAtEachRequest(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	c := newCrash(t)
	for _, kind := range []string{"directory", "nonce", "order", "authz", "challenge", "finalize", "poll", "certificate"} {
		for _, answered := range []bool{false, true} {
			c.begin()
			c.killAt(kind, answered)
			c.end(fmt.Sprintf("killed at %s, answered %v", kind, answered))
		}
	}
}

// Killed at any time: 24 times, or 200 if [testutil.Exhaustive], at moments between start and
// deployment, as a command and as a daemon, and put right by one or the other. All the while a
// client that knows the CA's root connects to the proxy every 100 ms, for either
// name. It never sees anything but a certificate that is valid.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	c := newCrash(t)
	c.begin()
	began := time.Now()
	c.run(0)
	whole := time.Since(began)
	moments := 24
	switch {
	case testutil.Exhaustive():
		moments = 200
	case testing.Short():
		moments = 12
	}
	stop := c.watch()
	var killed, ended int
	for i := 0; killed < moments && i < 2*moments; i++ {
		c.begin()
		cmd, out := c.issue()
		if i%4 == 1 {
			cmd, out = c.daemon()
		}
		start := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		moment := rand.N(whole)
		timer := time.AfterFunc(moment, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Exited() {
			t.Fatalf("killed after %v: %v\n%s", moment, err, out)
		}
		if err == nil {
			ended++
			whole = (whole + time.Since(start)) / 2 // the first may have been slow
		} else {
			killed++
		}
		if i%4 == 2 {
			c.keep()
		}
		c.end(fmt.Sprintf("round %d, killed after %v of %v", i, moment, whole))
	}
	seen := stop()
	t.Logf("%d killed, %d ended before that; the client connected %d times", killed, ended, seen)
	if killed < moments || seen == 0 {
		t.Errorf("%d killed, want %d, and %d connections: that proves nothing", killed, moments, seen)
	}
}

// newCrash starts a world in which both names are served.
func newCrash(t *testing.T) *crash {
	t.Helper()
	// In memory: what is killed is a process, which loses nothing that it has
	// written, and hundreds of orders made durable on a disk take long.
	c := startCrash(t, testutil.Memory(t), acmetest.Options{AuthzReuse: -1})
	try(t, c.startProxy(crashNames))
	c.begin()
	c.run(0)
	return c
}

// startCrash starts a world with a name server and a CA.
func startCrash(t *testing.T, dir string, o acmetest.Options) *crash {
	t.Helper()
	c := &crash{T: t, world: startWorld(t, dir)}
	var err error
	c.program, err = built("keypaird")
	try(t, err)
	c.ca, err = c.startCA("CA", o)
	try(t, err)
	return c
}

// begin makes new certificates necessary, as time would: by the other type of
// key. The records of deployments stay; backoff and the order log are removed.
func (c *crash) begin() {
	c.Helper()
	c.round++
	text := fmt.Sprintf("key = %q\n%s[identity.\"example.org\"]\nhost = \"matrix.example.org\"\ndns = \"ns\"\ndeploy = [\"proxy\"]\n%s",
		[]string{"ec256", "ec384"}[c.round%2], c.head(), c.vars["DEPLOY"])
	if err := os.WriteFile(c.vars["KEYPAIRD_CONFIG"], []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
	for _, name := range crashNames {
		c.forgetFailures(c.file("state/certs", name, "record.json"))
	}
	if err := os.RemoveAll(c.file("state/accounts/pebble/orders.log")); err != nil {
		c.Fatal(err)
	}
	c.ca.forgetOrders()
}

// issue is one run, not yet started.
func (c *crash) issue() (*exec.Cmd, *bytes.Buffer) { return c.command("issue", "-v") }

// daemon is one that does not end by itself, likewise.
func (c *crash) daemon() (*exec.Cmd, *bytes.Buffer) { return c.command("run", "-v") }

func (c *crash) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(c.Context(), c.program, append([]string{"-config", c.vars["KEYPAIRD_CONFIG"]}, args...)...)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// run runs it to its end, which has to be one of the statuses.
func (c *crash) run(statuses ...int) string {
	c.Helper()
	cmd, out := c.issue()
	err := cmd.Run()
	for _, s := range statuses {
		if cmd.ProcessState.ExitCode() == s {
			return out.String()
		}
	}
	c.Fatalf("issue: %v, want %v\n%s", err, statuses, out)
	return ""
}

// killAt runs keypaird until it is killed at a request.
func (c *crash) killAt(kind string, answered bool) {
	c.Helper()
	cmd, out := c.issue()
	started, dead := make(chan struct{}), make(chan struct{})
	c.ca.at(kind, answered, func() {
		<-started
		cmd.Process.Kill()
		<-dead
	})
	try(c.T, cmd.Start())
	close(started)
	err := cmd.Wait()
	close(dead)
	c.ca.at("", false, nil)
	if kind != "poll" && cmd.ProcessState.Success() { // Pebble may have signed by the time it answers
		c.Fatalf("%s: it was not asked for: %v\n%s", kind, err, out)
	}
}

// end looks at what was left, has the next run finish, and looks again.
func (c *crash) end(what string) {
	c.Helper()
	fail := func(step string, err error) {
		if err != nil {
			c.Fatalf("%s: %s: %v", what, step, err)
		}
	}
	for _, name := range crashNames {
		fail("then its live pair", c.whole(c.file("state/certs", name, "live", "fullchain.pem"), c.file("state/certs", name, "live", "privkey.pem")))
		_, err := c.shows(name)
		fail("then the proxy", err)
	}
	out := c.run(0, 2)
	if placed, finalized := c.ca.orders(); finalized != len(crashNames) {
		c.Fatalf("%s: %d orders placed, %d finalized, want %d\n%s", what, placed, finalized, len(crashNames), out)
	}
	for _, name := range crashNames {
		live := c.file("state/certs", name, "live", "fullchain.pem")
		fail("in the end its files", c.whole(c.file("tls", name+".crt"), c.file("tls", name+".key")))
		fail("in the end the proxy", testutil.Within(patience, func() error {
			got, err := c.shows(name)
			if want, rerr := os.ReadFile(live); err == nil && (rerr != nil || got != certificate(string(want))) {
				err = errors.New(name + ": not the live pair")
			}
			return err
		}))
	}
	fail("in the end", testutil.Within(patience, func() error {
		list, err := c.ns.txt()
		if err == nil && len(list) > 0 {
			err = errors.New("left in the zone: " + strings.Join(list, ", "))
		}
		return err
	}))
	c.swept(what)
	c.run(2)
}
