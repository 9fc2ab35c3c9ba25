package acme_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// A faultNet is a CA behind proxies, each with faults of its own.
type faultNet struct {
	fixture  *fixture
	slots    chan struct{} // how many orders there are at once
	wg       sync.WaitGroup
	shelters sync.Map // by the host that the CA is asked as
}

func newFaultNet(t *testing.T) *faultNet {
	s := &faultNet{slots: make(chan struct{}, 16)} // with more, a busy machine does not answer the CA within its two seconds
	s.fixture = newFixture(t, acmetest.Options{NonceReject: -1, AuthzReuse: -1, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sh, ok := s.shelters.Load(r.Host); ok {
				sh.(*proxiedClient).traffic.wrap(next).ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	return s
}

// each runs a test in parallel with others: they wait most of the time.
func (s *faultNet) each(t *testing.T, name string, f func(*testing.T, *proxiedClient)) {
	s.slots <- struct{}{}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		t.Run(name, func(t *testing.T) { f(t, s.proxiedClient(t)) })
	})
}

// A proxiedClient is one client of the CA, behind a proxy of its own.
type proxiedClient struct {
	*fixture
	proxy   *acmetest.Proxy
	traffic traffic // as the CA saw it
	options acme.Options
	req     acme.Request
}

func (s *faultNet) proxiedClient(t *testing.T) *proxiedClient {
	t.Helper()
	p, err := acmetest.StartProxy(s.fixture.ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	g := *s.fixture
	g.dir, g.log = t.TempDir(), new(testutil.Log)
	host := strings.TrimSuffix(strings.TrimPrefix(p.Directory, "https://"), acmetest.PathDirectory)
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	sh := &proxiedClient{fixture: &g, proxy: p, options: g.options(t), req: g.request("n" + port + ".test")}
	sh.options.CA.Directory = p.Directory
	s.shelters.Store(host, sh)
	return sh
}

// setFault gives the proxy a fault. The channel is closed at the first request that has
// it.
func (s *proxiedClient) setFault(path string, f acmetest.Fault) (met chan struct{}) {
	met = make(chan struct{})
	meet := sync.OnceFunc(func() { close(met) })
	s.proxy.Set(acmetest.At(path, func(next http.Handler) http.Handler {
		faulty := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			meet()
			faulty.ServeHTTP(w, r)
		})
	}))
	return met
}

// faultTime is how long an order may meet a fault before it is interrupted.
const faultTime = 250 * time.Millisecond

// tryInterrupted calls try, and interrupts it some time after met. It has to end then;
// the limit is generous for busy machines.
func tryInterrupted(t *testing.T, met <-chan struct{}, try func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- try(ctx) }()
	watchdog := time.After(2 * time.Minute)
	for {
		select {
		case err := <-ended:
			return err
		case <-met:
			met = nil
			defer time.AfterFunc(faultTime, cancel).Stop()
			watchdog = time.After(time.Minute)
		case <-watchdog:
			t.Fatal("still waiting long after the interrupt")
		}
	}
}

// wantSane checks that an error is an interrupt, or printable and with a remedy.
func (s *proxiedClient) wantSane(t *testing.T, err error) {
	t.Helper()
	if log := s.log.String(); strings.Contains(log, "panicked") {
		t.Fatalf("log = %s", log)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		wantError(t, err, "pebble: ", " ")
		if len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// wantCertificate checks that the same client now gets one, with the account it
// had, and that no more certificates were signed than that.
func (s *proxiedClient) wantCertificate(t *testing.T, c *acme.Client, account string, signed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pair, err := c.Obtain(ctx, s.req)
	if err != nil {
		t.Fatalf("without the fault: %v", err)
	}
	if err := pair.Check(s.req.Names, time.Now()); err != nil {
		t.Error(err)
	}
	url, err := start(t, s.options).Account(ctx) // as it lies on disk
	if err != nil || account != "" && url != account {
		t.Errorf("the account is %s, %v; was %s", url, err, account)
	}
	made := s.traffic.count(acmetest.PathNewAccount, func(x exchange) bool { return x.status == http.StatusCreated })
	if made != 1 {
		t.Errorf("%d accounts were made", made)
	}
	if got := s.traffic.granted(acmetest.PathFinalize); got != signed {
		t.Errorf("%d certificates signed, want %d", got, signed)
	}
	if orders := s.traffic.granted(acmetest.PathNewOrder); orders > 4 {
		t.Errorf("%d orders", orders)
	}
	s.wantSane(t, nil)
}

// With any fault at any request an order ends or can be interrupted, and without the
// fault the same client and account then obtain one certificate.
func TestFaultProxy(t *testing.T) {
	t.Parallel()
	s := newFaultNet(t)
	for _, at := range []struct{ resource, path string }{
		{"directory", acmetest.PathDirectory}, {"nonce", acmetest.PathNewNonce}, {"account", acmetest.PathNewAccount},
		{"order", acmetest.PathNewOrder}, {"authz", acmetest.PathAuthz}, {"challenge", acmetest.PathChallenge},
		{"finalize", acmetest.PathFinalize}, {"order that is being issued", acmetest.PathOrder}, {"cert", acmetest.PathCertificate},
	} {
		for _, f := range faults() {
			if f.alike && at.path != acmetest.PathNewOrder && at.path != acmetest.PathFinalize {
				continue
			}
			s.each(t, at.resource+"/"+f.name, func(t *testing.T, sh *proxiedClient) {
				account := ""
				if at.resource != "account" {
					var err error
					if account, err = start(t, sh.options).Account(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				met := sh.setFault(at.path, f.fault)
				c := start(t, sh.options)
				err := tryInterrupted(t, met, func(ctx context.Context) error {
					_, err := c.Obtain(ctx, sh.req)
					return err
				})
				select {
				case <-met:
				default:
					t.Error("no request met the fault")
				}
				sh.wantSane(t, err)
				sh.proxy.Set(nil)
				signed := 1
				if at.resource == "cert" && f.forged && err != nil && !errors.Is(err, context.Canceled) {
					signed = 2
				}
				sh.wantCertificate(t, c, account, signed)
			})
		}
	}
	s.wg.Wait()
}

// The same for faults of connections.
func TestFaultyConnections(t *testing.T) {
	t.Parallel()
	s := newFaultNet(t)
	for _, f := range wires() {
		s.each(t, f.name, func(t *testing.T, sh *proxiedClient) {
			account, err := start(t, sh.options).Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c := start(t, sh.options)
			if err := sh.proxy.Present(f.identity); err != nil {
				t.Fatal(err)
			}
			sh.proxy.Wire(f.wire)
			met := make(chan struct{})
			if f.identity == acmetest.Genuine { // else the client finds out, and ends by itself
				close(met)
			}
			err = tryInterrupted(t, met, func(ctx context.Context) error {
				_, err := c.Obtain(ctx, sh.req)
				return err
			})
			if err == nil {
				t.Error("that was taken for the CA")
			}
			sh.wantSane(t, err)
			if f.identity != acmetest.Genuine {
				wantError(t, err, "certificate", "not trusted here")
			}
			if n := sh.traffic.asked(acmetest.PathNewOrder); n != 0 {
				t.Errorf("%d orders", n)
			}
			sh.proxy.Wire(nil)
			if err := sh.proxy.Present(acmetest.Genuine); err != nil {
				t.Fatal(err)
			}
			sh.wantCertificate(t, c, account, 1)
		})
	}
	s.wg.Wait()
}
