package acme_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
)

func TestAccountIsRegisteredOnce(t *testing.T) {
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	first, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"account.json", "key.pem"} {
		if info, err := os.Stat(filepath.Join(g.accountDir(), name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info.Mode(), err)
		}
	}
	c := g.client(t) // the next process
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if url, err := c.Account(t.Context()); err != nil || url != first {
				t.Errorf("Account = %s, %v; want %s", url, err, first)
			}
		})
	}
	wg.Wait()
	if n := tr.asked(acmetest.PathNewAccount); n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
}

func TestRegistrationCutOff(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	first, err := g.client(t).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(g.accountDir(), "account.json")); err != nil {
		t.Fatal(err)
	}
	second, err := g.client(t).Account(t.Context())
	if err != nil || second != first {
		t.Errorf("Account = %s, %v; want the one of the same key, %s", second, err, first)
	}
}

func TestAccountThatCannotBeUsed(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPEM, err := keypair.MarshalKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		damage     func(dir string) error
		want, help string
	}{
		{"the key is gone", func(dir string) error { return os.Remove(filepath.Join(dir, "key.pem")) },
			"key.pem is missing", "restore key.pem from a backup"},
		{"account.json is half a file", func(dir string) error { return os.Truncate(filepath.Join(dir, "account.json"), 20) },
			"not readable as an account", "keep key.pem"},
		{"account.json is empty", func(dir string) error { return os.Truncate(filepath.Join(dir, "account.json"), 0) },
			"not readable as an account", "restore it from a backup"},
		{"the key is half a file", func(dir string) error { return os.Truncate(filepath.Join(dir, "key.pem"), 40) },
			"key.pem", "restore key.pem"},
		{"the key is one that cannot sign requests", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "key.pem"), edPEM, 0o600)
		}, "P-256", "restore key.pem"},
		{"the account is that of another CA", func(dir string) error {
			path := filepath.Join(dir, "account.json")
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(data, []byte(`"https://`), []byte(`"https://other.`), 1), 0o600)
		}, "belongs to \"https://other.", "another name"},
		{"the key is a link to somewhere", func(dir string) error {
			path := filepath.Join(dir, "key.pem")
			if err := os.Rename(path, path+".moved"); err != nil {
				return err
			}
			return os.Symlink(path+".moved", path)
		}, "reading the account's key", ""},
		{"others can write the directory", func(dir string) error { return os.Chmod(dir, 0o777) },
			"can be written by everyone", "chmod go-w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
			if _, err := g.client(t).Account(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(g.accountDir()); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, g.accountDir())
			_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			wantError(t, err, tt.want, tt.help)
			if n := tr.asked(acmetest.PathNewAccount); n != 1 {
				t.Errorf("%d registrations, want none but the first", n)
			}
			if after := snapshot(t, g.accountDir()); after != before {
				t.Errorf("the account's directory changed from %q to %q", before, after)
			}
		})
	}
}

// snapshot returns the state of an account's directory, without the order log.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		if e.Name() != "orders.log" {
			b.WriteString(e.Name() + "=" + string(readFile(t, filepath.Join(dir, e.Name()))) + ";")
		}
	}
	return b.String()
}

// An account that the CA does not know is kept: its URL may be in CAA and
// dns-persist-01 records, and the CA may recover.
func TestForgottenAccount(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, g.accountDir())
	g.replaceCA(t)
	for _, name := range []string{"a.test", "b.test"} { // an order to resume, and a new one
		req := g.request(name)
		pending := savedOrder(req)
		_, err := g.client(t).Obtain(t.Context(), req)
		wantError(t, err, "accountDoesNotExist", "put back the right one")
		if after := savedOrder(req); after != pending {
			t.Errorf("the order under way changed from %q to %q", pending, after)
		}
	}
	if after := snapshot(t, g.accountDir()); after != before {
		t.Errorf("the account changed from %q to %q", before, after)
	}
}

// replaceCA replaces the CA by a new one at the same address.
func (g *fixture) replaceCA(t *testing.T) {
	t.Helper()
	o := acmetest.Options{Addr: strings.Split(g.ca.Directory, "/")[2], DNS: g.dns.Addr, HTTPPort: g.ca.HTTPPort}
	g.ca.Close()
	ca, err := acmetest.StartCA(o)
	if err != nil {
		t.Fatal(err)
	}
	g.ca = ca
}

// savedOrder returns the pending order on disk, or "none".
func savedOrder(req acme.Request) string {
	data, err := os.ReadFile(orderFile(req.Pending))
	if err != nil {
		return "none"
	}
	return string(data)
}

func TestExternalAccount(t *testing.T) {
	hmac := bytes.Repeat([]byte{0xfb, 0xef, 0xff, 1}, 9) // "-", "_" in base64url, "+", "/" in base64
	key := base64.RawURLEncoding.EncodeToString(hmac)
	wrong := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("x"), 36))
	for _, tt := range []struct {
		name, kid, key string
		want, help     string // "" means registered
	}{
		{"right", "kid-1", key, "", ""},
		{"right, with padding and a line end", "kid-1", " " + base64.URLEncoding.EncodeToString(hmac) + " \n", "", ""},
		{"right, in the other base64", "kid-1", base64.StdEncoding.EncodeToString(hmac), "", ""},
		{"missing", "", "", "externalAccountRequired", "set eab_kid and eab_hmac_file"},
		{"unknown id", "kid-2", key, "unauthorized", "check eab_kid and eab_hmac_file"},
		{"wrong key", "kid-1", wrong, "unauthorized", "check eab_kid"},
		{"no base64", "kid-1", "a key!", "not base64url", "copy the HMAC key"},
		{"empty key", "kid-1", "", "not base64url", "copy the HMAC key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{EAB: map[string]string{"kid-1": key}})
			o := g.options(t)
			o.CA.EABKeyID, o.CA.EABHMAC = tt.kid, tt.key
			_, err := start(t, o).Account(t.Context())
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, tt.want, tt.help)
			if !acme.TryNextCA(err) {
				t.Error("no other CA is tried")
			}
		})
	}
}

// step-ca calls each mistake of an external account a fault of its own.
func TestExternalAccountFault(t *testing.T) {
	fault := acmetest.Problem{Status: http.StatusInternalServerError, Type: "serverInternal", Detail: "The server experienced an internal error"}
	g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(acmetest.PathNewAccount, -1, fault)})
	o := g.options(t)
	_, err := start(t, o).Account(t.Context())
	wantError(t, err, "serverInternal", "the CA has a fault")
	o.CA.EABKeyID, o.CA.EABHMAC = "kid-1", "a2V5"
	_, err = start(t, o).Account(t.Context())
	wantError(t, err, "serverInternal", "check eab_kid and eab_hmac_file")
	if !acme.TryNextCA(err) {
		t.Error("no other CA is tried")
	}
}

func TestContactChanges(t *testing.T) {
	var tr traffic
	var broken atomic.Bool
	g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
		next = tr.wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() && strings.HasPrefix(r.URL.Path, acmetest.PathAccount) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	use := func(email string) {
		t.Helper()
		o := g.options(t)
		o.Email = email
		if _, err := start(t, o).Account(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	use("old@a.test")
	use("old@a.test")
	use("") // not configured any more: left as it is
	if n := tr.asked(acmetest.PathAccount); n != 0 {
		t.Errorf("%d updates while nothing changed", n)
	}
	broken.Store(true)
	use("new@a.test")
	if !strings.Contains(g.log.String(), "contact not updated") {
		t.Error("nothing in the log of a contact that was not updated")
	}
	broken.Store(false)
	use("new@a.test")
	if last := tr.requests[len(tr.requests)-1]; !strings.Contains(last.body, "mailto:new@a.test") {
		t.Errorf("the CA has %s", last.body)
	}
	use("new@a.test")
	if n := tr.granted(acmetest.PathAccount); n != 1 || tr.asked(acmetest.PathNewAccount) != 1 {
		t.Errorf("%d updates and %d registrations, want 1 and 1", n, tr.asked(acmetest.PathNewAccount))
	}
}

func TestBadContact(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	o := g.options(t)
	o.Email = "nobody"
	_, err := start(t, o).Account(t.Context())
	wantError(t, err, "invalidContact", "correct email")
}

// onlyAlgorithm refuses requests that are not signed by an algorithm, as a CA does that
// takes RSA keys only (RFC 8555, section 6.2).
func onlyAlgorithm(name string) acmetest.Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var jws struct{ Protected string }
			var head struct{ Alg string }
			if json.Unmarshal(body, &jws) == nil {
				protected, _ := base64.RawURLEncoding.DecodeString(jws.Protected)
				_ = json.Unmarshal(protected, &head)
			}
			if r.Method == http.MethodPost && head.Alg != name {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:badSignatureAlgorithm","detail":"no","algorithms":[%q]}`, name)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A new account gets a key of a type that the CA takes; the key of an account is
// never replaced.
func TestSignatureAlgorithm(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES384"} {
		g := newFixture(t, acmetest.Options{Wrap: onlyAlgorithm(algorithm)})
		first, err := g.client(t).Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if second, err := g.client(t).Account(t.Context()); err != nil || second != first {
			t.Errorf("Account = %s, %v; want %s again", second, err, first)
		}
		if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
			t.Error(err)
		}
	}
	for _, part := range []string{"account.json", ""} { // that is missing
		var strict atomic.Bool
		g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
			refusing := onlyAlgorithm("RS256")(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strict.Load() {
					refusing.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		}})
		if _, err := g.client(t).Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		if part != "" {
			if err := os.Remove(filepath.Join(g.accountDir(), part)); err != nil {
				t.Fatal(err)
			}
		}
		before := snapshot(t, g.accountDir())
		strict.Store(true)
		_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
		wantError(t, err, "badSignatureAlgorithm", "the CA takes only the signatures RS256")
		if after := snapshot(t, g.accountDir()); after != before {
			t.Errorf("the account changed from %q to %q", before, after)
		}
	}
}

// The CA is asked whether it knows the account.
func TestCheckAccount(t *testing.T) {
	accountAnswer := func(change func(o map[string]any, r *http.Request)) acmetest.Fault {
		return edit(acmetest.PathNewAccount, change)
	}
	for _, tt := range []struct {
		name       string
		fault      acmetest.Fault
		want, help string // "" means no error
	}{
		{"known", nil, "", ""},
		{"not known", acmetest.At(acmetest.PathNewAccount, acmetest.Say(400, `{"type":"urn:ietf:params:acme:error:accountDoesNotExist","detail":"who?"}`)), "accountDoesNotExist", "put back the right one"},
		{"deactivated", accountAnswer(set("status", "deactivated")), "is deactivated at the CA", "register another account beside it"},
		{"revoked", accountAnswer(set("status", "revoked")), "is revoked at the CA", "register another account beside it"},
		{"refused", acmetest.At(acmetest.PathNewAccount, acmetest.Say(403, `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"deactivated"}`)), "unauthorized: deactivated", "if the CA has deactivated it"},
		{"another one", acmetest.At(acmetest.PathNewAccount, acmetest.Headers("Location: https://ca.test/account/7")), "knows its key as https://ca.test/account/7", "restore key.pem"},
		{"known, after an error with a location", func(next http.Handler) http.Handler {
			first := acmetest.At(acmetest.PathNewAccount, acmetest.Headers("Location: https://ca.test/account/7"))(
				acmetest.Instead(acmetest.PathNewAccount, 1, acmetest.Problem{Status: http.StatusBadRequest, Type: "badNonce"})(next))
			var begun atomic.Bool
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == acmetest.PathNewAccount && begun.CompareAndSwap(false, true) {
					first.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		}, "", ""},
		{"asked for the external account first", acmetest.At(acmetest.PathNewAccount, acmetest.Say(403, `{"type":"urn:ietf:params:acme:error:externalAccountRequired"}`)), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			var checking atomic.Bool
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
				sound := tr.wrap(next)
				faulty := sound
				if tt.fault != nil {
					faulty = tt.fault(sound)
				}
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if checking.Load() {
						faulty.ServeHTTP(w, r)
						return
					}
					sound.ServeHTTP(w, r)
				})
			}})
			url, err := g.client(t).Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			checking.Store(true)
			got, err := g.client(t).CheckAccount(t.Context())
			if tt.want != "" {
				wantError(t, err, tt.want, tt.help)
			} else if err != nil || got != url {
				t.Errorf("CheckAccount = %s, %v; want %s", got, err, url)
			}
			if n := tr.count(acmetest.PathNewAccount, func(x exchange) bool { return x.status == http.StatusCreated }); n != 1 {
				t.Errorf("%d accounts, want 1", n)
			}
		})
	}
}
