package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/authority"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/acme/orderlog"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
	"keypaird/renew/status/nodes"
)

// Shared contains the state that the machines of a fleet share. Each function returns the
// store that is used in place of the files of this machine, which that may read and write.
// nil: the files are used. Except for Permit, each is called when its result is first
// needed.
type Shared struct {
	Orders   func(target, ca string, files acme.OrderStore) acme.OrderStore // the order under way
	Account  func(ca string, files accountfile.Store) accountfile.Store
	OrderLog func(ca string, file *orderlog.Log) acme.OrderLog

	// PermitAccountChange returns an error if an operator may not change accounts on this
	// machine now.
	PermitAccountChange func() error

	Target func(t renew.Target) renew.Sharing // t is complete but for this
	Permit func() error                       // see [acme.Options]
	HTTP01 func(acme.Solver) acme.Solver      // gives tokens to all machines

	// Token gives the token of a test to all machines, whether or not this one may order now.
	Token func(ctx context.Context, c acme.Challenge) (withdraw func(), err error)

	// Clock is called with how far the clock of a CA is ahead of ours, after each answer.
	Clock func(ahead time.Duration)

	// TXT is [dns01.Account.Note] of all accounts.
	TXT func(context.Context, dns01.Presented) (removed func(), err error)

	// Run takes part until ctx ends, has passes made, and has the tokens of other machines
	// served. After Keep, the next Run in this process goes on where it ends. Begin and End are
	// called before and after each pass; Begin removes, by remove, the TXT records that a
	// machine which died has left. All four or none.
	Run   func(ctx context.Context, tokens *http01.Solver, p Passes)
	Keep  func()
	Begin func(ctx context.Context, remove func(context.Context, dns01.Presented) error)
	End   func()

	Describe func() *nodes.Fleet // what is known of the fleet; nil: there is none
}

// Passes are the functions through which a fleet has a daemon make passes. Fields may be
// nil.
type Passes struct {
	// Changed is called when targets need a pass, all if it is nil.
	Changed func(targets []string)

	// Issue makes a pass over targets now, as keypaird issue does. The error is why it
	// could not be made.
	Issue func(ctx context.Context, targets []string, force, newKey bool) (status.Results, error)

	// Rollover replaces the keys of the accounts at CAs, as keypaird account does. The error is
	// why none was.
	Rollover func(ctx context.Context, cas []string) (status.Results, error)
}

// tokens returns what solves http-01 challenges.
func (s Shared) tokens(solver acme.Solver) acme.Solver {
	if s.HTTP01 == nil {
		return solver
	}
	return s.HTTP01(solver)
}

// AccountDir returns the directory of the account at a CA, with the log of its orders.
func AccountDir(state, ca string) string { return filepath.Join(state, "accounts", ca) }

// PendingDir returns the directory of the unfinished order of a target at a CA.
func PendingDir(store *keypair.Store, target, ca string) string {
	return filepath.Join(store.Dir(target), "pending", ca)
}

// orders returns what keeps the order of a target at a CA that is not finished. At each
// CA it is another: what the first may have issued is not lost when the next is tried.
func (s Shared) orders(target, ca, dir string) acme.OrderStore {
	if s.Orders == nil {
		return acme.OrderDir(dir)
	}
	return s.Orders(target, ca, acme.OrderDir(dir))
}

// account returns what keeps the account at a CA.
func (s Shared) account(ca, dir string) accountfile.Store {
	if s.Account == nil {
		return accountfile.Dir(dir)
	}
	return s.Account(ca, accountfile.Dir(dir))
}

// orderLog returns the order log of a CA.
func (s Shared) orderLog(ca, dir string) acme.OrderLog {
	known, _ := authority.BuiltIn(ca)
	file := acme.NewOrderLog(known, dir)
	if s.OrderLog == nil {
		return file
	}
	return s.OrderLog(ca, file)
}

// orders are the orders of a target that are not finished, one at each CA.
type orders struct {
	dir string // of their files
	at  []acme.OrderStore
}

// clear removes all, also those at CAs that the target no longer has.
func (o orders) clear() error {
	var errs []error
	for _, store := range o.at {
		errs = append(errs, store.Clear())
	}
	return errors.Join(append(errs, os.RemoveAll(o.dir))...)
}
