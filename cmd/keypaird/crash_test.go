package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
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
	if !inOwnWorld(t) {
		return
	}
	c := newCrash(t)
	for _, kind := range []string{"directory", "nonce", "order", "authz", "challenge", "finalize", "poll", "certificate"} {
		for _, answered := range []bool{false, true} {
			c.begin()
			cmd, out := c.issue()
			started, dead := make(chan struct{}), make(chan struct{})
			c.ca.at(kind, answered, func() {
				<-started
				cmd.Process.Kill()
				<-dead
			})
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			err := cmd.Wait()
			close(dead)
			c.ca.at("", false, nil)
			if kind != "poll" && cmd.ProcessState.Success() { // Pebble may have signed by the time it answers
				t.Fatalf("%s: it was not asked for: %v\n%s", kind, err, out)
			}
			c.end(fmt.Sprintf("killed at %s, answered %v", kind, answered))
		}
	}
}

// Killed at any time: the moments are spread over a whole run, from start to
// deployment.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	if !inOwnWorld(t) {
		return
	}
	c := newCrash(t)
	c.begin()
	start := time.Now()
	c.run(0)
	whole := time.Since(start)
	moments := 24
	if testing.Short() {
		moments = 6
	}
	for i := range moments {
		c.begin()
		cmd, out := c.issue()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		moment := whole * time.Duration(i) / time.Duration(moments)
		timer := time.AfterFunc(moment, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Exited() {
			t.Fatalf("killed after %v: %v\n%s", moment, err, out)
		}
		c.end(fmt.Sprintf("killed after %v of %v", moment, whole))
	}
}

// newCrash starts a world in which both names are served.
func newCrash(t *testing.T) *crash {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	c := &crash{T: t, world: w}
	if c.program, err = built("keypaird"); err != nil {
		t.Fatal(err)
	}
	if _, err = built("keypaird-dns"); err != nil {
		t.Fatal(err)
	}
	if err := w.startDNS(); err != nil {
		t.Fatal(err)
	}
	if c.ca, err = w.startCA("CA", acmetest.Options{AuthzReuse: -1}); err != nil {
		t.Fatal(err)
	}
	if err := w.startProxy(crashNames); err != nil {
		t.Fatal(err)
	}
	c.begin()
	c.run(0)
	return c
}

// begin makes new certificates necessary: by the other type of key. Without a
// record there is no budget to hold them back.
func (c *crash) begin() {
	c.Helper()
	c.round++
	text := fmt.Sprintf("key = %q\n%s[identity.\"example.org\"]\nhost = \"matrix.example.org\"\ndns = \"ns\"\ndeploy = [\"proxy\"]\n%s",
		[]string{"ec256", "ec384"}[c.round%2], c.head(), c.vars["DEPLOY"])
	if err := os.WriteFile(c.vars["KEYPAIRD_CONFIG"], []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
	for _, name := range crashNames {
		if err := os.RemoveAll(c.file("state/certs", name, "record.json")); err != nil {
			c.Fatal(err)
		}
	}
	c.ca.mu.Lock()
	defer c.ca.mu.Unlock()
	c.ca.placed = 0
	clear(c.ca.finalized)
}

// issue is one run, not yet started.
func (c *crash) issue() (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(c.Context(), c.program, "-config", c.vars["KEYPAIRD_CONFIG"], "issue", "-v")
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
		fail("in the end the proxy", within(patience, func() error {
			got, err := c.shows(name)
			if want, rerr := os.ReadFile(live); err == nil && (rerr != nil || got != certificate(string(want))) {
				err = errors.New(name + ": not the live pair")
			}
			return err
		}))
	}
	fail("in the end", within(patience, func() error {
		list, err := c.ns.txt()
		if err == nil && len(list) > 0 {
			err = errors.New("left in the zone: " + strings.Join(list, ", "))
		}
		return err
	}))
	for _, path := range c.crumbs {
		if _, err := os.Lstat(path); err == nil {
			c.Errorf("%s: left over by the round before: %s", what, path)
		}
	}
	// What was being thrown away when keypaird died may wait for the next order.
	c.crumbs, _ = filepath.Glob(c.file("state/certs/*/.tmp-gone-*"))
	for _, pattern := range []string{"state/http-01/*", "state/certs/*/pending", "state/certs/*/.*", "tls/.*"} {
		left, _ := filepath.Glob(c.file(pattern))
		for _, path := range left {
			if slices.Contains(c.crumbs, path) || strings.HasPrefix(filepath.Base(path), ".token-") {
				continue // half a token, which nobody is shown, is swept a day later
			}
			c.Errorf("%s: left over: %s", what, path)
			os.RemoveAll(path)
		}
	}
	c.run(2)
}

// whole fails unless these are a pair.
func (c *crash) whole(chain, key string) error {
	chainPEM, err := os.ReadFile(chain)
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	_, err = keypair.Parse(chainPEM, keyPEM)
	return err
}

// shows is the certificate that the proxy serves for a name, as certificate
// gives it. A handshake with it proves that it has the key too.
func (c *crash) shows(name string) (string, error) {
	conn, err := tls.Dial("tcp", c.vars["PROXY"], &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return certificate(pemOf(conn.ConnectionState().PeerCertificates[0])), nil
}
