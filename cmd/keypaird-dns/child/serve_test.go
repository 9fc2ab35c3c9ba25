package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-acme/lego/v4/challenge"
	legolog "github.com/go-acme/lego/v4/log"

	"keypaird/renew/problem"
)

// A fake is a provider that remembers what is published, and misbehaves for
// some domains.
type fake struct {
	mu      sync.Mutex
	txt     []string
	ever    []string      // domains that were presented
	tries   int           // clean-ups
	release chan struct{} // slow.example waits for it
	quit    chan struct{} // what never returns does so at the end of the test
}

func (f *fake) Present(domain, token, keyAuth string) error {
	f.mu.Lock()
	f.txt = append(f.txt, domain+" "+token)
	f.ever = append(f.ever, domain)
	f.mu.Unlock()
	switch domain {
	case "panic.example":
		panic("index out of range")
	case "fatal.example":
		legolog.Fatalf("cannot go on\nreally")
	case "away.example":
		return fmt.Errorf("%w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	case "fails.example":
		return errors.New("not\nallowed")
	case "slow.example":
		<-f.release
	case "forever.example":
		<-f.quit
	}
	return nil
}

func (f *fake) CleanUp(domain, token, keyAuth string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if strings.HasPrefix(domain, "sticky") && f.tries < 2 {
		return errors.New("try again")
	}
	if domain == "stuck.example" {
		f.mu.Unlock()
		defer f.mu.Lock() // for the deferred Unlock
		<-f.quit
		return nil
	}
	f.txt = slices.DeleteFunc(f.txt, func(s string) bool { return s == domain+" "+token })
	return nil
}

func (f *fake) published() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.txt, ",")
}

// A session is the parent's side of a server.
type session struct {
	t      *testing.T
	srv    *server
	in     *io.PipeWriter
	out    *bufio.Reader
	errs   strings.Builder
	signal context.CancelFunc
	ended  chan error
}

// start runs a server for a fake. It must be called in a synctest bubble if the
// test is about time.
func start(t *testing.T, f *fake) *session {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &session{t: t, in: inW, out: bufio.NewReader(outR), ended: make(chan error, 1)}
	l := &lineLog{w: &s.errs}
	legolog.Logger = l
	var ctx context.Context
	ctx, s.signal = context.WithCancel(t.Context())
	s.srv = &server{open: func(code string) (challenge.Provider, error) {
		if code == "refused" {
			return nil, problem.New("wrong\ncredential", "correct it")
		}
		return f, nil
	}, out: outW, log: l, requestGrace: requestGrace, exitLimit: exitLimit}
	go func() {
		s.ended <- s.srv.serve(ctx, inR)
		outW.Close()
	}()
	return s
}

func (s *session) send(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) receive() (a answer) {
	s.t.Helper()
	for {
		line, err := s.out.ReadBytes('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		a = answer{}
		if err := json.Unmarshal(line, &a); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		if !a.Ending {
			return a
		}
	}
}

func (s *session) ask(line string) answer {
	s.t.Helper()
	s.send(line)
	return s.receive()
}

// end closes the input.
func (s *session) end() { s.in.Close() }

// wait drops the remaining answers and returns serve's error.
func (s *session) wait() error {
	go func() { _, _ = io.Copy(io.Discard, s.out) }()
	return <-s.ended
}

func op(op, domain string) string {
	return fmt.Sprintf(`{"op":%q,"domain":%q,"token":"t","key_auth":"t.k"}`, op, domain)
}

const open = `{"op":"open","provider":"fake","resolvers":["127.0.0.1:1"]}`

func TestRequests(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	f := &fake{}
	s := start(t, f)
	for _, tt := range []struct {
		name, line    string
		fqdn, err     string
		remedy        string
		publishedThen string
	}{
		{"before open", op("present", "a.example"), "", "no account is open", "", ""},
		{"not JSON", `present a.example`, "", "request is not JSON: invalid character 'p' looking for beginning of value", "", ""},
		{"a resolver without port", `{"op":"open","provider":"fake","resolvers":["127.0.0.1"]}`, "", `resolver "127.0.0.1" is not host:port`, "", ""},
		{"wrong credential", `{"op":"open","provider":"refused"}`, "", "wrong credential", "correct it", ""},
		{"open", open, "", "", "", ""},
		{"open again", open, "", "an account is open already", "", ""},
		{"no such op", op("delete", "a.example"), "", `unknown op "delete"`, "", ""},
		{"no domain", op("present", ""), "", "domain, token and key_auth are required", "", ""},
		{"locate", op("locate", "a.example"), "_acme-challenge.a.example.", "", "", ""},
		{"present", op("present", "a.example"), "_acme-challenge.a.example.", "", "", "a.example t"},
		{"provider fails after it published", op("present", "fails.example"), "", "not allowed", "", "a.example t"},
		{"provider cannot be reached", op("present", "away.example"), "", "dial tcp: connection refused", "check that this machine can reach the provider's server, and the URL or address in env of the account's [dns] table", "a.example t"},
		{"provider panics", op("present", "panic.example"), "", "the provider panicked: index out of range", "", "a.example t"},
		{"provider gives up", op("present", "fatal.example"), "", "cannot go on really", "", "a.example t"},
		{"clean up", op("cleanup", "a.example"), "_acme-challenge.a.example.", "", "", ""},
		{"clean up what another presented", op("cleanup", "b.example"), "_acme-challenge.b.example.", "", "", ""},
	} {
		a := s.ask(tt.line)
		if a.FQDN != tt.fqdn || a.Error != tt.err || a.Remedy != tt.remedy {
			t.Errorf("%s: answer %+v, want %q, %q, %q", tt.name, a, tt.fqdn, tt.err, tt.remedy)
		}
		if got := f.published(); got != tt.publishedThen {
			t.Errorf("%s: published %q, want %q", tt.name, got, tt.publishedThen)
		}
	}
	s.end()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(s.errs.String()) {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "really") {
			t.Errorf("log line %q", line)
		}
	}
	if !strings.Contains(s.errs.String(), "fatal: cannot go on really\n") || !strings.Contains(s.errs.String(), "child.(*fake).Present") {
		t.Errorf("log has no Fatal, or not the place of the panic:\n%s", s.errs.String())
	}
}

type ending struct {
	name   string
	asked  []string // and answered
	queued []string // not waited for
	end    func(*session, *fake)
	err    string
	after  string
	most   time.Duration
}

func endings() []ending {
	return []ending{
		{"nothing asked", nil, nil, func(s *session, _ *fake) { s.end() }, "", "", 0},
		{"two present", []string{op("present", "a.example"), op("present", "b.example")}, nil,
			func(s *session, _ *fake) { s.end() }, "", "", 0},
		{"a signal", []string{op("present", "a.example")}, nil, func(s *session, _ *fake) { s.signal() }, "", "", 0},
		{"during a slow present", []string{op("present", "a.example")}, []string{op("present", "slow.example")},
			func(s *session, f *fake) {
				s.end()
				time.AfterFunc(20*time.Second, func() { close(f.release) })
			}, "", "", 20 * time.Second},
		{"a present behind the slow one", nil, []string{op("present", "slow.example"), op("present", "late.example")},
			func(s *session, f *fake) {
				s.end()
				time.AfterFunc(20*time.Second, func() { close(f.release) })
			}, "", "", 20 * time.Second},
		{"a present that never returns", []string{op("present", "a.example")}, []string{op("present", "forever.example")},
			func(s *session, _ *fake) { s.end() }, "", "", time.Minute},
		{"a clean-up that fails once", []string{op("present", "sticky.example"), op("cleanup", "sticky.example")}, nil,
			func(s *session, _ *fake) { s.end() }, "", "", 0},
		{"a clean-up that fails", []string{op("present", "sticky.example")}, nil,
			func(s *session, _ *fake) { s.end() }, "left behind: TXT of _acme-challenge.sticky.example.", "sticky.example t", 0},
		{"a clean-up that never returns", []string{op("present", "stuck.example"), op("present", "b.example")}, nil,
			func(s *session, _ *fake) { s.end() }, "left behind: TXT of _acme-challenge.stuck.example.", "stuck.example t", 30 * time.Second},
		{"a request that is too long", []string{op("present", "a.example")}, []string{strings.Repeat("x", maxLine+1)},
			func(*session, *fake) {}, "", "", 0},
	}
}

// Records that still exist at the end of input, or at a signal, are removed.
func TestEnd(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	for _, tt := range endings() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{release: make(chan struct{}), quit: make(chan struct{})}
				s := start(t, f)
				defer s.end()
				defer close(f.quit)
				s.ask(open)
				for _, line := range tt.asked {
					s.ask(line)
				}
				for _, line := range tt.queued {
					go func() { _, _ = io.WriteString(s.in, line+"\n") }()
					synctest.Wait()
				}
				begun := time.Now()
				tt.end(s, f)
				err := s.wait()
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
					t.Errorf("serve = %v, want %q", err, tt.err)
				}
				if took := time.Since(begun); took > tt.most+2*time.Second {
					t.Errorf("took %v, want %v", took, tt.most)
				}
				if slices.Contains(f.ever, "late.example") {
					t.Error("something was presented after the end")
				}
				if got := f.published(); got != tt.after {
					t.Errorf("left %q, want %q\n%s", got, tt.after, s.errs.String())
				}
			})
		})
	}
}

func TestStartedForAnother(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	for _, tt := range []struct{ only, err string }{
		{"", ""}, {"fake", ""}, {"route53", `started for provider "route53", not for "fake"`},
	} {
		s := start(t, &fake{})
		s.srv.only = tt.only
		if a := s.ask(open); a.Error != tt.err {
			t.Errorf("started for %q: %q, want %q", tt.only, a.Error, tt.err)
		}
		s.end()
		if err := s.wait(); err != nil {
			t.Error(err)
		}
	}
}
