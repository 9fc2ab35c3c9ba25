package acme_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
)

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The URL of the account stays, and orders go on with the new key.
func TestRollover(t *testing.T) {
	for _, keyType := range []string{"ec256", "ec384", "rsa2048"} {
		t.Run(keyType, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{NonceReject: -1})
			c := g.client(t)
			before, err := c.Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keyFile := filepath.Join(g.accountDir(), "key.pem")
			old := readFile(t, keyFile)
			if after, err := c.Rollover(t.Context(), keyType); err != nil || after != before {
				t.Fatalf("Rollover = %s, %v; want %s", after, err, before)
			}
			if _, err := os.Stat(filepath.Join(g.accountDir(), "newkey.pem")); err == nil {
				t.Error("newkey.pem is left")
			}
			if _, err := c.Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Errorf("this process: %v", err)
			}
			if url, err := g.client(t).CheckAccount(t.Context()); err != nil || url != before {
				t.Errorf("the next process: %s, %v", url, err)
			}
			put(t, keyFile, old)
			if _, err := g.client(t).CheckAccount(t.Context()); err == nil {
				t.Error("the CA still knows the old key")
			}
		})
	}
}

// After a rollover that was cut off, the CA is asked which key it knows.
func TestRolloverCutOff(t *testing.T) {
	for _, taken := range []bool{false, true} {
		g := newFixture(t, acmetest.Options{NonceReject: -1})
		c := g.client(t)
		url, err := c.Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		key, newKey := filepath.Join(g.accountDir(), "key.pem"), filepath.Join(g.accountDir(), "newkey.pem")
		old := readFile(t, key)
		if _, err := c.Rollover(t.Context(), "ec256"); err != nil {
			t.Fatal(err)
		}
		want := readFile(t, key)
		if taken { // before the file was renamed
			put(t, newKey, want)
			put(t, key, old)
		} else { // before the CA was asked
			put(t, newKey, old)
		}
		after := g.client(t)
		if got, err := after.CheckAccount(t.Context()); err != nil || got != url {
			t.Errorf("taken %t: %s, %v; want %s", taken, got, err, url)
		}
		if _, err := after.Obtain(t.Context(), g.request("a.test")); err != nil {
			t.Errorf("taken %t: %v", taken, err)
		}
		if got := readFile(t, key); string(got) != string(want) {
			t.Errorf("taken %t: key.pem is not the key that the CA knows", taken)
		}
		if _, err := os.Stat(newKey); err == nil {
			t.Errorf("taken %t: newkey.pem is left", taken)
		}
	}
}

// The answer to a rollover is lost, so it is asked for again, and refused then: the new key
// is the account's. acme2certifier answers 500 to any that it makes with external accounts.
func TestRolloverAnswerLost(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answer   http.Handler // in place of the CA's
		external bool         // the CA wants an external account before it looks for one
	}{
		{"500 of a server's own", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Internal Server Error</h1>", http.StatusInternalServerError)
		}), false},
		{"502 of a proxy", acmetest.Problem{Status: http.StatusBadGateway, Type: "serverInternal"}, false},
		{"none", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), false},
		{"none, with an external account", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lost atomic.Bool
			g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Path == acmetest.PathKeyChange && lost.CompareAndSwap(false, true):
						record(next, r)
						tt.answer.ServeHTTP(w, r)
					case r.URL.Path == acmetest.PathNewAccount && lost.Load() && tt.external:
						acmetest.Problem{Status: http.StatusForbidden, Type: "externalAccountRequired"}.ServeHTTP(w, r)
					default:
						next.ServeHTTP(w, r)
					}
				})
			}})
			c := g.client(t)
			url, err := c.Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Rollover(t.Context(), "ec256"); err != nil || got != url {
				t.Errorf("Rollover = %s, %v; want %s", got, err, url)
			}
			if _, err := os.Stat(filepath.Join(g.accountDir(), "newkey.pem")); err == nil {
				t.Error("newkey.pem is left")
			}
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Errorf("the account is lost: %v", err)
			}
		})
	}
}

// A deactivated account is kept and not used; another one comes only when asked for.
func TestDeactivate(t *testing.T) {
	g := newFixture(t, acmetest.Options{NonceReject: -1})
	if _, err := g.client(t).Deactivate(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without an account: %v", err)
	}
	first, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if url, made, err := g.client(t).Register(t.Context()); err != nil || made || url != first {
		t.Errorf("Register beside an account = %s, %t, %v", url, made, err)
	}
	if url, err := g.client(t).Deactivate(t.Context()); err != nil || url != first {
		t.Fatalf("Deactivate = %s, %v", url, err)
	}
	before := snapshot(t, g.accountDir())
	_, err = g.client(t).Obtain(t.Context(), g.request("a.test"))
	if err == nil || !strings.Contains(err.Error(), "was deactivated at ") || !strings.Contains(remedyOf(err), "keypaird account register") {
		t.Errorf("an order: %v, remedy %s", err, remedyOf(err))
	}
	if after := snapshot(t, g.accountDir()); after != before {
		t.Errorf("files changed: %s", after)
	}
	g.registerAgain(t, first)
}

// once is a fault of the first request.
func once(f acmetest.Fault) acmetest.Fault {
	var asked atomic.Bool
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.CompareAndSwap(false, true) {
				f(next).ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// accountBehindFault returns a fixture with an account, and the fault of its POST requests.
func accountBehindFault(t *testing.T) (g *fixture, url string, fault *atomic.Pointer[acmetest.Fault]) {
	t.Helper()
	fault = new(atomic.Pointer[acmetest.Fault])
	g = newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if f := fault.Load(); f != nil && r.Method == http.MethodPost {
				(*f)(next).ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	url, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return g, url, fault
}

// An account that the CA has deactivated is replaced when asked for, whatever is known here.
func TestRegisterDeactivated(t *testing.T) {
	g, url, fault := accountBehindFault(t)
	lost := acmetest.Lost()
	fault.Store(&lost)
	if _, err := g.client(t).Deactivate(t.Context()); err == nil {
		t.Error("deactivated without an answer")
	}
	fault.Store(nil)
	g.registerAgain(t, url)
}

// Where the answer of the CA is lost, it is asked whether it has deactivated the account: by
// this process or, if it cannot be asked, by the next.
func TestDeactivateAnswerLost(t *testing.T) {
	refused := acmetest.Problem{Status: http.StatusForbidden, Type: "unauthorized"}
	for _, tt := range []struct {
		name  string
		fault acmetest.Fault
		ok    bool // of the first process; else the next one succeeds
	}{
		{"one answer lost", acmetest.At(acmetest.PathAccount, once(acmetest.Lost())), true},
		{"all answers lost", acmetest.At(acmetest.PathAccount, acmetest.Lost()), true},
		{"the CA still shows it", func(next http.Handler) http.Handler {
			shown := acmetest.Say(http.StatusOK, `{"status": "deactivated"}`, "Content-Type: application/json", "Location: https://ca.test/1")
			return acmetest.At(acmetest.PathAccount, acmetest.Lost())(acmetest.At(acmetest.PathNewAccount, shown)(next))
		}, true},
		{"the CA is away then", acmetest.Lost(), false},
		{"the CA refuses", acmetest.At(acmetest.PathAccount, acmetest.Answer(refused)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, url, fault := accountBehindFault(t)
			c := g.client(t)
			fault.Store(&tt.fault)
			if got, err := c.Deactivate(t.Context()); got != url || (err == nil) != tt.ok {
				t.Errorf("Deactivate = %s, %v", got, err)
			}
			fault.Store(nil)
			if !tt.ok {
				if _, err := g.client(t).Deactivate(t.Context()); err != nil {
					t.Errorf("again: %v", err)
				}
			}
			_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			wantError(t, err, "was deactivated at ", "keypaird account register")
			g.registerAgain(t, url)
		})
	}
}

// registerAgain registers another account in place of the first, whose files are kept, and
// orders with it.
func (g *fixture) registerAgain(t *testing.T, first string) {
	t.Helper()
	second, made, err := g.client(t).Register(t.Context())
	if err != nil || !made || second == first {
		t.Errorf("Register = %s, %t, %v", second, made, err)
	}
	if old, _ := filepath.Glob(filepath.Join(g.accountDir(), "*.old-*")); len(old) != 2 {
		t.Errorf("kept of the first: %q", old)
	}
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Error(err)
	}
}

// A CA that was set up anew does not know the account: another one comes in its place, when
// asked for.
func TestRegisterLost(t *testing.T) {
	g := newFixture(t, acmetest.Options{NonceReject: -1})
	first, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := keypair.NewKey(t.Context(), "ec256") // which the CA has never seen
	if err != nil {
		t.Fatal(err)
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(g.accountDir(), "key.pem"), data)
	_, err = g.client(t).CheckAccount(t.Context())
	wantError(t, err, "accountDoesNotExist", "if the CA has lost it: keypaird account register pebble")
	g.registerAgain(t, first)
}

// A certificate's own key revokes it without the account.
func TestRevokeByKey(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: tr.wrap})
	pair, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(g.accountDir()); err != nil {
		t.Fatal(err)
	}
	key, err := keypair.ParseKey(pair.Key())
	if err != nil {
		t.Fatal(err)
	}
	accounts, reason := tr.asked(acmetest.PathNewAccount), uint(1)
	for range 2 { // the second time it is revoked already
		if err := g.client(t).Revoke(t.Context(), pair.Leaf, key, &reason); err != nil {
			t.Fatal(err)
		}
	}
	if n := tr.asked(acmetest.PathNewAccount); n != accounts {
		t.Errorf("%d registrations", n-accounts)
	}
}

// A CA that knows certificates by accounts alone, as acme2certifier does, is asked again
// with the account's key.
func TestRevokeByAccountInstead(t *testing.T) {
	refused := acmetest.Problem{Status: http.StatusForbidden, Type: "accountDoesNotExist", Detail: "Forbidden"}
	for _, lost := range []bool{false, true} {
		g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: acmetest.Instead(acmetest.PathRevoke, 1, refused)})
		pair, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := keypair.ParseKey(pair.Key())
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			if err := os.RemoveAll(g.accountDir()); err != nil {
				t.Fatal(err)
			}
		}
		err = g.client(t).Revoke(t.Context(), pair.Leaf, key, nil)
		if _, revoked := g.ca.Revoked(pair.Leaf); revoked == lost || (err == nil) == lost {
			t.Errorf("account lost %t: revoked %t, %v", lost, revoked, err)
		}
		if lost && !strings.Contains(remedyOf(err), "to revoke serial number ") {
			t.Errorf("remedy %s", remedyOf(err))
		}
	}
}

// What private CAs answer that revoke nothing or replace no keys: Caddy and step-ca, and
// serles, though its directory lists both.
func TestUnsupported(t *testing.T) {
	for _, p := range []acmetest.Problem{
		{Status: http.StatusNotImplemented, Type: "rejectedIdentifier", Detail: "The requested operation is not implemented"},
		{Status: http.StatusForbidden, Type: "unauthorized", Detail: "not available"},
	} {
		g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
			return acmetest.Instead(acmetest.PathRevoke, -1, p)(acmetest.Instead(acmetest.PathKeyChange, -1, p)(next))
		}})
		c := g.client(t)
		pair, err := c.Obtain(t.Context(), g.request("a.test"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Rollover(t.Context(), "ec256")
		wantError(t, err, p.Detail, "keep the account's key, which is still used")
		wantError(t, c.Revoke(t.Context(), pair.Leaf, nil, nil), p.Detail, "to revoke serial number ")
		if _, err := c.CheckAccount(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A key is spelled the same in every request: acme2certifier compares the text, and would
// not find the account after a rollover.
func TestKeySpelledAlike(t *testing.T) {
	type jws struct{ Protected, Payload string }
	keyIn := func(protected string) string {
		text, _ := base64.RawURLEncoding.DecodeString(protected)
		var header struct{ JWK json.RawMessage }
		_ = json.Unmarshal(text, &header)
		return string(header.JWK)
	}
	for _, keyType := range []string{"ec256", "ec384", "rsa2048"} {
		var given, asked string // by the rollover, and when the account is looked for
		g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				var outer, inner jws
				_ = json.Unmarshal(body, &outer)
				switch r.URL.Path {
				case acmetest.PathKeyChange:
					text, _ := base64.RawURLEncoding.DecodeString(outer.Payload)
					_ = json.Unmarshal(text, &inner)
					given = keyIn(inner.Protected)
				case acmetest.PathNewAccount:
					asked = keyIn(outer.Protected)
				}
				next.ServeHTTP(w, r)
			})
		}})
		c := g.client(t)
		if _, err := c.Rollover(t.Context(), keyType); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CheckAccount(t.Context()); err != nil {
			t.Fatal(err)
		}
		if given == "" || given != asked {
			t.Errorf("%s: the key is %s, later %s", keyType, given, asked)
		}
	}
}

// A CA that demands a mail address says so in words of its own.
func TestRegisterWithoutAddress(t *testing.T) {
	missing := acmetest.Problem{Status: http.StatusBadRequest, Type: "malformed", Detail: "Contact information is missing"}
	g := newFixture(t, acmetest.Options{NonceReject: -1, Wrap: acmetest.Instead(acmetest.PathNewAccount, -1, missing)})
	_, err := g.client(t).Account(t.Context())
	wantError(t, err, "Contact information is missing", "set email at the top of the configuration")
}
