package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/acme/responder"
	"keypaird/acme/selftest"
	"keypaird/acme/tlsalpn01"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/sockets"
)

// selfTests returns the tests of the challenges that are answered at addresses.
func selfTests(cfg *config.Config, log *slog.Logger) map[string]*selftest.Test {
	addresses := dns01.Checker{Log: log}.Addresses
	pass := "proxy " + http01.Path + " to [http-01] listen"
	if root := cfg.HTTP01.Webroot; root != "" {
		pass = "serve the files of " + root + " as " + http01.Path
	}
	var wait time.Duration
	var node func(context.Context, netip.Addr) string
	if cfg.InFleet() {
		wait, node = tokenWait, nodeAt(cfg.Fleet.Nodes.Names(), sockets.Addresses)
	}
	return map[string]*selftest.Test{
		acme.HTTP01: {
			Port: "80", Table: "http-01", Pass: pass, Addresses: addresses, Log: log,
			Ask: http01.Client{Addresses: addresses}.Ask, Wait: wait, Node: node,
		},
		acme.TLSALPN01: {
			Port: "443", Table: "tls-alpn", Pass: "pass connections with ALPN " + tlsalpn01.Protocol + " to [tls-alpn] listen, through no TLS of its own",
			Addresses: addresses, Log: log, Ask: tlsalpn01.Ask,
		},
	}
}

const (
	tokenWait  = 10 * time.Second // for a node of a fleet to have a token
	nodesLimit = 2 * time.Second  // for the names of nodes to be looked up
)

// nodeAt returns a function that names the node at an address, if nodes are named as hosts.
func nodeAt(names []string, addresses func(ctx context.Context, host string) ([]netip.Addr, error)) func(context.Context, netip.Addr) string {
	return func(ctx context.Context, addr netip.Addr) string {
		ctx, cancel := context.WithTimeout(ctx, nodesLimit)
		defer cancel()
		for _, name := range names {
			at, _ := addresses(ctx, name)
			if slices.ContainsFunc(at, func(a netip.Addr) bool { return a.Unmap() == addr.Unmap() }) {
				return name
			}
		}
		return ""
	}
}

// tested returns a solver that asks for each response before the CA is asked to.
func (e *Engine) tested(challenge string, s acme.Solver, wanted bool) acme.Solver {
	if !wanted {
		return s
	}
	return selftest.Solver{Solver: s, Test: e.Tests[challenge]}
}

// SteadyPorts returns the ports of challenges that are open between orders, too: at
// sockets that the service manager holds, and for tokens of other machines.
func (e *Engine) SteadyPorts() []*responder.Port {
	return slices.DeleteFunc(e.ports(), func(p *responder.Port) bool { return !e.steady(p) })
}

func (e *Engine) steady(p *responder.Port) bool {
	return p.Passed() || e.options.Shared.Run != nil && p == e.HTTP01.Port() && p.Addr != ""
}

// ClosePorts stops listening for challenges, except at those that are steady if these
// are kept.
func (e *Engine) ClosePorts(keepSteady bool) {
	for _, p := range e.ports() {
		if !keepSteady || !e.steady(p) {
			p.Close()
		}
	}
	if e.options.Listener != nil {
		e.options.Listener.Rest()
	}
}

// warm returns what starts the listener before an order of a target that needs it.
func (e *Engine) warm(t config.Target) func() {
	listens := func(c config.Challenge) bool {
		return c.Type == acme.HTTP01 && e.HTTP01.Port().Addr != "" || c.Type == acme.TLSALPN01
	}
	if e.options.Listener == nil || !slices.ContainsFunc(t.Challenges, listens) {
		return func() {}
	}
	return e.options.Listener.Warm
}

func (e *Engine) ports() []*responder.Port {
	return []*responder.Port{e.HTTP01.Port(), e.TLSALPN01.Port()}
}
