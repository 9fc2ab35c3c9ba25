package responder

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
)

// takeOverPoll is how often a port tries to listen in place of a peer.
const takeOverPoll = 50 * time.Millisecond

// mayBeHeld reports whether another keypaird may have what err says is missing: the
// port, the right to listen on it, or the socket of the service manager.
func mayBeHeld(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, ErrNoSocket)
}

// heldByPeer reports whether the holder of the port serves our directory, as another
// keypaird does.
func (p *Port) heldByPeer(ctx context.Context, c acme.Challenge) bool {
	addr := p.Addr
	if p.Passed() {
		addr = p.Usual
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return p.Answer(ctx, net.JoinHostPort(host, port), c) == nil
}

// solveWithPeer calls validate while a peer serves our token, and listens in its
// place once it has gone: a command that ends, or a daemon that is stopped.
func (p *Port) solveWithPeer(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	watched, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { p.takeOver(watched, c) })
	defer watch.Wait()
	defer stop()
	return validate(ctx)
}

// takeOver tries to listen while the port is in use, until ctx endp.
func (p *Port) takeOver(ctx context.Context, c acme.Challenge) {
	tick := time.NewTicker(takeOverPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if p.triedRecently() {
			continue
		}
		err := p.start(ctx, c)
		if err == nil {
			p.Log.Info("listening in place of another keypaird", "addr", p.Addr)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return
		}
	}
}

// triedRecently reports whether another challenge has just tried to listen, so that
// one of many does at a time.
func (p *Port) triedRecently() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started && time.Since(p.tried) < takeOverPoll/2 {
		return true
	}
	p.tried = time.Now()
	return false
}
