package http01

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"keypaird/acme"
)

// lookAgain is how often the place of a peer is asked for.
const lookAgain = 50 * time.Millisecond

// mayBeHeld tells whether another keypaird may have what we could not get: the
// port, the right to it, or the socket of the service manager.
func mayBeHeld(err error) bool {
	var busy *BusyError
	var denied *DeniedError
	var none *NoSocketError
	return errors.As(err, &busy) || errors.As(err, &denied) || errors.As(err, &none)
}

// heldByPeer reports whether whoever holds the port serves our directory, as
// another keypaird does.
func (s *Solver) heldByPeer(ctx context.Context, c acme.Challenge) bool {
	addr := s.Listen
	if strings.HasPrefix(addr, "fd:") {
		addr = cmp.Or(s.peer, "localhost:80") // there, or in front of it, for a CA to find
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

// lean calls validate while a peer serves our token, and takes its place when it
// goes away: a command that ends, say, or a daemon that is stopped.
func (s *Solver) lean(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	watched, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.succeed(watched, c) })
	defer watch.Wait()
	defer stop()
	return validate(ctx)
}

// succeed tries to listen as long as the port is busy, and until ctx ends.
func (s *Solver) succeed(ctx context.Context, c acme.Challenge) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.justTried() {
			continue
		}
		err := s.start(ctx, c)
		var busy *BusyError
		if err == nil {
			s.Log.Info("listening in place of another keypaird", "addr", s.Listen)
		}
		if !errors.As(err, &busy) {
			return
		}
	}
}

// justTried lets one of many proofs at a time try.
func (s *Solver) justTried() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started && time.Since(s.tried) < lookAgain/2 {
		return true
	}
	s.tried = time.Now()
	return false
}
