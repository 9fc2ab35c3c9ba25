package http01

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/acme/responder"
	"keypaird/renew/testutil"
)

// A peer, another keypaird with the same directory, goes away while the CA
// validates: all challenges that it serves go on.
func TestPeerGoesAway(t *testing.T) {
	s, addr := newSolver(t)
	l, err := net.Listen("tcp", addr)
	must(t, err)
	peer := Serve([]net.Listener{l}, s.Token)
	var solving, validating sync.WaitGroup
	const challenges = 20
	validating.Add(challenges)
	for i := range challenges {
		c := challenge
		c.Token = fmt.Sprintf("%s-%d", token, i)
		c.KeyAuth = c.Token + strings.TrimPrefix(keyAuth, token)
		solving.Go(func() {
			err := s.Solve(t.Context(), c, func(ctx context.Context) error {
				validating.Done()
				validating.Wait()
				peer.Close()
				return testutil.Within(20*time.Second, func() error {
					return answer(ctx, addr, c)
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	solving.Wait()
	s.Close()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening after Close")
	}
}

// A peer that stays is not disturbed.
func TestPeerStays(t *testing.T) {
	s, addr := newSolver(t)
	l, err := net.Listen("tcp", addr)
	must(t, err)
	peer := Serve([]net.Listener{l}, s.Token)
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		time.Sleep(300 * time.Millisecond) // the solver tries to listen meanwhile
		return served(addr)(ctx)
	}))
	peer.Close()
}

// A process that was passed no socket may find that the daemon was.
func TestPeerHasTheSocket(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer func(dir string) http.Handler
		ok   bool
	}{
		{"another keypaird", func(dir string) http.Handler { return Responder{(&Solver{Dir: dir}).Token} }, true},
		{"a web server", func(string) http.Handler { return http.NotFoundHandler() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newSolver(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			srv := &http.Server{Handler: tt.peer(s.Dir)}
			var serving sync.WaitGroup
			serving.Go(func() { _ = srv.Serve(l) })
			defer serving.Wait()
			defer srv.Close()
			s.Listen = "fd:http"
			s.Port().Usual = l.Addr().String()
			err = s.Solve(t.Context(), challenge, served(l.Addr().String()))
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, responder.ErrNoSocket) {
				t.Errorf("Solve = %v", err)
			}
		})
	}
}
