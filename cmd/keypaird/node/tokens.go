package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/http01"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

// A CA asks whichever node a name leads to. The node that orders writes each token before
// the CA is asked; the others serve the tokens that they follow, and ask the engine for one
// that they do not have.

const (
	tokenTTL    = time.Hour // of tokens that nobody removed
	fetchTime   = time.Second
	fetchEvery  = time.Second / 20
	fetchBurst  = 20
	followRetry = time.Second
)

// Solver returns s, which solves http-01 challenges, for the whole fleet.
func (n *Node) Solver(s acme.Solver) acme.Solver { return solver{n, s} }

// A solver implements acme.Solver and acme.Withdrawer.
type solver struct {
	node   *Node
	solver acme.Solver
}

func (s solver) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	if s.node.isAlone() {
		return s.solver.Solve(ctx, c, validate)
	}
	withdraw, err := s.node.publishToken(ctx, c, s.node.commit)
	if err != nil {
		return notPermitted(err)
	}
	defer withdraw()
	return s.solver.Solve(ctx, c, validate)
}

func (s solver) Withdraw(c acme.Challenge) {
	if w, ok := s.solver.(acme.Withdrawer); ok {
		w.Withdraw(c)
	}
}

// ShareToken gives the token of a test to all nodes, until withdraw is called. This node
// need not sit in the seat, but must be one that may order: others would not serve the
// token.
func (n *Node) ShareToken(ctx context.Context, c acme.Challenge) (withdraw func(), err error) {
	return n.publishToken(ctx, c, func(ctx context.Context, ops ...engine.Op) error {
		limited, cancel := context.WithTimeout(ctx, engine.Timeout)
		defer cancel()
		_, err := n.o.Fleet.Engine.Commit(limited, nil, ops)
		return err
	})
}

// publishToken gives a token to all nodes by commit, until withdraw is called, which is not nil.
func (n *Node) publishToken(ctx context.Context, c acme.Challenge, commit func(context.Context, ...engine.Op) error) (withdraw func(), err error) {
	withdraw = func() {}
	f := n.Fleet()
	if f == nil {
		return withdraw, n.idError()
	}
	op, err := f.Op(document.TokenKey(c.Token), document.Token{KeyAuthorization: c.KeyAuth}, nil, nil)
	if err != nil {
		return withdraw, err
	}
	limited, cancel := context.WithTimeout(ctx, engine.Timeout)
	defer cancel()
	lease, err := n.o.Fleet.Engine.Lease(limited, tokenTTL)
	if err != nil {
		return withdraw, err
	}
	withdraw = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		if err := lease.End(ctx); err != nil {
			n.o.Log.Debug("token not removed from the engine", "err", err) // it ends with its lease
		}
	}
	op.Lease = lease.ID()
	if err := commit(ctx, op); err != nil {
		withdraw()
		return func() {}, err
	}
	return withdraw, nil
}

// ServeTokens serves the tokens of other nodes until ctx ends, and fetches a token that a
// CA asks for before the engine has reported it.
func (n *Node) ServeTokens(ctx context.Context, s *http01.Solver) {
	s.Fetch = n.fetcher(ctx)
	served := map[string]acme.Challenge{} // by key
	defer func() {
		for _, c := range served {
			s.Withdraw(c)
		}
	}()
	failures, before := 0, "" // in a row
	for ctx.Err() == nil {
		if err := n.followTokens(ctx, s, served); err != nil && ctx.Err() == nil {
			level := slog.LevelDebug
			if failures++; err.Error() != before {
				failures, before = 1, err.Error()
			}
			if f := n.Fleet(); failures == 3 && f != nil && f.Seat().Err == nil { // the engine can be used otherwise
				level = slog.LevelWarn
			}
			n.o.Log.Log(ctx, level, "tokens of the fleet not followed", "err", err, "remedy", problem.Remedy(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(followRetry):
		}
	}
}

// followTokens serves what is there and what changes.
func (n *Node) followTokens(ctx context.Context, s *http01.Solver, served map[string]acme.Challenge) error {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	snapshot, err := n.o.Fleet.Engine.Read(reading, document.KindToken.Prefix())
	cancel()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range snapshot.Entries {
		there[e.Key] = true
		n.serveToken(s, served, e)
	}
	for key := range served {
		if !there[key] {
			n.serveToken(s, served, engine.Entry{Key: key})
		}
	}
	for e, err := range n.o.Fleet.Engine.Follow(ctx, []string{document.KindToken.Prefix()}, snapshot.Revision) {
		if err != nil {
			return err
		}
		n.serveToken(s, served, e)
	}
	return ctx.Err()
}

// serveToken serves one token, or no longer.
func (n *Node) serveToken(s *http01.Solver, served map[string]acme.Challenge, e engine.Entry) {
	if c, ok := served[e.Key]; ok && e.Value == nil {
		delete(served, e.Key)
		s.Withdraw(c)
	}
	if e.Value == nil {
		return
	}
	c, err := n.openToken(e)
	if err == nil && c.Token != "" {
		if err = s.Publish(c); err == nil {
			served[e.Key] = c
		}
	}
	if err != nil {
		n.o.Log.Warn("token of the fleet not served", "key", e.Key, "err", err)
	}
}

// token returns what is in the entry of a token, if a node that may order has signed it:
// otherwise anyone who can write to the engine could have our names validated for their
// own account.
func (n *Node) token(e engine.Entry) (t document.Token, err error) {
	f := n.Fleet()
	if f == nil {
		return t, n.idError()
	}
	t, _, err = fleet.Open(f, e, n.o.Fleet.Order, document.Parse[document.Token])
	return t, err
}

// openToken returns the challenge that a token of another node answers; the zero value for
// one of this node, which solves it itself.
func (n *Node) openToken(e engine.Entry) (acme.Challenge, error) {
	token := strings.TrimPrefix(e.Key, document.KindToken.Prefix())
	t, err := n.token(e)
	switch {
	case err != nil:
		return acme.Challenge{}, err
	case !acme.IsToken(token) || !t.For(token):
		return acme.Challenge{}, errors.New("it does not belong to its key")
	}
	if _, err := n.seat(); err == nil {
		return acme.Challenge{}, nil
	}
	return acme.Challenge{Type: acme.HTTP01, Token: token, KeyAuth: t.KeyAuthorization}, nil
}

var errNotFetched = errors.New("no such token")

// fetcher returns what asks the engine for a token. Anybody can cause that, so it is done for
// what has the form of a token, and not often.
func (n *Node) fetcher(ctx context.Context) func(token string) (string, error) {
	slots := make(chan struct{}, fetchBurst)
	return func(token string) (string, error) {
		select {
		case slots <- struct{}{}:
			time.AfterFunc(fetchEvery*fetchBurst, func() { <-slots })
		default:
			return "", errNotFetched
		}
		limited, cancel := context.WithTimeout(ctx, fetchTime)
		defer cancel()
		e, err := engine.ReadKey(limited, n.o.Fleet.Engine, document.TokenKey(token))
		if err != nil {
			return "", err
		}
		t, err := n.token(e)
		if err != nil || !t.For(token) {
			return "", errNotFetched
		}
		return t.KeyAuthorization, nil
	}
}
