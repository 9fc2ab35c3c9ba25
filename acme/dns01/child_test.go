package dns01

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/problem"
)

// A provider is an API for lego's httpreq with one value at a name, the last one. Its
// name server has the value immediately.
type provider struct {
	ns    *nameServer
	addr  string // of ns
	url   string
	stall chan struct{} // present waits for it, unless nil
	began chan struct{} // gets a value as present begins

	mu   sync.Mutex
	told []string
	txt  map[string]string
	most int // values present at the same time
}

func startProvider(t *testing.T, stall chan struct{}) *provider {
	t.Helper()
	p := &provider{stall: stall, ns: &nameServer{authoritative: true}, began: make(chan struct{}, 100), txt: map[string]string{}}
	p.addr = serve(t, p.ns, "127.0.0.1", "")
	p.show(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ FQDN, Value string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/present" {
			p.began <- struct{}{}
			if p.stall != nil {
				<-p.stall
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, r.URL.Path)
		if name := strings.ToLower(m.FQDN); r.URL.Path == "/present" {
			p.txt[name] = m.Value
		} else {
			delete(p.txt, name)
		}
		p.most = max(p.most, len(p.txt))
		p.show(t)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *provider) show(t *testing.T) {
	lines := []string{"example.org. 60 IN SOA ns. h. 1 3600 600 86400 60"}
	for name, value := range p.txt {
		lines = append(lines, name+` 60 IN TXT "`+value+`"`)
	}
	p.ns.set(t, lines...)
}

func (p *provider) calls() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.told, " ")
}

func (p *provider) account(t *testing.T) *Account {
	t.Helper()
	a := &Account{
		Name: "api", Provider: "httpreq", Child: leanChild(t), Log: logOf(t), Resolvers: []string{p.addr}, Propagation: 10 * time.Second,
		Env: map[string]string{"HTTPREQ_ENDPOINT": p.url, "HTTPREQ_HTTP_TIMEOUT": "3600", "NO_PROXY": "*"},
	}
	closed(t, a)
	return a
}

func accept(context.Context) error { return nil }

func TestProviderHangs(t *testing.T) {
	t.Parallel()
	p := startProvider(t, make(chan struct{}))
	a := p.account(t)
	a.Propagation, a.extra = time.Second, time.Second
	begun := time.Now()
	err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
	want := `DNS account "api" (httpreq): presenting _acme-challenge.example.org.: keypaird-dns does not answer: the provider hangs`
	if err == nil || !strings.HasPrefix(err.Error(), want) || problem.Remedy(err) == "" {
		t.Errorf("Solve = %v, want %q", err, want)
	}
	if took := time.Since(begun); took > 40*time.Second {
		t.Errorf("took %v, allowed were 2s", took)
	}
	close(p.stall)
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.calls(); got != "/present /cleanup" {
		t.Errorf("the provider was told %s", got)
	}
}

func TestCancelledWhilePresenting(t *testing.T) {
	p := startProvider(t, make(chan struct{}))
	a := p.account(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		err := a.Solve(ctx, challenge("example.org", "token"), accept)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Solve = %v", err)
		}
	})
	<-p.began
	begun := time.Now()
	cancel()
	all.Wait()
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("Solve returned after %v, want at once", took)
	}
	short, cancelClose := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelClose()
	if err := a.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close while the provider hangs = %v", err)
	}
	close(p.stall)
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.calls(); got != "/present /cleanup" {
		t.Errorf("the provider was told %s", got)
	}
}

// The daemon is killed while the provider is slow. The child cannot send its answer,
// and must clean up nevertheless.
func TestParentKilledWhilePresenting(t *testing.T) {
	p := startProvider(t, make(chan struct{}))
	cmd := startParent(t, p.account(t), "proving")
	<-p.began
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	close(p.stall)
	eventually(t, "the child to clean up", func() bool { return p.calls() == "/present /cleanup" })
}

func TestChildKilledWhilePresenting(t *testing.T) {
	p := startProvider(t, make(chan struct{}))
	a := p.account(t)
	go func() {
		<-p.began
		a.mu.Lock()
		defer a.mu.Unlock()
		a.current.cmd.Signal(syscall.SIGKILL)
	}()
	err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
	want := `DNS account "api" (httpreq): presenting _acme-challenge.example.org.: keypaird-dns exited: signal: killed`
	if err == nil || !strings.HasPrefix(err.Error(), want) || problem.Remedy(err) == "" {
		t.Errorf("Solve = %v, want %q", err, want)
	}
	if got := p.calls(); got != "/cleanup" {
		t.Errorf("the provider was told %s", got)
	}
	close(p.stall)
}

// Two values at one name of a provider that keeps one are published one after the
// other, for any account and spelling, without deadlock.
func TestOneValuePerName(t *testing.T) {
	p := startProvider(t, nil)
	one, other := p.account(t), p.account(t)
	other.Name = "other"
	var all sync.WaitGroup
	for i, domain := range []string{"example.org", "example.org", "EXAMPLE.ORG", "example.org"} {
		a := one
		if i > 1 {
			a = other
		}
		all.Go(func() {
			if err := a.Solve(t.Context(), challenge(domain, fmt.Sprint("token", i)), accept); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if want := strings.TrimSpace(strings.Repeat(" /present /cleanup", 4)); p.calls() != want {
		t.Errorf("the provider was told %s, want %s", p.calls(), want)
	}
}

// Orders that run at the same time share a child, and the last one ends it.
func TestChildIsSharedAndEnds(t *testing.T) {
	p := startProvider(t, nil)
	a := p.account(t)
	var all, both sync.WaitGroup
	both.Add(2)
	var children [2]*child
	for i := range 2 {
		all.Go(func() {
			err := a.Solve(t.Context(), challenge(fmt.Sprintf("n%d.example.org", i), "token"), func(context.Context) error {
				both.Done()
				both.Wait()
				a.mu.Lock()
				defer a.mu.Unlock()
				children[i] = a.current
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if children[0] != children[1] || children[0] == nil {
		t.Fatal("two children")
	}
	select {
	case <-children[0].gone:
	case <-time.After(time.Minute):
		t.Error("the child lives on")
	}
	if err := children[0].err; err != nil {
		t.Error(err)
	}
}
