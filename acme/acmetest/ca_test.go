package acmetest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"keypaird/acme/acmetest"
)

// startDNS starts a DNS server with every name of example.org on this machine.
func startDNS(t *testing.T, o acmetest.DNSOptions) *acmetest.DNS {
	t.Helper()
	if o.Zones == nil {
		o.Zones = []string{"example.org"}
		o.Records = append(o.Records, "example.org 60 A 127.0.0.1", "*.example.org 60 A 127.0.0.1")
	}
	ns, err := acmetest.StartDNS(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// startCA starts a CA that asks ns, and an account at it.
func startCA(t *testing.T, ns *acmetest.DNS, o acmetest.Options) (*acmetest.CA, *api.Core) {
	t.Helper()
	o.DNS = ns.Addr
	ca, err := acmetest.StartCA(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	core, err := acmetest.NewCore(ca)
	if err != nil {
		t.Fatal(err)
	}
	return ca, core
}

// startTokens starts a responder where ca looks.
func startTokens(t *testing.T, ca *acmetest.CA) *acmetest.Tokens {
	t.Helper()
	tokens, err := acmetest.StartTokens(ca.HTTPPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tokens.Close() })
	return tokens
}

// parse splits a chain and checks that it leads to the CA's root n.
func parse(t *testing.T, ca *acmetest.CA, n int, chain []byte, name string) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	pool := x509.NewCertPool()
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
		pool.AddCert(cert)
	}
	if len(certs) == 0 {
		t.Fatal("no certificate in the answer")
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{DNSName: name, Roots: ca.RootPool(n), Intermediates: pool}); err != nil {
		t.Fatal(err)
	}
	return certs
}

func TestHTTP01(t *testing.T) {
	var requests acmetest.Counter
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{Wrap: requests.Wrap})
	tokens := startTokens(t, ca)
	chain, _, err := acmetest.Obtain(t.Context(), core, tokens, "chat.example.org")
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, ca, 0, chain, "chat.example.org")[0]
	challenges, err := ca.Challenges(leaf)
	if err != nil || len(challenges) != 1 || challenges["chat.example.org"] != "http-01" {
		t.Errorf("Challenges = %v, %v", challenges, err)
	}
	if got := requests.Count(acmetest.PathNewOrder); got < 1 {
		t.Errorf("%d requests for orders counted", got)
	}
	if _, revoked := ca.Revoked(leaf); revoked {
		t.Error("new certificate is revoked")
	}
}

// The CA must look for itself, or nothing tested with it means anything.
func TestWrongResponseFails(t *testing.T) {
	ca, core := startCA(t, startDNS(t, acmetest.DNSOptions{}), acmetest.Options{})
	tokens := startTokens(t, ca)
	for _, tt := range []struct {
		name, typ, response, want string
	}{
		{"no response", "http-01", "", "unauthorized"},
		{"somebody else's response", "http-01", "forged", "unauthorized"},
		{"no TXT record", "dns-01", "", "unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			order, err := core.Orders.New([]string{"chat.example.org"})
			if err != nil {
				t.Fatal(err)
			}
			authz, err := core.Authorizations.Get(order.Authorizations[0])
			if err != nil {
				t.Fatal(err)
			}
			c := challenge(t, authz, tt.typ)
			if tt.response != "" {
				tokens.Set(c.Token, c.Token+"."+tt.response)
			}
			err = acmetest.Verdict(t.Context(), core, order.Authorizations[0], c.URL)
			var problem *acme.ProblemDetails
			if !errors.As(err, &problem) || !strings.HasSuffix(problem.Type, tt.want) {
				t.Errorf("verdict: %v, want %s", err, tt.want)
			}
			o, err := core.Orders.Get(order.Location)
			if err != nil || o.Status != acme.StatusInvalid {
				t.Errorf("order is %q, %v", o.Status, err)
			}
		})
	}
}

// challenge picks the challenge of a type.
func challenge(t *testing.T, authz acme.Authorization, typ string) acme.Challenge {
	t.Helper()
	i := slices.IndexFunc(authz.Challenges, func(c acme.Challenge) bool { return c.Type == typ })
	if i < 0 {
		t.Fatalf("no %s among %v", typ, authz.Challenges)
	}
	return authz.Challenges[i]
}

// Pebble reads its settings from the environment; two CAs may differ
// nevertheless, and so may what they are asked for.
func TestTwoCAs(t *testing.T) {
	ns := startDNS(t, acmetest.DNSOptions{})
	hmac := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	var rejected acmetest.Counter
	plain, core := startCA(t, ns, acmetest.Options{NonceReject: -1, Wrap: rejected.Wrap})
	odd, err := acmetest.StartCA(acmetest.Options{
		DNS: ns.Addr, NonceReject: 30, EAB: map[string]string{"kid-1": hmac},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer odd.Close()
	if _, err := acmetest.NewCore(odd); err == nil || !strings.Contains(err.Error(), "externalAccountRequired") {
		t.Errorf("account without external key: %v", err)
	}
	tokens := startTokens(t, plain)
	rejected.Reset()
	for i := range 5 {
		if _, _, err := acmetest.Obtain(t.Context(), core, tokens, fmt.Sprintf("n%d.example.org", i)); err != nil {
			t.Fatal(err)
		}
	}
	// One challenge and one finalize request for each, so no nonce was refused.
	if c, f := rejected.Count(acmetest.PathChallenge), rejected.Count(acmetest.PathFinalize); c != 5 || f != 5 {
		t.Errorf("%d challenges and %d finalize requests for 5 certificates", c, f)
	}
}

func TestOptions(t *testing.T) {
	ns := startDNS(t, acmetest.DNSOptions{})
	ca, core := startCA(t, ns, acmetest.Options{
		Profiles:       acmetest.ShortLived(),
		AlternateRoots: 1,
		ChainLength:    2,
		KeyAlgorithm:   "rsa",
		Blocked:        []string{"blocked.example.org"},
	})
	tokens := startTokens(t, ca)
	if _, err := core.Orders.New([]string{"blocked.example.org"}); err == nil || !strings.Contains(err.Error(), "rejectedIdentifier") {
		t.Errorf("blocked name: %v", err)
	}
	order, err := core.Orders.NewWithOptions([]string{"chat.example.org"}, &api.OrderOptions{Profile: "shortlived"})
	if err != nil || order.Profile != "shortlived" {
		t.Fatalf("order = %+v, %v", order, err)
	}
	chain, _, err := acmetest.Obtain(t.Context(), core, tokens, "chat.example.org")
	if err != nil {
		t.Fatal(err)
	}
	certs := parse(t, ca, 0, chain, "chat.example.org")
	if len(certs) != 3 || certs[1].PublicKeyAlgorithm != x509.RSA {
		t.Errorf("chain of %d, issuer's key %v; want 3 and RSA", len(certs), certs[1].PublicKeyAlgorithm)
	}
	if life := certs[0].NotAfter.Sub(certs[0].NotBefore); life > 90*24*time.Hour || life < 100*time.Hour {
		t.Errorf("lives %v, which is neither profile", life)
	}
	if ca.RootPEM(1) == nil || ca.RootPEM(2) != nil || bytes.Equal(ca.RootPEM(0), ca.RootPEM(1)) {
		t.Error("want two different roots and no third")
	}
	if err := ca.SetRenewalInfo(certs[0], "{broken"); err != nil {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	ns := startDNS(t, acmetest.DNSOptions{})
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"no header unless asked for", 0, false},
		{"header of an order", 3 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan string, 10)
			spy := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					if strings.HasPrefix(r.URL.Path, acmetest.PathFinalize) {
						got <- w.Header().Get("Retry-After")
					}
				})
			}
			ca, core := startCA(t, ns, acmetest.Options{RetryAfterOrder: tt.after, NonceReject: -1, Wrap: spy})
			if _, _, err := acmetest.Obtain(t.Context(), core, startTokens(t, ca), "chat.example.org"); err != nil {
				t.Fatal(err)
			}
			if header := <-got; (header != "") != tt.want {
				t.Errorf("Retry-After %q", header)
			}
		})
	}
}
