package renewtest

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
)

// A CA is a [renew.Issuer] of one target. Its name is enough for a test that orders
// nothing.
type CA struct {
	Name  string
	Order func(ctx context.Context, o renew.Order) (*keypair.Pair, error) // nil: each order fails
	Held  func(current *x509.Certificate) renew.Limit                     // nil: there is no limit
}

// CAs returns CAs with names alone.
func CAs(names ...string) []renew.Issuer {
	var list []renew.Issuer
	for _, name := range names {
		list = append(list, &CA{Name: name})
	}
	return list
}

func (c *CA) String() string { return c.Name }

func (c *CA) Obtain(ctx context.Context, o renew.Order) (*keypair.Pair, error) {
	if c.Order == nil {
		return nil, errors.New("this CA issues nothing")
	}
	return c.Order(ctx, o)
}

func (c *CA) Forget(*x509.Certificate) (bool, error) { return true, nil }

func (c *CA) Limit(current *x509.Certificate) renew.Limit {
	if c.Held == nil {
		return renew.Limit{}
	}
	return c.Held(current)
}

// An AskedCA is a CA with renewal information.
type AskedCA struct {
	CA
	Suggest func(leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error)
}

func (c *AskedCA) RenewalInfo(_ context.Context, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
	return c.Suggest(leaf)
}

// A Server is a [renew.Deployer]. Its name is enough for a test that deploys
// nothing.
type Server struct {
	Name   string
	Done   renew.DeploySpec
	Served []string                                    // endpoints
	Files  []string                                    // that it writes, with {name} for the target's name
	Use    func(changes []renew.Change) []renew.Result // nil: all are verified
	Seen   func(changes []renew.Change) []renew.Result // at its endpoints; nil: nothing is known
}

// Servers returns servers with names alone.
func Servers(names ...string) []renew.Deployer {
	var list []renew.Deployer
	for _, name := range names {
		list = append(list, &Server{Name: name})
	}
	return list
}

func (s *Server) String() string { return s.Name }

func (s *Server) Spec(string) renew.DeploySpec { return s.Done }

func (s *Server) Inspect(string, *keypair.Pair) renew.Inspection { return s.Done.Inspection }

func (s *Server) Endpoints() []string { return s.Served }

func (s *Server) Paths(target string) []string {
	var list []string
	for _, file := range s.Files {
		list = append(list, strings.ReplaceAll(file, "{name}", target))
	}
	return list
}

func (s *Server) Deploy(_ context.Context, changes []renew.Change) []renew.Result {
	if s.Use == nil {
		return make([]renew.Result, len(changes))
	}
	return s.Use(changes)
}

func (s *Server) Probe(_ context.Context, changes []renew.Change) []renew.Result {
	if s.Seen == nil {
		return make([]renew.Result, len(changes))
	}
	return s.Seen(changes)
}

// All returns the same result for each change.
func All(changes []renew.Change, r renew.Result) []renew.Result {
	list := make([]renew.Result, len(changes))
	for i := range list {
		list[i] = r
	}
	return list
}
