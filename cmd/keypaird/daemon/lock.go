package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/durable"
)

// longWait is how long the daemon waits for a command, none of which works so
// long.
const longWait = time.Hour

// acquire waits for its turn, but not for ever.
func (k *Daemon) acquire(ctx context.Context) (*durable.Lock, error) {
	waiting, cancel := context.WithTimeout(ctx, longWait)
	defer cancel()
	lock, err := durable.AcquireLast(waiting, k.parts.LockPath(), func(holder string) {
		k.log.Info("waiting for another keypaird", "holder", holder)
	})
	var held *durable.HeldError
	if errors.As(err, &held) {
		return nil, &StuckError{held}
	}
	return lock, err
}

// follow has the daemon work on what is at the path of the state directory, if
// that was exchanged: what is held open is in no backup, and served by nobody.
func (k *Daemon) follow(ctx context.Context) error {
	moved, err := k.parts.Store.Moved()
	if err != nil {
		return &ExchangedError{k.parts.Config.State, err}
	}
	if !moved || k.offers() {
		return nil
	}
	k.log.Warn("the state directory was exchanged")
	k.reload(ctx)
	if !k.offers() {
		return &ExchangedError{State: k.parts.Config.State}
	}
	return nil
}

// An ExchangedError reports a state directory that is not the one the daemon
// opened, and cannot be used instead of it.
type ExchangedError struct {
	State string
	Err   error // nil: the log says why
}

func (e *ExchangedError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "the certificates in " + e.State + " are gone while keypaird runs"
	}
	if e.Err != nil {
		return fmt.Sprintf("looking whether %s was exchanged: %v", e.State, e.Err)
	}
	return e.State + " was exchanged while keypaird runs, and what is there now cannot be used"
}

func (e *ExchangedError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *ExchangedError) Remedy() string {
	return "put the state directory back, or restore it from a backup, then restart keypaird; the log says more"
}

// A StuckError reports another keypaird that does not come to an end.
type StuckError struct{ Held *durable.HeldError }

func (e *StuckError) Error() string {
	return fmt.Sprintf("another keypaird has been at work for more than an hour: %s is held by %s", e.Held.Path, e.Held.Holder)
}

func (e *StuckError) Unwrap() error { return e.Held }

// Remedy says what the operator can do about it.
func (e *StuckError) Remedy() string {
	return "look what that process waits for: if it was stopped (Ctrl-Z), have it go on with kill -CONT, else end it"
}
