package http01

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
)

// takeOverPoll is how often a solver tries to listen in place of a peer.
const takeOverPoll = 50 * time.Millisecond

// mayBeHeld reports whether another keypaird may have what err says is missing: the
// port, the right to listen on it, or the socket of the service manager.
func mayBeHeld(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, ErrNoSocket)
}

// heldByPeer reports whether the holder of the port serves our directory, as another
// keypaird does.
func (s *Solver) heldByPeer(ctx context.Context, c acme.Challenge) bool {
	addr := s.Listen
	if strings.HasPrefix(addr, "fd:") {
		addr = cmp.Or(s.peer, "localhost:80") // where a CA finds it
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	body, err := Get(ctx, net.JoinHostPort(host, port), c.Identifier, c.Token)
	return err == nil && body == c.KeyAuth
}

// solveWithPeer calls validate while a peer serves our token, and listens in its
// place once it has gone: a command that ends, or a daemon that is stopped.
func (s *Solver) solveWithPeer(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	watched, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.takeOver(watched, c) })
	defer watch.Wait()
	defer stop()
	return validate(ctx)
}

// takeOver tries to listen while the port is in use, until ctx ends.
func (s *Solver) takeOver(ctx context.Context, c acme.Challenge) {
	tick := time.NewTicker(takeOverPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.triedRecently() {
			continue
		}
		err := s.start(ctx, c)
		if err == nil {
			s.Log.Info("listening in place of another keypaird", "addr", s.Listen)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return
		}
	}
}

// triedRecently reports whether another challenge has just tried to listen, so that
// one of many does at a time.
func (s *Solver) triedRecently() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started && time.Since(s.tried) < takeOverPoll/2 {
		return true
	}
	s.tried = time.Now()
	return false
}
