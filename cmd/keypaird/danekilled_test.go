package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// A daneCrash is keypaird killed with -9 while it renews a certificate whose key
// peers know by TLSA records.
type daneCrash struct{ *crash }

// Killed at requests of an order, whether it keeps the key or has the next one:
// the next run ends it with the same key and without a second certificate, and
// what is announced then is not yet used.
func TestDaneKilledAtRequests(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	if !inside() {
		t.Skip("needs root and Linux: the name server has to be at port 53")
	}
	c := newDaneCrash(t)
	for _, at := range []struct {
		kind     string
		answered bool
	}{{"order", true}, {"finalize", false}, {"finalize", true}, {"certificate", true}} {
		for _, roll := range []bool{false, true} {
			what := fmt.Sprintf("killed at %s, answered %t, to roll %t", at.kind, at.answered, roll)
			if roll {
				c.publish()
			}
			c.begin()
			live, next := c.read("live/privkey.pem"), c.read("nextkey.pem")
			c.killAt(at.kind, at.answered)
			if got := c.read("nextkey.pem"); !bytes.Equal(got, next) {
				t.Fatalf("%s: another key is announced before the order ended", what)
			}
			out := c.run(0)
			want := live
			if roll {
				want = next
			}
			placed, finalized := c.ca.orders()
			if got := c.read("live/privkey.pem"); !bytes.Equal(got, want) || finalized != 1 || placed > 2 {
				t.Fatalf("%s: the right key %t, %d orders, %d finalized\n%s", what, bytes.Equal(got, want), placed, finalized, out)
			}
			if got := c.read("nextkey.pem"); bytes.Equal(got, next) == roll {
				t.Fatalf("%s: the next key is another one: %t", what, !roll)
			}
			if err := c.whole(c.file("state/certs/mail/live/fullchain.pem"), c.file("state/certs/mail/live/privkey.pem")); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			c.run(2)
		}
	}
}

func newDaneCrash(t *testing.T) *daneCrash {
	t.Helper()
	c := &daneCrash{startCrash(t, t.TempDir(), acmetest.Options{AuthzReuse: -1})}
	c.begin()
	c.run(0)
	return c
}

func (c *daneCrash) read(file string) []byte {
	c.Helper()
	data, err := os.ReadFile(c.file("state/certs/mail", file))
	try(c.T, err)
	return data
}

// begin makes a new certificate necessary: for other names. No limit stands
// against it.
func (c *daneCrash) begin() {
	c.Helper()
	c.round++
	names := `"mail.example.org"`
	if c.round%2 == 0 {
		names += `, "matrix.example.org"`
	}
	text := c.head() + "[cert.mail]\nhttp-01 = [" + names + "]\ntlsa = [\"_25._tcp.mail.example.org\"]\n"
	try(c.T, os.WriteFile(c.vars["KEYPAIRD_CONFIG"], []byte(text), 0o600))
	try(c.T, os.RemoveAll(c.file("state/accounts/pebble/orders.log")))
	c.ca.forgetOrders()
}

var toPublish = regexp.MustCompile(`(?m)^    publish: (.*) IN (TLSA .*)$`)

// publish does what status says is to be done, and waits until the next key can be
// trusted in.
func (c *daneCrash) publish() {
	c.Helper()
	for _, m := range toPublish.FindAllStringSubmatch(c.status(), -1) {
		try(c.T, c.ns.change(true, m[1]+" 0 IN "+m[2]))
	}
	try(c.T, testutil.Within(patience, func() error {
		c.run(2)
		if text := c.status(); !strings.Contains(text, "the next renewal uses the next key") {
			return errors.New("not trusted: " + text)
		}
		return nil
	}))
}

func (c *daneCrash) status() string {
	c.Helper()
	cmd, out := c.command("status", "mail")
	if err := cmd.Run(); err != nil {
		c.Fatalf("status: %v\n%s", err, out)
	}
	return out.String()
}
