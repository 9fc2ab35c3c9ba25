package selftest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"
)

const (
	limit      = 3 * time.Second // of a test: the order goes on where there is no answer by then
	retryAfter = time.Second     // another machine answered otherwise
)

// A Solver tests each response before the CA is asked to validate it.
type Solver struct {
	acme.Solver
	Test *Test
}

// Solve implements acme.Solver.
func (s Solver) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	return s.Solver.Solve(ctx, c, func(ctx context.Context) error {
		if err := s.Test.run(ctx, c); err != nil {
			return err
		}
		return validate(ctx)
	})
}

// Withdraw implements acme.Withdrawer.
func (s Solver) Withdraw(c acme.Challenge) {
	if w, ok := s.Solver.(acme.Withdrawer); ok {
		w.Withdraw(c)
	}
}

// run returns an error if a CA would get another answer than ours.
func (t *Test) run(ctx context.Context, c acme.Challenge) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	off := fmt.Sprintf("set self_test = false in [%s]", t.Table)
	addrs, err := t.Find(bounded, c)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		t.Log.Warn("self-test skipped", "name", c.Identifier, "challenge", c.Type, "err", err, "remedy", problem.Remedy(err)+"; if only CAs know the name, "+off)
		return nil
	}
	results := t.Await(ctx, addrs, c, limit)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failed []Result
	for _, r := range results {
		switch {
		case r.Err == nil:
		case unreachable(r.Err), refused(r.Err) && t.tolerated(r, results):
			t.Log.Warn("self-test inconclusive", "name", c.Identifier, "challenge", c.Type, "addr", r, "err", r.Err, "remedy", problem.Remedy(r.Err)+": then "+off)
		default:
			failed = append(failed, r)
		}
	}
	return failure(failed, "; if CAs get another answer there than this machine (hairpin NAT, split DNS), "+off)
}

// Await calls Try, for at most limit each time, until every machine that answers has our
// response or Wait has passed. Results name the machines that have another response or do
// not answer.
func (t *Test) Await(ctx context.Context, addrs []netip.Addr, c acme.Challenge, limit time.Duration) []Result {
	try := func() []Result {
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return t.Try(bounded, addrs, c)
	}
	results := try()
	for began := time.Now(); ctx.Err() == nil && slices.ContainsFunc(results, Result.answeredOtherwise) && time.Since(began) < t.Wait; {
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
		results = try()
	}
	for i, r := range results {
		if r.Err != nil && t.Node != nil {
			results[i].Node = t.Node(ctx, r.Addr)
		}
	}
	return results
}

// Skips reports whether CAs may try another address than one that does not answer: it may be
// that of a machine which is down, and another one has our response.
func (t *Test) Skips(r Result, results []Result) bool {
	return t.Wait > 0 && r.Err != nil && !r.answeredOtherwise() && slices.ContainsFunc(results, func(r Result) bool { return r.Err == nil })
}

// answeredOtherwise reports whether a server is there that has another response.
func (r Result) answeredOtherwise() bool {
	return r.Err != nil && !unreachable(r.Err) && !refused(r.Err)
}

// tolerated reports whether CAs may try another address than one that refuses connections:
// one of the other family, or that of another machine, which may be the one that is down.
func (t *Test) tolerated(r Result, results []Result) bool {
	return t.Skips(r, results) || t.Wait == 0 && r.Addr.Is6() && answeredByIPv4(results)
}

// answeredByIPv4 reports whether an IPv4 address has our response: CAs try it when they
// cannot connect by IPv6.
func answeredByIPv4(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return r.Addr.Is4() && r.Err == nil })
}

// failure returns the error of all addresses, with the remedy of the first and more.
func failure(failed []Result, more string) error {
	if len(failed) == 0 {
		return nil
	}
	text := "tried before asking the CA:"
	for i, r := range failed {
		if i > 0 {
			text += ";"
		}
		text += fmt.Sprintf(" at %s: %v", r, r.Err)
	}
	return problem.New(text, problem.Remedy(failed[0].Err)+more)
}
