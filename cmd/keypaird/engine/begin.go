package engine

import (
	"context"
	"reflect"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
	"keypaird/renew/status/nodes"
)

// Begin waits for the lock of the state directory. If it has to wait, waiting is called
// once with the holder of the lock. end closes ports and accounts, closes the Engine and
// releases the lock. After an error the Engine is closed.
func (e *Engine) Begin(ctx context.Context, waiting func(holder string)) (end func(), err error) {
	lock, err := durable.AcquireLock(ctx, e.LockPath(), waiting)
	if err != nil {
		e.Close()
		return nil, err
	}
	leave := e.Share(ctx, Passes{})
	endPass := e.BeginPass(ctx)
	return func() {
		endPass()
		leave()
		e.shutdown(ctx)
		lock.Release() // last: until then DNS helpers may remove their records
	}, nil
}

// Share takes part in a fleet, if there is one, until stop is called.
func (e *Engine) Share(ctx context.Context, p Passes) (stop func()) {
	run := e.options.Shared.Run
	if run == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx, e.HTTP01, p)
		if port := e.HTTP01.Port(); !port.Passed() {
			port.Close() // another engine may listen now
		}
	}()
	return func() { cancel(); <-done }
}

// KeepFor hands this machine's connection to the fleet over to the engine that replaces
// this one, if both configurations have the same [fleet]: leases are kept between the stop
// of this Share and the next Share.
func (e *Engine) KeepFor(next *Engine) {
	if e.options.Shared.Keep != nil && next.options.Shared.Run != nil && reflect.DeepEqual(e.Config.Fleet, next.Config.Fleet) {
		e.options.Shared.Keep()
	}
}

// BeginPass is called before each pass, with the lock of the state directory; end is called
// after the pass.
func (e *Engine) BeginPass(ctx context.Context) (end func()) {
	if e.options.Shared.Begin == nil {
		return func() {}
	}
	e.options.Shared.Begin(ctx, e.removeTXT)
	return e.options.Shared.End
}

// PermitAccountChange returns an error if an operator may not change accounts on this machine
// now. It is called within a pass.
func (e *Engine) PermitAccountChange() error {
	if e.options.Shared.PermitAccountChange == nil {
		return nil
	}
	return e.options.Shared.PermitAccountChange()
}

// removeTXT removes a record that another machine has presented.
func (e *Engine) removeTXT(ctx context.Context, r dns01.Presented) error {
	a := e.Accounts[r.Account]
	if a == nil {
		return problem.Newf("remove the record at the provider if it exists", "no certificate uses [dns.%s] any more", r.Account)
	}
	return a.Remove(ctx, r)
}

// Fleet returns the state of the fleet as far as this machine knows it; nil: there is none.
func (e *Engine) Fleet() *nodes.Fleet {
	if e.options.Shared.Describe == nil {
		return nil
	}
	return e.options.Shared.Describe()
}

// ShareToken gives the token of a test to all machines that answer http-01 challenges, until
// withdraw is called.
func (e *Engine) ShareToken(ctx context.Context, c acme.Challenge) (withdraw func(), err error) {
	if e.options.Shared.Token == nil || c.Type != acme.HTTP01 {
		return func() {}, nil
	}
	return e.options.Shared.Token(ctx, c)
}
