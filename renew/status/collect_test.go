package status

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/durable"
	"keypaird/renew/renewtest"
	"keypaird/renew/seen"
)

// Whoever asks, and however often: what is slow is done once at a time, and no
// more than every two seconds.
func TestCollectedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, runs atomic.Int32
		s := serving(Document{})
		s.Collect = func() (Document, error) {
			if running.Add(1) > 1 {
				t.Error("collected twice at a time")
			}
			defer running.Add(-1)
			runs.Add(1)
			time.Sleep(5 * time.Second)
			return Document{Time: now, Healthy: true}, nil
		}
		var all sync.WaitGroup
		for range 25 {
			for _, path := range paths() {
				all.Go(func() { get(t, s, path) })
			}
		}
		all.Wait()
		if runs.Load() != 1 {
			t.Errorf("collected %d times for requests that came together", runs.Load())
		}
		time.Sleep(cacheTTL - time.Millisecond)
		get(t, s, "/healthz")
		if runs.Load() != 1 {
			t.Error("what is fresh is not shown again")
		}
		time.Sleep(time.Millisecond)
		get(t, s, "/healthz")
		if runs.Load() != 2 {
			t.Error("what is old is shown again")
		}
	})
}

// A disk that hangs delays a client for a while.
func TestCollectHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Front{Ask: func(ctx context.Context, _ string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		for _, path := range paths() {
			w := ask(f, "GET", path)
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "is the disk slow?") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if took := time.Since(began); took != 4*askTimeout {
			t.Errorf("four requests waited %v", took)
		}
	})
}

// Whatever comes in place of an answer, the client has one.
func TestNoAnswer(t *testing.T) {
	for _, text := range []string{"", "200 text/html", "x y\nz", "\n"} {
		f := &Front{Ask: func(context.Context, string) ([]byte, error) { return []byte(text), nil }}
		if w := ask(f, "GET", "/"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "did not answer") {
			t.Errorf("%q: %d %s", text, w.Code, w.Body)
		}
	}
}

// A state that cannot be read is said so wherever somebody looks, with what
// helps.
func TestCollectFails(t *testing.T) {
	d := newDesk(t)
	must(t, os.Chmod(d.store.Dir("fine"), 0o777))
	_, unsafe := Collect(d.source(), now)
	var as *durable.UnsafeError
	if !errors.As(unsafe, &as) {
		t.Fatalf("error = %v", unsafe)
	}
	for _, tt := range []struct {
		name    string
		collect func() (Document, error)
		want    string
	}{
		{"others may write it", func() (Document, error) { return Document{}, unsafe }, `reading its state: `},
		{"hostile", func() (Document, error) { return Document{}, errors.New(hostile) }, "EVERSED"},
		{"a panic", func() (Document, error) { panic("index out of range") }, "internal fault: index out of range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serving(Document{})
			s.Collect = tt.collect
			for _, path := range []string{"/", "/status.json", "/healthz"} {
				w := ask(s, "GET", path)
				if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("%s: %d %s, want %q", path, w.Code, w.Body, tt.want)
				}
				if path != "/healthz" && tt.name == "others may write it" && !strings.Contains(w.Body.String(), "chmod go-w ") {
					t.Errorf("%s does not say what helps:\n%s", path, w.Body)
				}
				markup := path != "/healthz" && strings.Contains(w.Body.String(), "<script") // there it is plain text
				if markup || strings.ContainsAny(w.Body.String(), "\x1b\a") {
					t.Errorf("%s repeats what it should not:\n%q", path, w.Body)
				}
			}
			if !strings.Contains(get(t, s, "/metrics"), "keypaird_state_readable 0\n") {
				t.Error("/metrics does not say it")
			}
		})
	}
}

// One fault is logged once, not with every look at the page.
func TestFaultLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := serving(Document{})
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		fault := errors.New("permission denied")
		s.Collect = func() (Document, error) { return Document{}, fault }
		look := func() {
			ask(s, "GET", "/healthz")
			time.Sleep(time.Minute)
		}
		look()
		look()
		fault = errors.New("no such file")
		look()
		if got := strings.Count(log.String(), "level=ERROR"); got != 2 {
			t.Errorf("two faults are logged %d times:\n%s", got, log.String())
		}
	})
}

// The state of an endpoint follows from what it was last seen to serve.
func TestEndpointState(t *testing.T) {
	const one, two = "127.0.0.1:443", "127.0.0.1:4433"
	served, failing := seen.Endpoint{State: seen.Served}, seen.Endpoint{State: seen.Failing, Error: "refused", Remedy: "start it", At: now}
	absent, nothing := seen.Endpoint{State: seen.Absent, Error: "host unknown"}, seen.Endpoint{State: seen.Nothing}
	both := func(a, b seen.Endpoint) seen.Record {
		return seen.Record{Endpoints: map[string]seen.Endpoint{one: a, two: b}}
	}
	failed := backoff.Attempt{Failures: 1, Error: "verifying: refused"}
	for _, tt := range []struct {
		name       string
		deployment renew.Deployment
		want       string // state of the deployment, and of each endpoint with its error
	}{
		{"of an earlier version of keypaird", renew.Deployment{Deployed: "new", Verified: "new"}, "verified: verified verified"},
		{"all well", renew.Deployment{Deployed: "new", Verified: "new", Record: both(served, served)}, "verified: verified verified"},
		{"one fails", renew.Deployment{Deployed: "new", Attempt: failed, Record: both(served, failing)}, "unverified: verified failing(refused)"},
		{"one fails, gone back", renew.Deployment{Deployed: "old", Attempt: failed, Record: both(served, failing)}, "pending: pending failing(refused)"},
		{"one does not know it", renew.Deployment{Deployed: "new", Verified: "new", Record: both(served, absent)}, "verified: verified absent(host unknown)"},
		{"one is another's", renew.Deployment{Deployed: "new", Verified: "new", Record: both(nothing, served)}, "verified: none verified"},
		{"all are another's", renew.Deployment{Deployed: "new", Verified: "new", Record: both(nothing, nothing)}, "deployed: none none"},
		{"a newer version waits", renew.Deployment{Deployed: "old", Verified: "old", Record: both(served, absent)}, "pending: pending pending"},
		{"another step failed", renew.Deployment{Deployed: "old", Verified: "old", Attempt: failed, Record: both(served, served)}, "pending: pending pending"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			web := &renewtest.Server{Name: "web", Served: []string{one, two}}
			state := renew.State{Fingerprint: "new"}
			state.Record.Deployments = map[string]renew.Deployment{"web": tt.deployment}
			d := deployment(web, state)
			got := d.State + ":"
			for _, e := range d.Endpoints {
				if got += " " + e.State; e.Error != "" {
					got += "(" + e.Error + ")"
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
