package acme_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"keypaird/acme"
	"keypaird/acme/accountkey"
	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
)

// An account that another program registered is found by its key, kept, and used
// without another registration.
func TestExistingAccount(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	other := start(t, acme.Options{CA: g.options(t).CA, Dir: filepath.Join(g.dir, "other"), Email: "a@example.org", Log: g.options(t).Log})
	url, err := other.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(g.dir, "other", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keypair.ParseKey(data)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := keypair.NewKey(t.Context(), accountkey.Default)
	if err != nil {
		t.Fatal(err)
	}

	c := g.client(t)
	if _, err := c.FindAccount(t.Context(), unknown, url); !errors.Is(err, acme.ErrNoAccount) || remedyOf(err) == "" {
		t.Errorf("FindAccount with another key = %v", err)
	}
	found, err := c.FindAccount(t.Context(), key, "https://old.example.org/reg/1")
	if err != nil || found != url {
		t.Fatalf("FindAccount = %q, %v; want %q", found, err, url)
	}
	if _, err := os.Stat(g.accountDir()); !os.IsNotExist(err) {
		t.Errorf("FindAccount kept something: %v", err)
	}
	for range 2 { // once more is no mistake
		if err := c.KeepAccount(key, found, "a@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	if got, err := g.client(t).CheckAccount(t.Context()); err != nil || got != url {
		t.Errorf("CheckAccount = %q, %v; want %q", got, err, url)
	}
	if err := c.KeepAccount(unknown, "https://ca.test/2", ""); err == nil || !strings.Contains(err.Error(), "key.pem: is there already") || remedyOf(err) == "" {
		t.Errorf("KeepAccount of another account = %v", err)
	}
	if err := c.KeepAccount(key, "https://ca.test/2", ""); err == nil || !strings.Contains(err.Error(), "account.json: is there already: "+url) {
		t.Errorf("KeepAccount of another URL = %v", err)
	}
}

// A CA that asks for an external account before it looks for a key is asked for the
// account itself.
func TestExistingExternalAccount(t *testing.T) {
	var asks atomic.Bool
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		refuse := acmetest.At(acmetest.PathNewAccount, acmetest.Say(403, `{"type":"urn:ietf:params:acme:error:externalAccountRequired"}`))(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asks.Load() {
				refuse.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	url, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(g.accountDir(), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keypair.ParseKey(data)
	if err != nil {
		t.Fatal(err)
	}
	asks.Store(true)
	if got, err := g.client(t).FindAccount(t.Context(), key, url); err != nil || got != url {
		t.Errorf("FindAccount = %q, %v; want %q", got, err, url)
	}
	if _, err := g.client(t).FindAccount(t.Context(), key, ""); err == nil || !strings.Contains(err.Error(), "externalAccountRequired") {
		t.Errorf("FindAccount without a URL = %v", err)
	}
	if _, err := g.client(t).FindAccount(t.Context(), key, url+"0"); !errors.Is(err, acme.ErrNoAccount) {
		t.Errorf("FindAccount of another URL = %v", err)
	}
}
