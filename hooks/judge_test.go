package hooks

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/expect"
	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/seen"
)

// An endpoint that was down before and is down after is no reason to go back,
// nor is one that goes on with another client's pair: the previous pair would do
// no better.
func TestNotRolledBack(t *testing.T) {
	twin := good(t, plain)
	for _, tt := range []struct {
		name string
		at   func(t *testing.T) []expect.Endpoint
	}{
		{"down before", func(t *testing.T) []expect.Endpoint { return endpoints(freePort(t)) }},
		{"serves another's before and after", func(t *testing.T) []expect.Endpoint { return startFrail(t, twin).d.Verify }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old, p := good(t, plain), good(t, plain)
			f := startFrail(t, old)
			f.d.Verify = append(f.d.Verify, tt.at(t)...)
			err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
			failure(t, err, StepVerify).stands(t, false, true, plain)
			if !strings.Contains(err.Error(), f.d.Verify[1].String()) {
				t.Errorf("error = %v, want the second endpoint's", err)
			}
			if err := serves(t, f.d.Verify[0].Endpoint, p); err != nil {
				t.Error(err)
			}
		})
	}
}

// Nothing goes back to a pair that ends before the next try.
func TestNotBackToWhatEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		left time.Duration // of the previous pair
		next time.Duration // try; 0: not known
		back bool
	}{
		{"ends before the next try", time.Hour, 2 * time.Hour, false},
		{"ends after the next try", 3 * time.Hour, 2 * time.Hour, true},
		{"ends in ten minutes, next try unknown", 10 * time.Minute, 0, false},
		{"ends in an hour, next try unknown", time.Hour, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, p := newPair(t, -time.Hour, tt.left, plain), good(t, plain)
			f := startFrail(t, old)
			f.d.Reload, f.d.Restart = []string{"false"}, nil
			c := renew.Change{Name: plain, New: p, Previous: old}
			if tt.next > 0 {
				c.NextTry = time.Now().Add(tt.next)
			}
			failure(t, f.d.deploy(t.Context(), []renew.Change{c}), StepReload).stands(t, tt.back, false, plain)
			want := p
			if tt.back {
				want = old
			}
			if text(t, f.in("crt")) != string(want.FullChain()) {
				t.Error("the files are not the pair they should be")
			}
		})
	}
}

// unknowing is an XMPP server that hosts none of the domains it is asked for.
func unknowing(t *testing.T) probe.Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1024))
			fmt.Fprint(conn, "<?xml version='1.0'?><stream:stream><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	e, err := probe.ParseEndpoint("xmpp-client:" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A name is demanded where it is known. Some name has to be.
func TestNameServedElsewhere(t *testing.T) {
	const component = "rooms.example.org"
	t.Run("another target's certificate", func(t *testing.T) {
		t.Parallel()
		old, p := good(t, plain), good(t, plain, component)
		f := startFrail(t, old)
		unnamed := good(t, host) // what the second endpoint serves whatever the name
		second := startFrail(t, unnamed).d.Verify
		f.d.Verify = append(f.d.Verify, second...)
		err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
		failure(t, err, StepVerify).stands(t, false, true, plain) // no name is served there
		if err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old, WasVerified: true}}); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name    string
		known   bool // WasVerified
		wantErr bool
	}{
		{"no name is known, and was not when it was verified", true, false},
		{"no name is known, and never was", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old, p := good(t, plain), good(t, plain)
			f := startFrail(t, old)
			f.d.Verify = append(f.d.Verify, endpoints(unknowing(t))...)
			log := new(strings.Builder)
			f.d.Log = textLog(log)
			err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old, WasVerified: tt.known}})
			if tt.wantErr {
				failure(t, err, StepVerify).stands(t, false, true, plain)
				if !errors.Is(err, probe.ErrHostUnknown) {
					t.Errorf("Deploy = %v, want ErrHostUnknown", err)
				}
			} else if err != nil || !strings.Contains(log.String(), `level=WARN msg="name not served at endpoint, as before"`) {
				t.Errorf("Deploy = %v, log:\n%s", err, log)
			}
			if err := serves(t, f.d.Verify[0].Endpoint, p); err != nil {
				t.Error(err)
			}
		})
	}
}

// One target that is unfit does not hold up another, and each failure can be
// read.
func TestUnfitIsLeftOut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change renew.Change
		spoil  func(*testing.T, *relayd)
		want   string
	}{
		{"lacks a name", renew.Change{Name: host, Names: []string{host, plain}, New: good(t, host)}, nil, "lacks"},
		{"has expired", renew.Change{Name: host, New: newPair(t, -48*time.Hour, -time.Hour, host)}, nil, "expired"},
		{"no pair", renew.Change{Name: host}, nil, "no pair to deploy"},
		{"directory in its way", renew.Change{Name: host, New: good(t, host)}, func(t *testing.T, r *relayd) {
			if err := os.MkdirAll(r.crt(host), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		{"its temporary file cannot be written", renew.Change{Name: host, New: good(t, host)}, func(t *testing.T, r *relayd) {
			if err := os.MkdirAll(staged(r.key(host))+"/x", 0o755); err != nil {
				t.Fatal(err)
			}
		}, "writing "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, p := good(t, plain), good(t, plain)
			r := startRelayd(t, []string{plain}, old)
			if tt.spoil != nil {
				tt.spoil(t, r)
			}
			err := r.d.deploy(t.Context(), []renew.Change{tt.change, {Name: plain, New: p, Previous: old}})
			failure(t, err, StepInstall).stands(t, false, false, host)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Deploy = %v, want %q", err, tt.want)
			}
			r.shows(p)
			r.reloaded("deploy")
		})
	}
}

// All that is not served is said, each target's with its own.
func TestEachFailureCanBeRead(t *testing.T) {
	t.Parallel()
	oldPlain, oldHost := good(t, plain), good(t, host)
	r := startRelayd(t, []string{plain, host}, oldPlain, oldHost)
	r.d.Reload, r.d.Timeout = []string{"true"}, time.Second
	e, ok := errors.AsType[failureList](r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: oldPlain}, {Name: host, New: good(t, host), Previous: oldHost}}))
	if !ok || len(e) != 2 || e.of("other") != nil {
		t.Fatalf("Deploy = %v, want two failures", e)
	}
	for name, old := range map[string]*keypair.Pair{plain: oldPlain, host: oldHost} {
		f := e.of(name)
		if f == nil || !f.RolledBack || !slices.Equal(f.Targets, []string{name}) || !strings.Contains(f.Error(), "serves certificate "+old.Fingerprint()[:16]) {
			t.Errorf("%s: %v", name, f)
		}
	}
}

// What is down for all targets is said once for all.
func TestSameFailureIsSharedByTargets(t *testing.T) {
	t.Parallel()
	f := startFrail(t, good(t, plain))
	d := Deployment{Name: "x", Combined: f.in("{name}.pem"), Verify: endpoints(freePort(t)), Timeout: time.Second}
	err := d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}, {Name: host, New: good(t, host)}})
	failure(t, err, StepVerify).stands(t, false, true, plain, host)
}

// An identity with a component on one XMPP server and one web server: each target has
// the results of its own endpoints, and one that fails is no other's error.
func TestEachEndpointHasItsResult(t *testing.T) {
	t.Parallel()
	const rooms = "rooms.example.org"
	components := []string{rooms}
	oldPlain, oldHost := good(t, plain, rooms), good(t, host)
	r := startRelayd(t, []string{plain, host}, oldPlain, oldHost)
	xmppServer := unknowing(t)
	r.d.Verify = append([]expect.Endpoint{{Endpoint: r.at, Names: []string{plain, host}}}, endpoints(xmppServer)...)
	r.d.Timeout = time.Second
	results := r.d.Deploy(t.Context(), []renew.Change{
		{Name: plain, New: good(t, plain, rooms), Previous: oldPlain, Domain: plain, Components: components},
		{Name: host, New: good(t, host), Previous: oldHost, Domain: plain, Components: components},
	})
	for i, want := range []map[string]string{
		{r.at.String(): seen.Served, xmppServer.String(): seen.Failing},
		{r.at.String(): seen.Served, xmppServer.String(): seen.Nothing},
	} {
		got := results[i].Endpoints
		for at, state := range want {
			if got[at].State != state || len(got) != len(want) || (got[at].Error != "") != (state == seen.Failing) {
				t.Errorf("result %d: %+v, want %v", i, got, want)
			}
		}
	}
	if err := results[0].Err; results[0].Outcome != renew.Reloaded || !errors.Is(err, probe.ErrHostUnknown) {
		t.Errorf("%s: %v, %v", plain, results[0].Outcome, err)
	}
	if results[1].Outcome != renew.Verified || results[1].Err != nil {
		t.Errorf("%s: %v, %v", host, results[1].Outcome, results[1].Err)
	}
}
