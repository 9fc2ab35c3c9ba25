package dns01

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/renew/problem"
)

const (
	name  = "_acme-challenge.example.org."
	value = "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM"
)

var has = name + ` 60 IN TXT "` + value + `"`

// A testNet is a resolver and up to three name servers of example.org.
type testNet struct {
	resolver *nameServer
	servers  []*nameServer
	checker  Checker
	warned   *strings.Builder
}

func newTestNet(t *testing.T, servers ...*nameServer) *testNet {
	t.Helper()
	soa := "example.org. 300 IN SOA ns. hostmaster. 1 3600 600 86400 60"
	port, hosts := "", map[string][]string{}
	for i, s := range servers {
		s.authoritative = true
		if s.records == nil {
			s.set(t, soa, has)
		}
		ip := "127.0.0." + string(rune('1'+i))
		port = portOf(t, serve(t, s, ip, port))
		hosts["ns"+string(rune('1'+i))+".example.net."] = []string{ip}
	}
	r := &nameServer{}
	r.set(t, zoneOf("example.org.", hosts)...)
	w := &testNet{resolver: r, servers: servers, warned: &strings.Builder{}}
	w.checker = Checker{
		System: []string{serve(t, r, "127.0.0.1", "")}, Port: port,
		Timeout: time.Second, Grace: 2 * time.Second,
		Log: slog.New(slog.NewTextHandler(w.warned, nil)),
	}
	return w
}

func TestAwait(t *testing.T) {
	const soa = "example.org. 300 IN SOA ns. hostmaster. 1 3600 600 86400 60"
	other := func() *nameServer {
		s := &nameServer{}
		s.set(t, soa, name+` 60 IN TXT "left by somebody"`)
		return s
	}
	for _, tt := range []struct {
		name    string
		servers []*nameServer
		warn    string // empty: no warning
		err     string // empty: seen
		remedy  string
	}{
		{"all show it", []*nameServer{{}, {}}, "", "", ""},
		{"a secondary comes later", []*nameServer{{}, {after: 8}}, "", "", ""},
		{"the answer is cut off over UDP", []*nameServer{{mode: "truncated"}}, "", "", ""},
		{"UDP is blocked", []*nameServer{{mode: "tcp"}}, "", "", ""},
		{"one server is down", []*nameServer{{}, {mode: "silent"}}, "ns2.example.net.", "", ""},
		{"one server does not have the zone", []*nameServer{{mode: "refused"}, {}}, "ns1.example.net.", "", ""},
		{"one server is lame", []*nameServer{{mode: "lame"}, {}}, "ns1.example.net.", "", ""},
		{"a secondary never gets it", []*nameServer{{}, {after: 1e6}}, "",
			`not visible at ns2.example.net. (127.0.0.2:`, "dig TXT " + name + " @ns2.example.net."},
		{"something else is there", []*nameServer{other()}, "", `found only "left by somebody"`, "raise propagation"},
		{"all are down", []*nameServer{{mode: "silent"}, {mode: "silent"}}, "", "no answer over UDP or TCP", "port 53"},
		{"all refuse", []*nameServer{{mode: "refused"}}, "", "answered REFUSED", "port 53"},
		{"a server misses it and another is down", []*nameServer{{mode: "silent"}, {after: 1e6}}, "",
			"ns2.example.net. (127.0.0.2:", "dig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newTestNet(t, tt.servers...)
			limit := time.Minute
			if tt.err != "" { // it waits for all of that
				limit = 4 * time.Second
			}
			err := w.checker.Await(t.Context(), name, value, limit)
			if tt.err == "" && err != nil {
				t.Fatalf("Await = %v, want nil", err)
			}
			var unseen *PropagationError
			if tt.err != "" {
				if !errors.As(err, &unseen) || !strings.Contains(err.Error(), tt.err) || !strings.Contains(unseen.Remedy(), tt.remedy) {
					t.Fatalf("Await = %v, want %q with remedy %q", err, tt.err, tt.remedy)
				}
			}
			if warned := w.warned.String(); (warned != "") != (tt.warn != "") || !strings.Contains(warned, tt.warn) {
				t.Errorf("warned %q, want %q", warned, tt.warn)
			}
		})
	}
}

// IPv6 without a route is common: an address that cannot be reached does not
// matter if another one of that server answers, and costs no time.
func TestAwaitOneAddressOfTwo(t *testing.T) {
	w := newTestNet(t, &nameServer{})
	w.checker.Timeout, w.checker.Grace = 20*time.Second, 20*time.Second
	w.resolver.set(t, zoneOf("example.org.", map[string][]string{"ns1.example.net.": {"127.0.0.1", "::ffff:192.0.2.1", "100::1"}})...)
	begun := time.Now()
	if err := w.checker.Await(t.Context(), name, value, time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("took %v, want less than the grace of a silent server", took)
	}
	if w.warned.String() != "" {
		t.Errorf("warned %q", w.warned)
	}
}

// The resolver has a CNAME of a wildcard in its cache, which the record has replaced.
func TestAwaitDespiteWildcard(t *testing.T) {
	s := &nameServer{}
	w := newTestNet(t, s)
	w.resolver.set(t, append(w.resolver.lines(), name+" 60 IN CNAME proxy.elsewhere.example.")...)
	if err := w.checker.Await(t.Context(), name, value, time.Minute); err != nil {
		t.Fatal(err)
	}
	s.set(t, name+" 60 IN CNAME proxy.elsewhere.example.")
	err := w.checker.Await(t.Context(), name, value, time.Second)
	if err == nil || !strings.Contains(err.Error(), "found a CNAME to proxy.elsewhere.example.") {
		t.Fatalf("Await = %v", err)
	}
	if got := problem.Remedy(err); !strings.Contains(got, "let the CNAME lead to another name than that wildcard") {
		t.Errorf("remedy %q", got)
	}
}

// A record that the operator has published may be at the end of any CNAME.
func TestAwaitFollowsCNAME(t *testing.T) {
	s := &nameServer{}
	s.set(t, "example.org. 300 IN SOA ns. h. 1 3600 600 86400 60", `there.example.org. 60 IN TXT "`+value+`"`)
	w := newTestNet(t, s)
	w.resolver.set(t, append(w.resolver.lines(), "_validation-persist.example.com. 60 IN CNAME there.example.org.")...)
	err := w.checker.await(t.Context(), "_validation-persist.example.com.", true, time.Minute, func(txts []string) bool {
		return slices.Contains(txts, value)
	}, &found{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAwaitResolvers(t *testing.T) {
	const soa = "example.org. 300 IN SOA ns. h. 1 3600 600 86400 60"
	for _, tt := range []struct {
		name      string
		resolvers []*nameServer
		err       string
	}{
		{"both show it", []*nameServer{{}, {after: 2}}, ""},
		{"one never shows it", []*nameServer{{}, {after: 1e6}}, "no such name"},
		{"one is down", []*nameServer{{}, {mode: "silent"}}, "no answer over UDP or TCP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Checker{Timeout: 50 * time.Millisecond, Grace: 200 * time.Millisecond}
			for _, r := range tt.resolvers {
				r.authoritative = true // asked often, as a resolver that caches is not
				r.set(t, soa, has)
				c.Resolvers = append(c.Resolvers, serve(t, r, "127.0.0.1", ""))
			}
			limit := time.Minute
			if tt.err != "" { // it waits for all of that
				limit = time.Second
			}
			err := c.Await(t.Context(), name, value, limit)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("Await = %v, want %q", err, tt.err)
			}
		})
	}
}

// A resolver caches a negative answer for the TTL of the SOA record with it: it is not
// queried before that has passed.
func TestAwaitHonoursNegativeTTL(t *testing.T) {
	for _, tt := range []struct {
		name          string
		authoritative bool
		least, most   int
	}{
		{"a resolver that caches for 60s", false, 1, 1},
		{"a server that knows by itself", true, 2, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &nameServer{authoritative: tt.authoritative}
			r.set(t, "example.org. 300 IN SOA ns. h. 1 3600 600 86400 60")
			c := Checker{Resolvers: []string{serve(t, r, "127.0.0.1", "")}}
			_ = c.Await(t.Context(), name, value, time.Second)
			if n := r.questions(); n < tt.least || n > tt.most {
				t.Errorf("asked %d times in a second, want %d to %d", n, tt.least, tt.most)
			}
		})
	}
}

func TestAwaitCancelled(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server *nameServer
	}{
		{"while the record is missing", &nameServer{after: 1e6}},
		{"while a server is silent", &nameServer{mode: "silent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newTestNet(t, tt.server)
			w.checker.Timeout = time.Minute
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begun := time.Now()
			err := w.checker.Await(ctx, name, value, time.Minute)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 20*time.Second {
				t.Errorf("Await = %v after %v, want an end before long", err, time.Since(begun))
			}
		})
	}
}

// The zone is found again if the system's resolvers fail at first.
func TestAwaitResolverRecovers(t *testing.T) {
	w := newTestNet(t, &nameServer{})
	w.resolver.misbehave("refused")
	time.AfterFunc(300*time.Millisecond, func() { w.resolver.misbehave("") })
	if err := w.checker.Await(t.Context(), name, value, time.Minute); err != nil {
		t.Fatal(err)
	}
}

// A server that is down for longer than the grace is waited for while no other
// one shows the record.
func TestAwaitServerRecovers(t *testing.T) {
	w := newTestNet(t, &nameServer{mode: "silent"})
	time.AfterFunc(time.Second, func() { w.servers[0].misbehave("") })
	if err := w.checker.Await(t.Context(), name, value, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		elapsed, cached, want time.Duration
	}{
		{"at first", 0, 0, 15 * time.Millisecond},
		{"after a second", time.Second, 0, 125 * time.Millisecond},
		{"after a minute", time.Minute, 0, 5 * time.Second},
		{"a resolver knows no for 3s", time.Second, 3 * time.Second, 3 * time.Second},
		{"a resolver knows no for an hour", time.Second, time.Hour, 5 * time.Second},
	} {
		if got := pace(tt.elapsed, tt.cached); got != tt.want {
			t.Errorf("%s: pace = %v, want %v", tt.name, got, tt.want)
		}
	}
}
