package http01

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
)

var challenge = acme.Challenge{Type: acme.HTTP01, Identifier: "a.test", Token: token, KeyAuth: keyAuth}

// newSolver returns a Solver on a port of its own, and the port's address.
func newSolver(t *testing.T) (*Solver, string) {
	t.Helper()
	// A port below those that systems give to connections.
	addr := ""
	for addr == "" {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.N(12000))); err == nil {
			addr = l.Addr().String()
			must(t, l.Close())
		}
	}
	s := &Solver{Dir: filepath.Join(t.TempDir(), "http-01"), Listen: addr, Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(s.Close)
	return s, addr
}

// served checks that addr serves the token, as a CA does.
func served(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		return answer(ctx, addr, challenge)
	}
}

func TestSolve(t *testing.T) {
	s, addr := newSolver(t)
	for range 3 { // Close, and solve again
		for range 2 {
			must(t, s.Solve(t.Context(), challenge, served(addr)))
		}
		if err := served(addr)(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("after Solve: %v, want 404", err)
		}
		s.Close()
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("still listening after Close")
		}
	}
	refused := errors.New("refused by the CA")
	if err := s.Solve(t.Context(), challenge, func(context.Context) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error = %v, want that of the CA", err)
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A daemon that has started serves the tokens of a command before it solves a
// challenge itself.
func TestStart(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Port().Start(t.Context()))
	must(t, s.Port().Start(t.Context()))
	command := &Solver{Dir: s.Dir, Listen: addr, Log: s.Log}
	must(t, command.Solve(t.Context(), challenge, served(addr)))
	for _, never := range []*Solver{{Listen: addr, Webroot: t.TempDir()}, {}} {
		if err := never.Port().Start(t.Context()); err != nil {
			t.Errorf("Start = %v, want nothing to be done: the port is taken", err)
		}
	}
}

// A token is removed even if validate panics.
func TestPanicWithdraws(t *testing.T) {
	s, _ := newSolver(t)
	func() {
		defer func() { _ = recover() }()
		_ = s.Solve(t.Context(), challenge, func(context.Context) error { panic("x") })
	}()
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPortIsTaken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		holder func(dir string) http.Handler
		ok     bool
	}{
		{"by another keypaird over the same directory", func(dir string) http.Handler { return Responder{(&Solver{Dir: dir}).Token} }, true},
		{"by a web server", func(string) http.Handler { return http.NotFoundHandler() }, false},
		{"by one that answers anything", func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
		}, false},
		{"by one that redirects", func(string) http.Handler { return http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, addr := newSolver(t)
			l, err := net.Listen("tcp", addr)
			must(t, err)
			srv := &http.Server{Handler: tt.holder(s.Dir)}
			go srv.Serve(l)
			asked := false
			err = s.Solve(t.Context(), challenge, func(ctx context.Context) error {
				asked = true
				return served(addr)(ctx)
			})
			srv.Close()
			if tt.ok {
				must(t, err)
				return
			}
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr) || !strings.Contains(problem.Remedy(err), "[http-01] webroot") || asked {
				t.Errorf("error = %v, CA asked: %v; want the address in use before the CA is asked", err, asked)
			}
			// The port is free again: the next challenge listens on it.
			must(t, s.Solve(t.Context(), challenge, served(addr)))
		})
	}
}

func TestWebroot(t *testing.T) {
	s, addr := newSolver(t)
	s.Webroot = t.TempDir()
	must(t, s.Solve(t.Context(), challenge, func(context.Context) error {
		info, err := os.Lstat(filepath.Join(s.Webroot, token))
		if err != nil || info.Mode() != fs.FileMode(0o644) {
			return fmt.Errorf("%v, %w; want a file that a web server can read", info, err)
		}
		if _, err := net.Dial("tcp", addr); err == nil {
			return errors.New("something listens")
		}
		return nil
	}))
	if left, err := os.ReadDir(s.Webroot); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNeverListens(t *testing.T) {
	s, addr := newSolver(t)
	s.Listen = ""
	must(t, s.Solve(t.Context(), challenge, func(context.Context) error {
		if _, err := net.Dial("tcp", addr); err == nil {
			return errors.New("something listens")
		}
		_, err := filesIn(s.Dir).Read(token)
		return err
	}))
}

func TestSweep(t *testing.T) {
	const ours, theirs = other, "a" + other
	thumb := strings.TrimPrefix(keyAuth, token)
	for _, tt := range []struct {
		name      string
		webroot   bool
		file      string
		content   string
		age       time.Duration
		swept     bool
		directory bool
	}{
		{"left by a killed process", false, ours, ours + thumb, 25 * time.Hour, true, false},
		{"of another account of ours", false, theirs, theirs + ".otherthumb", 25 * time.Hour, true, false},
		{"half written", false, ".token-123", "x", 25 * time.Hour, true, false},
		{"in use by another process", false, ours, ours + thumb, time.Hour, false, false},
		{"no token", false, "README", "read me", 1000 * time.Hour, false, false},
		{"not the content of a token", false, ours, "precious", 1000 * time.Hour, false, false},
		{"directory", false, ours, "", 1000 * time.Hour, false, true},
		{"webroot: left by a killed process", true, ours, ours + thumb, 25 * time.Hour, true, false},
		{"webroot: of another program", true, theirs, theirs + ".otherthumb", 1000 * time.Hour, false, false},
		{"webroot: half written", true, ".token-123", "x", 25 * time.Hour, true, false},
		{"webroot: page", true, "index.html", "hello", 1000 * time.Hour, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newSolver(t)
			dir := s.Dir
			if tt.webroot {
				s.Webroot = t.TempDir()
				dir = s.Webroot
			}
			must(t, os.MkdirAll(dir, 0o700))
			path := filepath.Join(dir, tt.file)
			if tt.directory {
				must(t, os.Mkdir(path, 0o700))
			} else {
				must(t, os.WriteFile(path, []byte(tt.content), 0o600))
			}
			at := time.Now().Add(-tt.age)
			must(t, os.Chtimes(path, at, at))
			must(t, s.Solve(t.Context(), challenge, func(context.Context) error { return nil }))
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) != tt.swept {
				t.Errorf("swept: %v, want %v", err != nil, tt.swept)
			}
		})
	}
}

func TestDirectoryThatCannotBeUsed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, s *Solver)
		help  string
	}{
		{"a file in its place", func(t *testing.T, s *Solver) { must(t, os.WriteFile(s.Dir, nil, 0o600)) }, "make the directory exist"},
		{"no such webroot", func(t *testing.T, s *Solver) { s.Webroot = s.Dir + "/none" }, "correct [http-01] webroot"},
		{"others can write it", func(t *testing.T, s *Solver) {
			must(t, os.Mkdir(s.Dir, 0o700))
			must(t, os.Chmod(s.Dir, 0o777))
		}, "chmod go-w"},
		{"a directory in place of the token", func(t *testing.T, s *Solver) { must(t, os.MkdirAll(filepath.Join(s.Dir, token), 0o700)) }, "writable for keypaird"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newSolver(t)
			tt.spoil(t, s)
			err := s.Solve(t.Context(), challenge, func(context.Context) error { return errors.New("the CA was asked") })
			help := problem.Remedy(err)
			if !strings.Contains(help, tt.help) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v (%s), want one with the remedy %q", err, help, tt.help)
			}
		})
	}
}

// The CA is not asked to validate a token that could not be served.
func TestTokenThatCannotBeRead(t *testing.T) {
	s, _ := newSolver(t)
	c := challenge
	c.KeyAuth = strings.Repeat("x", 1000)
	err := s.Solve(t.Context(), c, func(context.Context) error {
		t.Error("the CA was asked")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "writing a token to") {
		t.Errorf("error = %v, want one that the token cannot be written", err)
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
