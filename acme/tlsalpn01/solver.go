package tlsalpn01

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"

	"keypaird/acme"
	"keypaird/acme/responder"
)

const (
	busyRemedy = `a server holds the port (see which: fstat, sockstat or ss -ltnp): set [tls-alpn] listen = "127.0.0.1:8404" and have it pass connections with ALPN ` +
		Protocol + ` on to there, as examples/tls-alpn does, or use http-01 or dns-01`
	deniedRemedy = `run as root, or with the capability CAP_NET_BIND_SERVICE, or by socket activation (listen = "fd:tls-alpn")`
)

// A Solver solves tls-alpn-01 challenges. It is an acme.Solver. It listens from Start,
// or from the first challenge, until Close.
type Solver struct {
	Dir    string       // required; of key authorizations, made if missing
	Listen string       // see responder.Listen
	Log    *slog.Logger // required

	// Serve answers at sockets by what name returns, until it is closed. Nil: the function
	// Serve, in this process.
	Serve func(ls []net.Listener, name func(string) (string, error)) (io.Closer, error)

	once sync.Once
	port responder.Port

	mu    sync.Mutex
	names map[string]chan struct{} // full while a challenge of the name is answered
}

// Port returns the port that is listened on.
func (s *Solver) Port() *responder.Port {
	s.once.Do(func() {
		p := &s.port
		p.Type, p.Addr, p.Usual, p.Busy, p.Denied, p.Log = acme.TLSALPN01, s.Listen, "localhost:443", busyRemedy, deniedRemedy, s.Log
		p.Sweep = func(acme.Challenge) { s.files().Sweep("") }
		p.Serve = s.serve
		p.Answer = askAt
	})
	return &s.port
}

// Solve implements acme.Solver. A name has one certificate at a time, so the challenges
// of one name take turns.
func (s *Solver) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	name := serverName(c.Identifier)
	unlock, err := s.lock(ctx, name, c.Queued)
	if err != nil {
		return err
	}
	defer unlock()
	files := s.files()
	if err := files.Publish(name, c.Identifier+" "+c.KeyAuth); err != nil {
		return err
	}
	defer files.Withdraw(name)
	return s.Port().Solve(ctx, c, validate)
}

// Withdraw implements acme.Withdrawer.
func (s *Solver) Withdraw(c acme.Challenge) { s.files().Withdraw(serverName(c.Identifier)) }

// Close stops listening and waits for the servers. The next challenge listens again.
func (s *Solver) Close() { s.Port().Close() }

// files returns the challenges by server name: a file has the identifier, a space and the
// key authorization.
func (s *Solver) files() responder.Files {
	return responder.Files{
		Dir: s.Dir, Mode: 0o600, Make: true, Log: s.Log,
		Remedy: "make the directory exist and writable for keypaird",
		Fits: func(name, content string) bool {
			identifier, keyAuth, _ := strings.Cut(content, " ")
			token, thumbprint, _ := strings.Cut(keyAuth, ".")
			return isServerName(name) && serverName(identifier) == name && acme.IsToken(token) && thumbprint != ""
		},
	}
}

// serve answers handshakes until it is closed.
func (s *Solver) serve(ls []net.Listener) (io.Closer, error) {
	if s.Serve == nil {
		return Serve(ls, s.Name), nil
	}
	return s.Serve(ls, s.Name)
}

// Name returns the response for a server name, which may be any text: the identifier, a
// space and the key authorization.
func (s *Solver) Name(name string) (string, error) {
	if !isServerName(name) {
		return "", errNoChallenge
	}
	return s.files().Read(name)
}

// lock waits until no other challenge of a name is answered.
func (s *Solver) lock(ctx context.Context, name string, queued func(bool)) (unlock func(), err error) {
	s.mu.Lock()
	turn := s.names[name]
	if turn == nil {
		if s.names == nil {
			s.names = map[string]chan struct{}{}
		}
		turn = make(chan struct{}, 1)
		s.names[name] = turn
	}
	s.mu.Unlock()
	unlock = func() { <-turn }
	select {
	case turn <- struct{}{}:
		return unlock, nil
	default:
	}
	if queued != nil {
		queued(true)
		defer queued(false)
	}
	select {
	case turn <- struct{}{}:
		return unlock, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Ask returns nil if the response to c is served at one address of its name.
func Ask(ctx context.Context, addr netip.Addr, c acme.Challenge) error {
	return askAt(ctx, netip.AddrPortFrom(addr, 443).String(), c)
}
