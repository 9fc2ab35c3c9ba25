package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/durable"
)

// lockTimeout is how long the daemon waits for the lock. No command works that long.
const lockTimeout = time.Hour

// acquireLock waits for the lock of the state directory, after all commands.
func (d *Daemon) acquireLock(ctx context.Context) (*durable.Lock, error) {
	waiting, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := durable.AcquireLast(waiting, d.current.engine.LockPath(), func(holder string) {
		d.log.Info("waiting for another keypaird", "holder", holder)
	})
	var held *durable.HeldError
	if errors.As(err, &held) {
		return nil, &StuckError{held}
	}
	return lock, err
}

// checkStateDir fails if the state directory is gone. If it was replaced, it loads
// the configuration again to use the new one: nothing serves or backs up the old one.
func (d *Daemon) checkStateDir(ctx context.Context) error {
	moved, err := d.current.engine.Store.Moved()
	if err != nil {
		return &ReplacedError{d.current.engine.Config.State, err}
	}
	if !moved || d.hasPending() {
		return nil
	}
	d.log.Warn("state directory replaced")
	d.reload(ctx)
	if !d.hasPending() {
		return &ReplacedError{State: d.current.engine.Config.State}
	}
	return nil
}

// A ReplacedError reports a state directory that is not the one that the daemon
// opened and that cannot be used instead.
type ReplacedError struct {
	State string
	Err   error // nil: the log says why
}

func (e *ReplacedError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "the certificates in " + e.State + " are gone while keypaird runs"
	}
	if e.Err != nil {
		return fmt.Sprintf("checking whether %s was replaced: %v", e.State, e.Err)
	}
	return e.State + " was replaced while keypaird runs, and the new directory cannot be used"
}

func (e *ReplacedError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *ReplacedError) Remedy() string {
	return "put the state directory back, or restore it from a backup, then restart keypaird; the log says more"
}

// A StuckError reports another keypaird that holds the lock for too long.
type StuckError struct{ Held *durable.HeldError }

func (e *StuckError) Error() string {
	return fmt.Sprintf("another keypaird has been at work for more than an hour: %s is held by %s", e.Held.Path, e.Held.Holder)
}

func (e *StuckError) Unwrap() error { return e.Held }

// Remedy says what the operator can do about it.
func (e *StuckError) Remedy() string {
	return "check what that process waits for: continue it with kill -CONT if it was stopped (Ctrl-Z), else end it"
}
