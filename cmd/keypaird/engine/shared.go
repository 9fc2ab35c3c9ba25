package engine

import (
	"errors"
	"os"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/authority"
	"keypaird/acme/orderlog"
	"keypaird/renew"
)

// Shared is what several machines have in common. Each function returns what is used in
// place of the files of this machine, which it may read and write. nil: the files are used.
// Permit apart, they are called when what they return is first needed.
type Shared struct {
	Orders   func(target, ca string, files acme.OrderStore) acme.OrderStore // the order under way
	Account  func(ca string, files accountfile.Store) accountfile.Store
	OrderLog func(ca string, file *orderlog.Log) acme.OrderLog
	Target   func(t renew.Target) renew.Sharing // t is complete but for this
	Permit   func() error                       // see [acme.Options]
}

// orderStore returns what keeps the order of a target at a CA that is not finished. At
// each CA it is another: what the first may have issued is not lost when the next is tried.
func (e *Engine) orderStore(target, ca, dir string) acme.OrderStore {
	files := acme.OrderDir(dir)
	if e.options.Shared.Orders == nil {
		return files
	}
	return e.options.Shared.Orders(target, ca, files)
}

// accountStore returns what keeps the account at a CA.
func (e *Engine) accountStore(ca string) accountfile.Store {
	files := accountfile.Dir(e.accountDir(ca))
	if e.options.Shared.Account == nil {
		return files
	}
	return e.options.Shared.Account(ca, files)
}

// orderLog returns the order log of a CA.
func (e *Engine) orderLog(ca string) acme.OrderLog {
	if e.orderLogs[ca] == nil {
		known, _ := authority.BuiltIn(ca)
		file := acme.NewOrderLog(known, e.accountDir(ca))
		if e.orderLogs[ca] = file; e.options.Shared.OrderLog != nil {
			e.orderLogs[ca] = e.options.Shared.OrderLog(ca, file)
		}
	}
	return e.orderLogs[ca]
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
