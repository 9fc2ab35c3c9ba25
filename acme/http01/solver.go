package http01

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"keypaird/acme"
	"keypaird/acme/responder"
)

const (
	busyRemedy = `a web server holds the port (see which: fstat, sockstat or ss -ltnp): set [http-01] webroot to a directory it serves as ` + Path +
		`, or set listen = "127.0.0.1:8402" and have it pass ` + Path + ` on to there`
	deniedRemedy = `run as root, or with the capability CAP_NET_BIND_SERVICE, or by socket activation (listen = "fd:http"), or use [http-01] webroot`
)

// A Solver solves http-01 challenges. It is an acme.Solver. It listens from Start, or
// from the first challenge, until Close.
type Solver struct {
	Dir     string       // required; of tokens, made if missing
	Listen  string       // see responder.Listen; "" never listens: another process serves Dir
	Webroot string       // directory a web server shows as Path; if set, tokens go there and nothing is listened on
	Log     *slog.Logger // required

	// Serve answers at sockets by what token returns, until it is closed. Nil: the function
	// Serve, in this process.
	Serve func(ls []net.Listener, token func(string) (string, error)) (io.Closer, error)

	// Fetch returns the response for a token that is not in Dir, or an error. Nil: there
	// are no others.
	Fetch func(token string) (string, error)

	once sync.Once
	port responder.Port
}

// Port returns the port that is listened on.
func (s *Solver) Port() *responder.Port {
	s.once.Do(func() {
		p := &s.port
		p.Type, p.Usual, p.Busy, p.Denied, p.Log = acme.HTTP01, "localhost:80", busyRemedy, deniedRemedy, s.Log
		p.Sweep, p.Serve, p.Answer = s.sweep, s.serve, answer
		if s.Webroot == "" {
			p.Addr = s.Listen
		}
	})
	return &s.port
}

// Publish has the response to a challenge of another process or machine served, until it is
// withdrawn.
func (s *Solver) Publish(c acme.Challenge) error { return s.files().Publish(c.Token, c.KeyAuth) }

// Solve implements acme.Solver.
func (s *Solver) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	files := s.files()
	if err := files.Publish(c.Token, c.KeyAuth); err != nil {
		return err
	}
	defer files.Withdraw(c.Token)
	return s.Port().Solve(ctx, c, validate)
}

// Withdraw implements acme.Withdrawer.
func (s *Solver) Withdraw(c acme.Challenge) { s.files().Withdraw(c.Token) }

// Close stops listening and waits for the servers. The next challenge listens again.
func (s *Solver) Close() { s.Port().Close() }

func (s *Solver) files() responder.Files {
	f := filesIn(s.Dir)
	if s.Log != nil {
		f.Log = s.Log
	}
	if s.Webroot != "" {
		f.Dir, f.Mode, f.Make = s.Webroot, 0o644, false
	}
	return f
}

// filesIn returns the tokens of a directory.
func filesIn(dir string) responder.Files {
	return responder.Files{
		Dir: dir, Mode: 0o600, Make: true, Remedy: "make the directory exist and writable for keypaird, or correct [http-01] webroot",
		Fits: func(name, content string) bool { return acme.IsToken(name) && strings.HasPrefix(content, name+".") },
		Log:  slog.New(slog.DiscardHandler),
	}
}

// sweep removes old tokens. Other programs may keep theirs in a webroot.
func (s *Solver) sweep(c acme.Challenge) {
	end := ""
	if s.Webroot != "" {
		end = strings.TrimPrefix(c.KeyAuth, c.Token)
	}
	s.files().Sweep(end)
}

// serve serves the tokens until it is closed.
func (s *Solver) serve(ls []net.Listener) (io.Closer, error) {
	if s.Serve == nil {
		return Serve(ls, s.Token), nil
	}
	return s.Serve(ls, s.Token)
}

// Token returns the response for a token, which may be any text.
func (s *Solver) Token(token string) (string, error) {
	if !acme.IsToken(token) {
		return "", errNoToken
	}
	response, err := filesIn(s.Dir).Read(token)
	if err != nil && s.Fetch != nil {
		return s.Fetch(token)
	}
	return response, err
}
