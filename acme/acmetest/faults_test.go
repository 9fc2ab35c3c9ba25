package acmetest_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"
	"encoding/pem"

	"github.com/go-acme/lego/v4/acme"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// get fetches the directory on a connection of its own.
func get(t *testing.T, ca *acmetest.CA, timeout time.Duration, http2 bool) (*http.Response, error) {
	t.Helper()
	pool, err := acmetest.Pool(ca.Roots)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2, DisableKeepAlives: !http2}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: timeout}).Get(ca.Directory)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

func TestFaults(t *testing.T) {
	ns := startDNS(t, acmetest.DNSOptions{})
	const dir = acmetest.PathDirectory
	busy := acmetest.Problem{Type: "rateLimited", Detail: "too busy", RetryAfter: 90 * time.Second}
	for _, tt := range []struct {
		name  string
		wrap  func(http.Handler) http.Handler
		check func(*http.Response, error) bool // of the first answer
	}{
		{"busy", acmetest.Instead(dir, 1, busy), func(r *http.Response, err error) bool {
			return err == nil && r.StatusCode == 503 && r.Header.Get("Retry-After") == "90"
		}},
		{"stall", acmetest.Instead(dir, 1, acmetest.Stall()), func(_ *http.Response, err error) bool {
			return os.IsTimeout(err)
		}},
		{"reset", acmetest.Instead(dir, 1, acmetest.Reset()), func(_ *http.Response, err error) bool {
			return errors.Is(err, syscall.ECONNRESET)
		}},
		{"other path", acmetest.Instead(acmetest.PathNewOrder, -1, acmetest.Stall()), func(r *http.Response, err error) bool {
			return err == nil && r.StatusCode == 200
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca, err := acmetest.StartCA(acmetest.Options{DNS: ns.Addr, Wrap: tt.wrap})
			if err != nil {
				t.Fatal(err)
			}
			defer ca.Close()
			if r, err := get(t, ca, 300*time.Millisecond, false); !tt.check(r, err) {
				t.Errorf("first answer: %v, %v", r, err)
			}
			r, err := get(t, ca, 5*time.Second, true)
			if err != nil || r.StatusCode != 200 || r.ProtoMajor != 2 {
				t.Errorf("second answer: %v, %v", r, err)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	const d = 100 * time.Millisecond
	ca, err := acmetest.StartCA(acmetest.Options{Wrap: acmetest.Delay(d)})
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	start := time.Now()
	if _, err := get(t, ca, 5*time.Second, true); err != nil || time.Since(start) < d {
		t.Errorf("answered after %v, %v", time.Since(start), err)
	}
}

// A slow CA holds back what it knows: the client sees each status for as long
// as it should, and still gets its certificate.
func TestSlow(t *testing.T) {
	var mu sync.Mutex
	polls := make(map[string]int) // by kind of resource
	count := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			polls[r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')+1]]++
			mu.Unlock()
			next.ServeHTTP(w, r)
			if p := r.URL.Path; strings.HasPrefix(p, acmetest.PathFinalize) && w.Header().Get("Retry-After") != "2" {
				t.Errorf("%s: Retry-After %q", p, w.Header().Get("Retry-After"))
			}
		})
	}
	slow := acmetest.Slow{RTT: 20 * time.Millisecond, Validate: 400 * time.Millisecond, Finalize: 300 * time.Millisecond, RetryAfter: 2 * time.Second}
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{
		NonceReject: -1,
		Wrap:        func(next http.Handler) http.Handler { return count(slow.Wrap(next)) },
	})
	tokens := startTokens(t, ca)
	start := time.Now()
	chain, _, err := acmetest.Obtain(t.Context(), core, tokens, "chat.example.org")
	if err != nil {
		t.Fatal(err)
	}
	parse(t, ca, 0, chain, "chat.example.org")
	// Five round trips cannot be hidden: order, authorization, challenge
	// and finalize half each way, certificate.
	if d, least := time.Since(start), slow.Validate+slow.Finalize+5*slow.RTT; d < least {
		t.Errorf("took %v, less than %v", d, least)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, kind := range []string{acmetest.PathAuthz, acmetest.PathOrder} {
		if polls[kind] < 2 { // on a quiet machine a dozen
			t.Errorf("%d looks at %s: nothing was held back", polls[kind], kind)
		}
	}
}

// The order may not tell what the authorization keeps back.
func TestSlowOrderWaitsForAuthorization(t *testing.T) {
	slow := acmetest.Slow{Validate: 300 * time.Millisecond}
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{NonceReject: -1, Wrap: slow.Wrap})
	tokens := startTokens(t, ca)
	order, err := core.Orders.New([]string{"chat.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	authz, err := core.Authorizations.Get(order.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	c := challenge(t, authz, "http-01")
	keyAuth, err := core.GetKeyAuthorization(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	tokens.Set(c.Token, keyAuth)
	start := time.Now()
	if got, err := core.Challenges.New(c.URL); err != nil || got.Status != acme.StatusProcessing {
		t.Errorf("challenge is %q, %v", got.Status, err)
	}
	for {
		o, err := core.Orders.Get(order.Location)
		if err != nil {
			t.Fatal(err)
		}
		if o.Status == acme.StatusReady {
			break
		}
		if o.Status != acme.StatusPending {
			t.Fatalf("order is %s", o.Status)
		}
	}
	if d := time.Since(start); d < slow.Validate {
		t.Errorf("order is ready after %v", d)
	}
}

func TestFront(t *testing.T) {
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{})
	tokens := startTokens(t, ca)
	dir := t.TempDir()
	front, err := acmetest.StartFront("", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	for _, base := range []string{"chat", "mail/live"} {
		name, _, _ := strings.Cut(base, "/")
		name += ".example.org"
		chain, key, err := acmetest.Obtain(t.Context(), core, tokens, name)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		chainFile, keyFile := filepath.Join(dir, base+".crt"), filepath.Join(dir, base+".key")
		if strings.HasSuffix(base, "live") {
			if err := os.MkdirAll(filepath.Join(dir, base), 0o700); err != nil {
				t.Fatal(err)
			}
			chainFile, keyFile = filepath.Join(dir, base, "fullchain.pem"), filepath.Join(dir, base, "privkey.pem")
		}
		write(t, chainFile, chain)
		write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		conf := &tls.Config{ServerName: name, RootCAs: ca.RootPool(0)}
		if conn, err := tls.Dial("tcp", front.Addr, conf); err == nil {
			conn.Close()
			t.Errorf("%s served before the reload", name)
		}
		if err := front.Reload(); err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", front.Addr, conf)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	write(t, filepath.Join(dir, "chat.key"), []byte("broken"))
	if err := front.Reload(); err == nil {
		t.Error("broken key accepted")
	}
	conn, err := tls.Dial("tcp", front.Addr, &tls.Config{ServerName: "chat.example.org", RootCAs: ca.RootPool(0)})
	if err != nil {
		t.Errorf("after a reload that failed: %v", err)
	} else {
		conn.Close()
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	testutil.WriteFile(t, path, data, 0o600)
}
