package selftest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

// An acme.Solver that publishes nothing.
type published struct{ withdrawn bool }

func (p *published) Solve(ctx context.Context, _ acme.Challenge, validate func(context.Context) error) error {
	return validate(ctx)
}

func (p *published) Withdraw(acme.Challenge) { p.withdrawn = true }

var (
	dialRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	noRoute     = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
	lateAnswer  = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	alert       = &net.OpError{Op: "remote error", Err: errors.New("tls: no application protocol")}
	errPage     = errors.New("http status 404")
)

const ipv4, ipv4too, ipv6 = "192.0.2.1", "192.0.2.2", "2001:db8::1"

// What a CA would see, too, stops the order; what cannot be told from here does not.
func TestWhatStopsAnOrder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string]error
		find    error
		stops   string // in the error; "": the CA is asked
		warns   bool
	}{
		{"our response at every address", map[string]error{ipv4: nil, ipv6: nil}, nil, "", false},
		{"another answer", map[string]error{ipv4: errPage}, nil, "at 192.0.2.1: http status 404", false},
		{"another answer at one address of two", map[string]error{ipv4: nil, ipv6: errPage}, nil, "at 2001:db8::1: http status 404", false},
		{"other answers at both", map[string]error{ipv4: errPage, ipv4too: errPage}, nil, "at 192.0.2.1: http status 404; at 192.0.2.2: http status 404", false},
		{"a TLS server without the protocol", map[string]error{ipv4: alert}, nil, "no application protocol", false},
		{"nothing listens", map[string]error{ipv4: dialRefused}, nil, "connection refused", false},
		{"nothing listens at one IPv4 address of two", map[string]error{ipv4: nil, ipv4too: dialRefused}, nil, "at 192.0.2.2: dial", false},
		{"nothing listens at IPv6, where CAs turn to IPv4", map[string]error{ipv4: nil, ipv6: dialRefused}, nil, "", true},
		{"nothing listens at IPv6, no route to IPv4", map[string]error{ipv4: noRoute, ipv6: dialRefused}, nil, "at 2001:db8::1: dial", true},
		{"no route", map[string]error{ipv4: noRoute}, nil, "", true},
		{"no route to one, another answer at the other", map[string]error{ipv4: noRoute, ipv6: errPage}, nil, "404", true},
		{"no answer in time", map[string]error{ipv4: context.DeadlineExceeded}, nil, "", true},
		{"a server that is slow", map[string]error{ipv4: lateAnswer}, nil, "", true},
		{"a redirect to a name that is not known here", map[string]error{ipv4: fmt.Errorf("redirected to https://b.test/: %w", &net.OpError{Op: "dial", Err: errors.New("no such name")})}, nil, "", true},
		{"a name that is not known here", nil, errors.New("a.test. has no address"), "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := new(testutil.Log)
			test := &Test{
				Port: "80", Table: "http-01", Pass: "pass it on", Log: slog.New(slog.NewTextHandler(log, nil)),
				Addresses: func(context.Context, string) (list []netip.Addr, err error) {
					for _, a := range []string{ipv4, ipv4too, ipv6} {
						if _, ok := tt.answers[a]; ok {
							list = append(list, netip.MustParseAddr(a))
						}
					}
					return list, tt.find
				},
				Ask: func(_ context.Context, a netip.Addr, _ acme.Challenge) error { return tt.answers[a.String()] },
			}
			asked := false
			err := Solver{&published{}, test}.Solve(t.Context(), acme.Challenge{Identifier: "a.test"}, func(context.Context) error {
				asked = true
				return nil
			})
			if asked != (tt.stops == "") || asked != (err == nil) {
				t.Fatalf("error = %v, CA asked: %v", err, asked)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.stops) || !strings.Contains(problem.Remedy(err), "set self_test = false in [http-01]")) {
				t.Errorf("error = %v (%s), want %q", err, problem.Remedy(err), tt.stops)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != tt.warns {
				t.Errorf("log = %s, want a warning: %v", log, tt.warns)
			}
		})
	}
}

// In a fleet, a machine may not have the response yet, and one may be down. Both are named.
func TestFleet(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string]error
		until   time.Duration // then all answers are ours
		stops   string        // in the error; "": the CA is asked
		warns   string        // in the log; "": nothing is
	}{
		{"the token comes late", map[string]error{ipv4: nil, ipv4too: errPage}, 8 * time.Second, "", ""},
		{"the token comes too late", map[string]error{ipv4: nil, ipv4too: errPage}, 13 * time.Second, "at 192.0.2.2 (node mx2): http status 404", ""},
		{"a node is down", map[string]error{ipv4: nil, ipv4too: dialRefused}, time.Hour, "", "192.0.2.2 (node mx2)"},
		{"a node is away", map[string]error{ipv4: nil, ipv4too: noRoute}, time.Hour, "", "192.0.2.2 (node mx2)"},
		{"all nodes are down", map[string]error{ipv4: dialRefused, ipv4too: dialRefused}, time.Hour, "at 192.0.2.1: dial", ""},
		{"one is down, one lacks the token", map[string]error{ipv4: nil, ipv4too: errPage, ipv6: dialRefused}, time.Hour, "at 192.0.2.2 (node mx2): http status 404", "2001:db8::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, began := new(testutil.Log), time.Now()
				test := &Test{
					Table: "http-01", Log: slog.New(slog.NewTextHandler(log, nil)), Wait: 10 * time.Second,
					Addresses: func(context.Context, string) (list []netip.Addr, err error) {
						for a := range tt.answers {
							list = append(list, netip.MustParseAddr(a))
						}
						slices.SortFunc(list, netip.Addr.Compare)
						return list, nil
					},
					Ask: func(_ context.Context, a netip.Addr, _ acme.Challenge) error {
						if time.Since(began) >= tt.until {
							return nil
						}
						return tt.answers[a.String()]
					},
					Node: func(_ context.Context, a netip.Addr) string {
						if a.String() == ipv4too {
							return "mx2"
						}
						return ""
					},
				}
				err := test.run(t.Context(), acme.Challenge{Identifier: "a.test"})
				if (err == nil) != (tt.stops == "") || err != nil && !strings.Contains(err.Error(), tt.stops) {
					t.Errorf("error = %v, want %q", err, tt.stops)
				}
				if tt.answers[ipv4too] == errPage && err != nil && !strings.Contains(problem.Remedy(err), "reaches the engine") {
					t.Errorf("remedy = %s", problem.Remedy(err))
				}
				if got := log.String(); (got == "") != (tt.warns == "") || !strings.Contains(got, tt.warns) {
					t.Errorf("log = %s, want %q", got, tt.warns)
				}
				if took := time.Since(began); took > 11*time.Second || tt.until == time.Hour && tt.answers[ipv4too] != errPage && took > 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// An address of an identifier needs no lookup, and a test ends in time.
func TestLimit(t *testing.T) {
	test := &Test{
		Log: slog.New(slog.DiscardHandler),
		Ask: func(ctx context.Context, _ netip.Addr, _ acme.Challenge) error {
			<-ctx.Done()
			return ctx.Err()
		},
	}
	began := time.Now()
	testutil.Must(t, test.run(t.Context(), acme.Challenge{Identifier: ipv4}))
	if took := time.Since(began); took > 2*limit {
		t.Errorf("took %v", took)
	}
	stopped := errors.New("the daemon stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if err := test.run(ctx, acme.Challenge{Identifier: ipv4}); !errors.Is(err, stopped) {
		t.Errorf("error = %v, want the cause", err)
	}
}

func TestWithdraw(t *testing.T) {
	p := new(published)
	var s acme.Solver = Solver{p, nil}
	s.(acme.Withdrawer).Withdraw(acme.Challenge{})
	if !p.withdrawn {
		t.Error("not passed on")
	}
}

// The remedy for a resolver that is down does not blame the name.
func TestRemedyOfNoAddress(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("asking 127.0.0.5:53 for A of host.test.: %w", fmt.Errorf("no answer over UDP or TCP: %w", refused)), "no resolver answers"},
		{errors.New("host.test. has no address (asked: 127.0.0.1:53)"), "check that the name is right"},
		{errors.New("asking 127.0.0.1:53 for A of host.test.: answered SERVFAIL"), "check that the name is right"},
	} {
		if got := lookupRemedy(tt.err); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// A test of an order that is given up ends at once, and asks nobody again.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked, given := 0, time.Now()
		test := &Test{
			Table: "http-01", Log: slog.New(slog.DiscardHandler), Wait: 10 * time.Second,
			Addresses: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr(ipv4)}, nil
			},
			Ask: func(ctx context.Context, _ netip.Addr, _ acme.Challenge) error {
				asked++
				cancel()
				time.Sleep(time.Millisecond) // else the clock stands still
				return ctx.Err()
			},
		}
		if err := test.run(ctx, acme.Challenge{Identifier: "a.test"}); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
		if asked != 1 || time.Since(given) > time.Second {
			t.Errorf("asked %d times in %v", asked, time.Since(given))
		}
	})
}
