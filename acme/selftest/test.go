package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
)

// A Test asks for the responses to the challenges of one type.
type Test struct {
	Port      string // where CAs ask
	Table     string // of the configuration
	Pass      string // what a server that answers in our place has to do, for remedies
	Addresses func(ctx context.Context, name string) ([]netip.Addr, error)
	Ask       func(ctx context.Context, addr netip.Addr, c acme.Challenge) error // nil: the response there is ours
	Log       *slog.Logger

	// Of several machines that answer, one may not have the response yet, and one may be
	// down. 0 and nil: this machine answers alone.
	Wait time.Duration                                     // for another answer to become ours
	Node func(ctx context.Context, addr netip.Addr) string // name of the machine at an address; "": not known
}

// A Result is what one address answers.
type Result struct {
	Addr netip.Addr
	Err  error  // nil: our response
	Node string // that has the address; "": not known
}

// String names the address, and the machine there.
func (r Result) String() string {
	if r.Node == "" {
		return r.Addr.String()
	}
	return fmt.Sprintf("%s (node %s)", r.Addr, r.Node)
}

// Find returns the addresses where a CA asks.
func (t *Test) Find(ctx context.Context, c acme.Challenge) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(c.Identifier); err == nil {
		return []netip.Addr{ip}, nil
	}
	addrs, err := t.Addresses(ctx, c.Identifier)
	if err != nil {
		return nil, problem.Wrap(err, cmp.Or(problem.Remedy(err), lookupRemedy(err)))
	}
	return addrs, nil
}

// Try asks at all addresses at once.
func (t *Test) Try(ctx context.Context, addrs []netip.Addr, c acme.Challenge) []Result {
	results := make([]Result, len(addrs))
	var wg sync.WaitGroup
	for i, a := range addrs {
		wg.Go(func() {
			err := t.Ask(ctx, a, c)
			results[i] = Result{Addr: a, Err: problem.Wrap(err, t.remedy(err))}
		})
	}
	wg.Wait()
	return results
}

func (t *Test) remedy(err error) string {
	connect := fmt.Sprintf("correct the record of that address, the firewall, or the server on port %s: CAs cannot connect either", t.Port)
	switch {
	case refused(err):
		return connect
	case unreachable(err):
		return connect + ", unless only this network blocks its own address (hairpin NAT)"
	}
	other := "another server responds there: correct the record if it is not this machine's, or make that server " + t.Pass
	if t.Wait > 0 {
		other += "; if it is a node of the fleet, check there that it reaches the engine: keypaird fleet status"
	}
	return other
}

// lookupRemedy is for a failed lookup of addresses.
func lookupRemedy(err error) string {
	if _, network := errors.AsType[net.Error](err); network {
		return "no resolver answers: check that those in /etc/resolv.conf are reachable from this machine"
	}
	return "check that the name is right, that it has an A or AAAA record, and that the resolvers in /etc/resolv.conf find it"
}

// refused reports whether the address is there and nothing listens.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// unreachable reports whether err says nothing about what a CA would see: no answer in
// time, no route, or a name that is not known here.
func unreachable(err error) bool {
	network, _ := errors.AsType[net.Error](err)
	dial, _ := errors.AsType[*net.OpError](err)
	return errors.Is(err, context.DeadlineExceeded) || network != nil && network.Timeout() || dial != nil && dial.Op == "dial" && !refused(err)
}
