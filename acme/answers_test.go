package acme_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// edit changes the good answers to requests below path, which are JSON objects.
func edit(path string, change func(o map[string]any, r *http.Request)) acmetest.Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(next, r)
			var o map[string]any
			if strings.HasPrefix(r.URL.Path, path) && rec.Code < 300 && json.Unmarshal(rec.Body.Bytes(), &o) == nil {
				change(o, r)
				data, _ := json.Marshal(o)
				rec.Body.Reset()
				rec.Body.Write(data)
				rec.Header().Del("Content-Length")
			}
			replay(w, rec)
		})
	}
}

// orders changes all answers with an order.
func orders(change func(o map[string]any, r *http.Request)) acmetest.Fault {
	return all(edit(acmetest.PathNewOrder, change), edit(acmetest.PathOrder, change), edit(acmetest.PathFinalize, change))
}

func all(faults ...acmetest.Fault) acmetest.Fault {
	return func(next http.Handler) http.Handler {
		for _, f := range faults {
			next = f(next)
		}
		return next
	}
}

// between lets h answer n requests below path, after the CA has answered some.
func between(path string, after, n int, h http.Handler) acmetest.Fault {
	var count atomic.Int64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, path) {
				if i := int(count.Add(1)); i > after && i <= after+n {
					h.ServeHTTP(w, r)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// set returns a change that sets a member of an object; nil removes it.
func set(name string, value any) func(map[string]any, *http.Request) {
	return func(o map[string]any, _ *http.Request) {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
}

// relative makes the URLs of an object relative.
func relative(o map[string]any, r *http.Request) {
	data, _ := json.Marshal(o)
	clear(o)
	_ = json.Unmarshal([]byte(strings.ReplaceAll(string(data), "https://"+r.Host, "")), &o)
}

// A behaviour is one of a CA that was reported.
type behaviour struct {
	name  string
	fault acmetest.Fault
	names []string // ordered; nil means a.test by http-01, others are ordered by dns-01

	want, help string // of the error; "" means that the certificate is obtained
	kept       bool   // the order: the next run, without the fault, needs no other
	certs      int    // issued in both runs; zero means 1
	most       int    // requests of the first run; zero means 40
}

// check runs a behaviour once with the fault and once without. One certificate is
// issued at most, and one order placed unless the first was useless.
func (b behaviour) check(t *testing.T) {
	t.Helper()
	var tr traffic
	var total acmetest.Counter
	var healed atomic.Bool
	g := newFixture(t, acmetest.Options{NonceReject: -1, AuthzReuse: -1, Profiles: acmetest.ShortLived(), Wrap: func(next http.Handler) http.Handler {
		sound := tr.wrap(next)
		faulty := b.fault(sound)
		return total.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if healed.Load() {
				sound.ServeHTTP(w, r)
				return
			}
			faulty.ServeHTTP(w, r)
		}))
	}})
	req := g.request("a.test")
	if b.names != nil {
		req = g.request(b.names...)
		for _, name := range b.names {
			req.Methods[name] = g.byDNS()
		}
	}
	obtain := func() error {
		c := g.client(t)
		acme.SetPause(c, time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Obtain(ctx, req)
		return err
	}
	err := obtain()
	requests := total.Count("")
	if most := max(b.most, 40); requests > most {
		t.Errorf("%d requests, want %d at most", requests, most)
	}
	if b.want == "" && err != nil {
		t.Fatal(err)
	}
	if b.want != "" {
		wantError(t, err, b.want, b.help)
		if strings.ContainsAny(err.Error(), "{}&%") {
			t.Errorf("error = %v, want no syntax of Go", err)
		}
		if strings.Contains(remedyOf(err), "move ") || strings.Contains(remedyOf(err), "remove ") {
			t.Errorf("remedy = %q", remedyOf(err))
		}
		healed.Store(true)
		if err := obtain(); err != nil {
			t.Fatalf("without the fault: %v", err)
		}
	}
	most := 2
	if b.want == "" || b.kept {
		most = 1
	}
	if n := tr.granted(acmetest.PathNewOrder); n > most {
		t.Errorf("%d orders, want %d at most", n, most)
	}
	if n := tr.granted(acmetest.PathFinalize); n != max(b.certs, 1) {
		t.Errorf("%d certificates, want %d", n, max(b.certs, 1))
	}
	if n := tr.granted(acmetest.PathNewAccount); n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
}

// Replicas of a CA may lag behind the one that answered before, for seconds.
func TestReplicas(t *testing.T) {
	pending := acmetest.Problem{Status: http.StatusForbidden, Type: "unauthorized", Detail: "pending"}
	notReady := acmetest.Problem{Status: http.StatusForbidden, Type: "orderNotReady", Detail: "pending"}
	var rows []behaviour
	for _, at := range []struct{ name, path string }{
		{"order", acmetest.PathOrder}, {"authorization", acmetest.PathAuthz}, {"challenge", acmetest.PathChallenge}, {"certificate", acmetest.PathCertificate},
	} {
		rows = append(rows,
			behaviour{name: "404 on the " + at.name, fault: between(at.path, 0, 1, missing)},
			behaviour{name: "404 on the " + at.name + " for seconds", fault: between(at.path, 0, 25, missing), most: 100},
			behaviour{name: "403 pending on the " + at.name, fault: between(at.path, 0, 3, pending)},
		)
	}
	for _, b := range append(rows,
		behaviour{name: "404 on the authorization between two answers", fault: between(acmetest.PathAuthz, 1, 5, missing)},
		behaviour{name: "403 orderNotReady to finalize", fault: between(acmetest.PathFinalize, 0, 5, notReady)},
		behaviour{name: "404 to finalize", fault: between(acmetest.PathFinalize, 0, 5, missing)},
		behaviour{name: "403 orderNotReady to finalize without end", fault: between(acmetest.PathFinalize, 0, 1000, notReady),
			want: "orderNotReady: pending", help: "the order is kept", kept: true},
		behaviour{name: "certificate refused", fault: between(acmetest.PathCertificate, 0, 1000, acmetest.Problem{Status: 403, Type: "caa", Detail: "no"}),
			want: "caa: no", help: "CAA", kept: true},
		behaviour{name: "certificate gone", fault: between(acmetest.PathCertificate, 0, 1000, acmetest.Problem{Status: 410, Type: "malformed", Detail: "gone"}),
			want: "gone", help: "check -live", kept: true},
	) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t)
		})
	}
}

// An order that was finalized is not forgotten when a later run cannot fetch it.
func TestFinalizedOrderIsKept(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.Handler
	}{
		{"refused", acmetest.Problem{Status: 403, Type: "caa", Detail: "no"}},
		{"gone", acmetest.Problem{Status: 410, Type: "malformed", Detail: "gone"}},
		{"malformed", acmetest.Problem{Status: 400, Type: "malformed", Detail: "no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			var failing atomic.Bool
			g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
				sound := tr.wrap(next)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if failing.Load() && strings.HasPrefix(r.URL.Path, acmetest.PathOrder) {
						tt.h.ServeHTTP(w, r)
						return
					}
					sound.ServeHTTP(w, r)
				})
			}})
			req := g.request("a.test")
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil { // and killed before it was stored
				t.Fatal(err)
			}
			failing.Store(true)
			if _, err := g.client(t).Obtain(t.Context(), req); err == nil {
				t.Error("obtained with another order")
			}
			failing.Store(false)
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if orders, certs := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathFinalize); orders != 1 || certs != 1 {
				t.Errorf("%d orders and %d certificates, want 1 and 1", orders, certs)
			}
		})
	}
}

// openChallenge leaves a challenge open with an error, as step-ca does, until it was
// asked to validate it some times.
func openChallenge(status string, times int) acmetest.Fault {
	var asked atomic.Int64
	failure := map[string]any{"type": "urn:ietf:params:acme:error:connection", "detail": "The server could not connect to validation target"}
	return func(next http.Handler) http.Handler {
		next = edit(acmetest.PathAuthz, func(o map[string]any, _ *http.Request) {
			for _, c := range o["challenges"].([]any) {
				if n := int(asked.Load()); n > 0 && n <= times && c.(map[string]any)["type"] == acme.HTTP01 {
					c.(map[string]any)["status"], c.(map[string]any)["error"] = status, failure
				}
			}
		})(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, acmetest.PathChallenge) && int(asked.Add(1)) <= times {
				json.NewEncoder(w).Encode(map[string]any{"type": "http-01", "url": "https://" + r.Host + r.URL.Path, "status": status, "error": failure})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A challenge that failed and is open is tried again some times; then its error is
// that of the order, which is kept.
func TestOpenChallenge(t *testing.T) {
	for _, status := range []string{"pending", "processing"} {
		for _, b := range []behaviour{
			{name: status + ", once", fault: openChallenge(status, 1)},
			{name: status + ", three times", fault: openChallenge(status, 3)},
			{name: status + ", without end", fault: openChallenge(status, 1000),
				want: "http-01: a.test: connection: The server could not connect", help: "port 80 must be reachable", kept: true},
		} {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				b.check(t)
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

// No object of a CA is polled without a pause, whatever its Retry-After.
func TestPolling(t *testing.T) {
	processing := orders(func(o map[string]any, _ *http.Request) {
		if o["status"] == "valid" {
			o["status"] = "processing"
			delete(o, "certificate")
		}
	})
	for _, tt := range []struct {
		name  string
		fault acmetest.Fault
		most  int
	}{
		{"an authorization that stays pending", edit(acmetest.PathAuthz, set("status", "pending")), 120},
		{"an authorization that stays pending, try again after 0", all(edit(acmetest.PathAuthz, set("status", "pending")), acmetest.Headers("Retry-After: 0")), 120},
		{"an authorization that stays pending, try again in the past", all(edit(acmetest.PathAuthz, set("status", "pending")), acmetest.Headers("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT")), 120},
		{"an authorization that stays pending, try again next year", all(edit(acmetest.PathAuthz, set("status", "pending")), acmetest.Headers("Retry-After: 31536000")), 20},
		{"an order that stays pending", orders(set("status", "pending")), 200},
		{"an order that is being processed without end", processing, 200},
		{"a valid order without a certificate", orders(func(o map[string]any, _ *http.Request) { delete(o, "certificate") }), 200},
		{"a missing certificate", between(acmetest.PathCertificate, 0, 1000, missing), 120},
		{"a lagging order", all(processing, between(acmetest.PathOrder, 1, 1000, missing)), 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var total acmetest.Counter
			g := newFixture(t, acmetest.Options{NonceReject: -1, AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler { return total.Wrap(tt.fault(next)) }})
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if _, err := g.client(t).Obtain(ctx, g.request("a.test")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want to be asking still", err)
			}
			if n := total.Count(""); n > tt.most {
				t.Errorf("%d requests in 3 s, want %d at most", n, tt.most)
			}
		})
	}
}

// An order whose status goes to and fro is given up, and kept.
func TestStatusLoop(t *testing.T) {
	for _, tt := range []struct{ name, finalized, fetched string }{
		{"ready after processing", "processing", "ready"},
		{"ready after ready", "ready", "ready"},
		{"ready after pending", "pending", "ready"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			without := func(status string) func(map[string]any, *http.Request) {
				return func(o map[string]any, _ *http.Request) {
					o["status"] = status
					delete(o, "certificate")
				}
			}
			refused := acmetest.At(acmetest.PathFinalize, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprintf(w, `{"status":%q,"finalize":"https://%s%s"}`, tt.finalized, r.Host, r.URL.Path)
				})
			})
			behaviour{fault: all(edit(acmetest.PathOrder, without(tt.fetched)), refused), want: "after 8 requests", help: "the order is kept", kept: true, most: 60}.check(t)
		})
	}
}

// Names are accepted in any spelling that fits exactly one ordered name.
func TestSpelling(t *testing.T) {
	identifier := func(value string) map[string]any { return map[string]any{"type": "dns", "value": value} }
	authz := func(value string, wildcard any) acmetest.Fault {
		return edit(acmetest.PathAuthz, func(o map[string]any, _ *http.Request) {
			o["identifier"] = identifier(value)
			set("wildcard", wildcard)(o, nil)
		})
	}
	ids := func(values ...string) acmetest.Fault {
		return orders(func(o map[string]any, _ *http.Request) {
			var list []any
			for _, v := range values {
				list = append(list, identifier(v))
			}
			set("identifiers", list)(o, nil)
		})
	}
	wild, both := []string{"*.a.test"}, []string{"*.a.test", "a.test"}
	for _, b := range []behaviour{
		{name: "*. with wildcard", names: wild, fault: authz("*.a.test", true)},
		{name: "*. without wildcard", names: wild, fault: authz("*.a.test", nil)},
		{name: "without *. and without wildcard", names: wild, fault: authz("a.test", nil)},
		{name: "wildcard that is none", names: wild, fault: authz("a.test", "yes")},
		{name: "upper case", fault: authz("A.TEST", nil)},
		{name: "a final dot", fault: authz("a.test.", nil)},
		{name: "wildcard for a name that is none", fault: authz("a.test", true)},
		{name: "both, without wildcard", names: both, fault: edit(acmetest.PathAuthz, set("wildcard", nil))},
		{name: "order without *.", names: wild, fault: ids("a.test")},
		{name: "order of both without *.", names: both, fault: ids("a.test", "a.test")},
		{name: "order in upper case with a final dot", fault: ids("A.test.")},
		{name: "order without identifiers", fault: orders(set("identifiers", nil))},
		{name: "order with identifiers that are none", fault: orders(set("identifiers", "a.test"))},
		{name: "order for another name", fault: ids("b.test"), want: `the order is not for the names that were ordered: it has "b.test"`, help: "report it to the CA"},
		{name: "order that lacks a name", names: both, fault: ids("a.test"), want: "it lacks *.a.test", help: "report it to the CA"},
		{name: "authorization for another name", fault: authz("b.test", nil), want: `an authorization for "b.test", which was not ordered`, help: "report it to the CA"},
		{name: "authorization for the parent", names: []string{"chat.a.test"}, fault: authz("a.test", nil), want: `an authorization for "a.test"`, help: "report it to the CA"},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t)
		})
	}
}

// needsCommonName refuses certificate requests without a common name.
func needsCommonName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, acmetest.PathFinalize) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var jws struct{ Payload string }
			var message struct{ CSR string }
			_ = json.Unmarshal(body, &jws)
			payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
			_ = json.Unmarshal(payload, &message)
			der, _ := base64.RawURLEncoding.DecodeString(message.CSR)
			if csr, err := x509.ParseCertificateRequest(der); err != nil || csr.Subject.CommonName == "" {
				acmetest.Problem{Status: 400, Type: "badCSR", Detail: "no common name"}.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// A profile that the CA does not have costs no order.
func TestProfileOfNoCA(t *testing.T) {
	for _, tt := range []struct {
		name     string
		profiles any
		help     string
	}{
		{"others", map[string]any{"tlsserver": "", "classic": ""}, "set profile to one of: classic tlsserver"},
		{"none", nil, "remove profile: this CA has none"},
	} {
		var tr traffic
		g := newFixture(t, acmetest.Options{Wrap: func(next http.Handler) http.Handler {
			return edit(acmetest.PathDirectory, func(o map[string]any, _ *http.Request) { o["meta"] = map[string]any{"profiles": tt.profiles} })(tr.wrap(next))
		}})
		req := g.request("a.test")
		req.Profile = "shortlived"
		_, err := g.client(t).Obtain(t.Context(), req)
		wantError(t, err, `the CA has no profile "shortlived"`, tt.help)
		if n := tr.asked(acmetest.PathNewOrder); n != 0 || !acme.TryNextCA(err) {
			t.Errorf("%s: %d orders, TryNextCA %v; want 0 and true", tt.name, n, acme.TryNextCA(err))
		}
	}
}

// Oddities of CAs that can be understood.
func TestOddities(t *testing.T) {
	for _, b := range []behaviour{
		{name: "a request that must have a common name", fault: needsCommonName},
		{name: "the same for a wildcard", names: []string{"*.a.test"}, fault: needsCommonName},
		{name: "relative URLs in the directory", fault: edit(acmetest.PathDirectory, relative)},
		{name: "relative URLs in orders", fault: orders(relative)},
		{name: "relative URLs in authorizations", fault: edit(acmetest.PathAuthz, relative)},
		{name: "relative locations", fault: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := record(next, r)
				if at := rec.Header().Get("Location"); at != "" && strings.HasPrefix(r.URL.Path, acmetest.PathNewOrder) {
					rec.Header().Set("Location", strings.TrimPrefix(at, "https://"+r.Host))
				}
				replay(w, rec)
			})
		}},
		{name: "meta is a list", fault: edit(acmetest.PathDirectory, set("meta", []any{}))},
		{name: "meta is null", fault: edit(acmetest.PathDirectory, set("meta", map[string]any(nil)))},
		{name: "meta with members of other types", fault: edit(acmetest.PathDirectory, set("meta", map[string]any{
			"termsOfService": 7, "caaIdentities": "ca.test", "externalAccountRequired": "no", "profiles": []any{"x"}, "website": map[string]any{},
		}))},
		{name: "optional members of other types", fault: all(
			orders(func(o map[string]any, _ *http.Request) {
				o["expires"], o["notBefore"], o["profile"], o["error"] = 7, []any{}, 3, "none"
			}),
			edit(acmetest.PathAuthz, func(o map[string]any, _ *http.Request) { o["expires"] = "soon" }),
		)},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t)
		})
	}
}

// Answers that are nonsense are reported as what they are, and no order is
// repeated for them.
func TestNonsense(t *testing.T) {
	elsewhere := "https://evil.example/x"
	report, address := "no proxy changes its answers", "set directory in [ca.pebble]"
	challenges := func(value string) acmetest.Fault {
		return edit(acmetest.PathAuthz, func(o map[string]any, _ *http.Request) {
			for _, c := range o["challenges"].([]any) {
				c.(map[string]any)["url"] = value
			}
		})
	}
	plain := func(member string) acmetest.Fault {
		return orders(func(o map[string]any, _ *http.Request) {
			if s, ok := o[member].(string); ok {
				o[member] = strings.Replace(s, "https:", "http:", 1)
			}
		})
	}
	onValid := func(member string, value any) acmetest.Fault {
		return orders(func(o map[string]any, _ *http.Request) {
			if o["status"] == "valid" {
				o[member] = value
			}
		})
	}
	portal := acmetest.Say(200, html)
	for _, b := range []behaviour{
		{name: "finalize on another host", fault: edit(acmetest.PathNewOrder, set("finalize", elsewhere)), want: "its finalize is at https://evil.example, which is not a host", help: address},
		{name: "finalize by http", fault: plain("finalize"), want: "its finalize is at http://", help: address},
		{name: "authorization on another host", fault: edit(acmetest.PathNewOrder, set("authorizations", []string{elsewhere})), want: "its authorization is at https://evil.example, which", help: address},
		{name: "challenge on another host", fault: challenges(elsewhere), want: "a challenge of it: its url is at https://evil.example, which", help: address, kept: true},
		{name: "challenge by http", fault: challenges("http://127.0.0.1/x"), want: "its url is at http://127.0.0.1, which", help: address, kept: true},
		{name: "certificate on another host", fault: onValid("certificate", elsewhere), want: "its certificate is at https://evil.example, which", help: address, kept: true},
		{name: "certificate at no URL", fault: onValid("certificate", "https://[::1"), want: "its certificate is not a URL", help: report, kept: true},
		{name: "order on another host", fault: acmetest.At(acmetest.PathNewOrder, acmetest.Headers("Location: "+elsewhere)), want: "evil.example", help: address},
		{name: "no authorizations", fault: edit(acmetest.PathNewOrder, set("authorizations", nil)), want: "has no authorizations", help: report},
		{name: "authorizations that are none", fault: edit(acmetest.PathNewOrder, set("authorizations", "x")), want: "its authorizations is a string", help: report},
		{name: "no finalize", fault: edit(acmetest.PathNewOrder, set("finalize", nil)), want: "it has no finalize", help: report},
		{name: "a status that is a number", fault: edit(acmetest.PathAuthz, set("status", 7)), want: "its status is a number", help: report, kept: true},
		{name: "challenges that are none", fault: edit(acmetest.PathAuthz, set("challenges", 7)), want: "its challenges is a number", help: report, kept: true},
		{name: "directory without newOrder", fault: edit(acmetest.PathDirectory, set("newOrder", nil)), want: "it has no newOrder", help: report, kept: true},
		{name: "directory with http", fault: edit(acmetest.PathDirectory, set("newOrder", "http://127.0.0.1/x")), want: "its newOrder is at http://", help: address, kept: true},
		{name: "login page for the directory", fault: acmetest.At(acmetest.PathDirectory, portal), want: "is no directory: ", help: report, kept: true},
		{name: "redirects without end for the directory", fault: acmetest.At(acmetest.PathDirectory, acmetest.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}))), want: "answers with a redirect to", help: address, kept: true},
		{name: "redirect of the directory to another host", fault: acmetest.At(acmetest.PathDirectory, acmetest.Say(302, "", "Location: "+elsewhere)), want: "answers with a redirect to", help: address, kept: true},
		{name: "redirect of the authorization", fault: acmetest.At(acmetest.PathAuthz, acmetest.Say(302, "", "Location: "+elsewhere)), want: "answers with a redirect to", help: address, kept: true},
		{name: "redirect of finalize", fault: acmetest.At(acmetest.PathFinalize, acmetest.Say(302, "", "Location: "+elsewhere)), want: "answers with a redirect to", help: address, kept: true},
		{name: "no nonces", fault: acmetest.Headers("Replay-Nonce:"), want: "it gives out no nonces", help: report, kept: true},
		{name: "nonces by redirect", fault: acmetest.At(acmetest.PathNewNonce, acmetest.Say(302, "", "Location: "+elsewhere)), want: "answers with a redirect to", help: address, kept: true},
		{name: "gigabytes for the directory", fault: acmetest.At(acmetest.PathDirectory, acmetest.Endless(200)), want: "longer than a megabyte", help: report, kept: true},
		{name: "gigabytes for the certificate", fault: acmetest.At(acmetest.PathCertificate, acmetest.Endless(200)), want: "longer than a megabyte", help: report, kept: true},
		{name: "nothing for the certificate", fault: acmetest.At(acmetest.PathCertificate, acmetest.Say(200, "")), want: "is no cert: ", help: report, kept: true},
		{name: "an order that became invalid without a reason", fault: edit(acmetest.PathFinalize, set("status", "invalid")), want: "made the order invalid without a reason", help: "check -live", certs: 2},
		{name: "403 of a proxy for the order", fault: acmetest.At(acmetest.PathNewOrder, acmetest.Say(403, html)), want: "http status 403", help: "a proxy or firewall", kept: true},
		{name: "403 of a proxy for the authorization", fault: acmetest.At(acmetest.PathAuthz, acmetest.Say(403, html)), want: "http status 403", help: "a proxy or firewall", kept: true},
		{name: "403 of a proxy for the directory", fault: acmetest.At(acmetest.PathDirectory, acmetest.Say(403, html)), want: "http status 403", help: "a proxy or firewall", kept: true},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			b.check(t)
		})
	}
}
