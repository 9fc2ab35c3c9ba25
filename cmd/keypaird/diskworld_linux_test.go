//go:build amd64 || arm64

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// A disk is a world in which keypaird has trouble with its files.
//
// While a fault lasts, what is served stays as it is, or becomes the new pair as
// a whole; the account stays; nothing is ordered that is not kept. When it is
// over, the next run ends what was begun: each name has cost one order, however
// often it was tried.
type disk struct {
	*crash
	registered atomic.Int32 // accounts at the CA
	account    string       // account.json
	top        string       // of the configuration
	over       func()       // checks that nothing is left to do
}

// newDisk starts a world in which nothing was issued yet.
func newDisk(t *testing.T) *disk {
	t.Helper()
	d := new(disk)
	d.crash = startCrash(t, t.TempDir(), acmetest.Options{AuthzReuse: -1, Wrap: d.newAccounts})
	d.over = func() { d.run(2) }
	try(t, d.startProxy(crashNames))
	d.want()
	return d
}

// newAccounts is a CA that counts them.
func (d *disk) newAccounts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(s, r)
		if strings.HasPrefix(r.URL.Path, acmetest.PathNewAccount) && s.status == http.StatusCreated {
			d.registered.Add(1)
		}
	})
}

// want makes new certificates necessary, and has the daemon show its page.
func (d *disk) want() {
	d.Helper()
	d.begin()
	path := d.vars["KEYPAIRD_CONFIG"]
	text, err := os.ReadFile(path)
	if err != nil {
		d.Fatal(err)
	}
	text = fmt.Appendf([]byte(d.top), "%s[status]\nlisten = %q\n", text, d.vars["PAGE"])
	if err := os.WriteFile(path, text, 0o600); err != nil {
		d.Fatal(err)
	}
}

// issued has the first certificates.
func (d *disk) issued() {
	d.Helper()
	d.run(0)
	account, err := os.ReadFile(d.file("state/accounts/pebble/account.json"))
	if err != nil {
		d.Fatal(err)
	}
	d.account = string(account)
}

// watched has a client look at the proxy all the time, once that has nothing but
// valid pairs, until the end.
func (d *disk) watched() (end func()) {
	d.Helper()
	pid, err := os.ReadFile(d.vars["PROXY_PID"])
	if err != nil {
		d.Fatal(err)
	}
	workers := regexp.MustCompile(`\) [A-Z] ` + strings.TrimSpace(string(pid)) + " ")
	if err := testutil.Within(patience, func() error { // those before the reload have placeholders
		n := 0
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			if text, err := os.ReadFile(path); err == nil && workers.Match(text) {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	}); err != nil {
		d.Fatal(err)
	}
	stop := d.watch()
	return func() {
		if seen := stop(); seen == 0 {
			d.Error("nobody looked at the proxy")
		}
	}
}
