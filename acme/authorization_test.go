package acme_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// byDNS solves challenges by records made from the challenge alone (RFC 8555, section
// 8.4).
func (g *fixture) byDNS() acme.Method {
	return acme.Method{Type: acme.DNS01, Solver: txt{g.dns, func(c acme.Challenge) (string, string) {
		sum := sha256.Sum256([]byte(c.KeyAuth))
		return "_acme-challenge." + c.Identifier + ".", base64.RawURLEncoding.EncodeToString(sum[:])
	}}}
}

// byPersistent solves challenges by the record that they describe.
func (g *fixture) byPersistent() acme.Method {
	return acme.Method{Type: acme.DNSPersist01, Solver: txt{g.dns, func(c acme.Challenge) (string, string) {
		value := strings.Join(c.Issuers, " or ") + "; accounturi=" + c.AccountURL
		if c.Wildcard {
			value += "; policy=wildcard"
		}
		return "_validation-persist." + c.Identifier + ".", value
	}}}
}

func TestChallenges(t *testing.T) {
	for _, tt := range []struct {
		name       string
		challenges map[string]string // challenge type by name
	}{
		{"host by http-01", map[string]string{"chat.a.test": acme.HTTP01}},
		{"plain domain by dns-01", map[string]string{"a.test": acme.DNS01}},
		{"mixed in one certificate", map[string]string{"a.test": acme.DNS01, "chat.a.test": acme.HTTP01, "b.test": acme.DNSPersist01}},
		{"apex and wildcard, two values at one name", map[string]string{"a.test": acme.DNS01, "*.a.test": acme.DNS01}},
		{"apex by http-01, wildcard by dns-01", map[string]string{"a.test": acme.HTTP01, "*.a.test": acme.DNS01}},
		{"wildcard by a persistent record", map[string]string{"*.a.test": acme.DNSPersist01}},
		{"IPv4 address", map[string]string{"127.0.0.1": acme.HTTP01}},
		{"IPv6 address", map[string]string{"::1": acme.HTTP01}},
		{"address and name", map[string]string{"127.0.0.1": acme.HTTP01, "a.test": acme.DNS01}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{AuthzReuse: -1})
			g.solver.Listen = ":" + strconv.Itoa(g.ca.HTTPPort)
			names := slices.Sorted(maps.Keys(tt.challenges))
			req := g.request(names...)
			for name, kind := range tt.challenges {
				switch kind {
				case acme.DNS01:
					req.Methods[name] = g.byDNS()
				case acme.DNSPersist01:
					req.Methods[name] = g.byPersistent()
				}
			}
			pair, err := g.client(t).Obtain(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(pair.Names(), names) {
				t.Errorf("certificate for %v, want %v", pair.Names(), names)
			}
			if challenges, err := g.ca.Challenges(pair.Leaf); err != nil || !maps.Equal(challenges, tt.challenges) {
				t.Errorf("proven by %v, %v; want %v", challenges, err, tt.challenges)
			}
		})
	}
}

func TestNotOffered(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	_, err := g.client(t).Obtain(t.Context(), g.request("*.a.test"))
	wantError(t, err, "*.a.test: the CA has no http-01 challenge for this name, only: ", "another challenge type")
	if !acme.TryNextCA(err) || acme.CAWide(err) {
		t.Error("want another CA to be tried, for these names only")
	}
}

func TestProfiles(t *testing.T) {
	g := newFixture(t, acmetest.Options{Profiles: acmetest.ShortLived()})
	req := g.request("a.test")
	req.Profile = "shortlived"
	pair, err := g.client(t).Obtain(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore).Round(time.Hour); life != 160*time.Hour {
		t.Errorf("certificate lives %v, want 160h", life)
	}
	info, err := g.client(t).Info(t.Context())
	if err != nil || info.Profiles["shortlived"] == "" {
		t.Errorf("Info = %+v, %v; want the profile in it", info, err)
	}
	req = g.request("b.test")
	req.Profile = "longlived"
	_, err = g.client(t).Obtain(t.Context(), req)
	wantError(t, err, "invalidProfile", "set profile to one of: classic shortlived")
}

func TestNamesAreValidatedConcurrently(t *testing.T) {
	g := newFixture(t, acmetest.Options{AuthzReuse: -1})
	req := g.request("a.test", "b.test", "c.test")
	arrived, all := make(chan struct{}, len(req.Names)), make(chan struct{})
	for name, method := range req.Methods {
		solver := method.Solver
		req.Methods[name] = acme.Method{Type: acme.HTTP01, Solver: solverFunc(func(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
			if arrived <- struct{}{}; len(arrived) == cap(arrived) {
				close(all)
			}
			select { // nobody is proven before all are being proven
			case <-all:
			case <-time.After(time.Minute):
				return errors.New("alone")
			}
			return solver.Solve(ctx, c, validate)
		})}
	}
	if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

func TestSolverErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		prover solverFunc
		want   string
	}{
		{"panics", func(context.Context, acme.Challenge, func(context.Context) error) error { panic("nil map") }, "internal fault: nil map"},
		{"panics after the verdict", func(ctx context.Context, _ acme.Challenge, validate func(context.Context) error) error {
			_ = validate(ctx)
			panic("nil map")
		}, "internal fault: nil map"},
		{"cannot publish", func(context.Context, acme.Challenge, func(context.Context) error) error {
			return errors.New("no such zone")
		}, "b.test: http-01: no such zone"},
		{"published nothing", func(ctx context.Context, _ acme.Challenge, validate func(context.Context) error) error {
			return validate(ctx)
		}, "pebble: http-01: b.test: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{AuthzReuse: -1})
			req := g.request("a.test", "b.test")
			req.Methods["b.test"] = acme.Method{Type: acme.HTTP01, Solver: tt.prover}
			_, err := g.client(t).Obtain(t.Context(), req)
			wantError(t, err, tt.want, "")
			if acme.TryNextCA(err) {
				t.Error("another CA is tried")
			}
			// Once what went wrong is put right, the same state serves.
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test", "b.test")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSeveralNamesFail(t *testing.T) {
	g := newFixture(t, acmetest.Options{})
	g.solver.Listen = ""
	_, err := g.client(t).Obtain(t.Context(), g.request("a.test", "b.test", "c.test"))
	wantError(t, err, "(and 2 more names)", "port 80 must be reachable from outside at")
}

// A step that panics ends the order, not the process.
func TestStepPanics(t *testing.T) {
	for _, at := range []string{"ordering", "validating", "finalizing"} {
		t.Run(at, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{})
			req := g.request("a.test")
			req.Step = func(step string) {
				if strings.HasPrefix(step, at) {
					panic("boom")
				}
			}
			_, err := g.client(t).Obtain(t.Context(), req)
			wantError(t, err, "internal fault: boom", "")
		})
	}
}

func TestMalformedChallenges(t *testing.T) {
	for _, tt := range []struct{ name, old, with, want string }{
		{"token with a path in it", `"token": "`, `"token": "../../etc/passwd`, "malformed token"},
		{"short token", `"token": "`, `"token": "abc", "x": "`, "malformed token"},
		{"a name nobody ordered", `"value": "a.test"`, `"value": "evil.test\u001b[2J"`, `it wants an authorization for "evil.test"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newFixture(t, acmetest.Options{Wrap: rewrite(acmetest.PathAuthz, func(_ string, _ http.Header, body []byte) []byte {
				return []byte(strings.ReplaceAll(string(body), tt.old, tt.with))
			})})
			_, err := g.client(t).Obtain(t.Context(), g.request("a.test"))
			wantError(t, err, tt.want, "report it to the CA")
		})
	}
}
