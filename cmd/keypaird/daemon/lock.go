package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// lockTimeout is how long the daemon waits for the lock. No command works that long.
const lockTimeout = time.Hour

// errReloaded ends a wait for the lock: a configuration is to be applied first.
var errReloaded = errors.New("the configuration was loaded again")

// acquireLock waits for the lock of the state directory, after all commands. After
// lockTimeout it returns an error that wraps a [*durable.HeldError], and when a reload
// comes first, errReloaded.
func (d *Daemon) acquireLock(ctx context.Context) (*durable.Lock, error) {
	waiting, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	d.lockMu.Lock()
	d.released = time.Time{} // the pass sees what others did until it has the lock
	d.lockMu.Unlock()
	d.setYield(cancel)
	defer d.setYield(nil)
	if d.hasPending() {
		return nil, errReloaded
	}
	lock, err := durable.AcquireLast(waiting, d.current.engine.LockPath(), func(holder string) {
		d.log.Info("waiting for another keypaird", "holder", holder)
	})
	var held *durable.HeldError
	switch {
	case err != nil && ctx.Err() == nil && d.hasPending():
		return nil, errReloaded
	case errors.As(err, &held):
		held.Err = fmt.Errorf("not released within %v", lockTimeout)
		return nil, problem.Wrap(held, "check what that process waits for: continue it with kill -CONT if it was stopped (Ctrl-Z), else end it")
	}
	return lock, err
}

// lockDaemon takes the lock that each state directory has for one daemon.
func lockDaemon(state string) (*durable.Lock, error) {
	lock, err := durable.TryLock(filepath.Join(state, "daemon"))
	var held *durable.HeldError
	if errors.As(err, &held) {
		return nil, problem.Newf("stop that one first, or make it reload its configuration: kill -HUP its process",
			"another keypaird run works on %s: %s", state, held.Holder)
	}
	return lock, err
}

// checkStateDir fails if the state directory is gone. If it was replaced, it loads
// the configuration again to use the new one: nothing serves or backs up the old one.
func (d *Daemon) checkStateDir(ctx context.Context) error {
	const remedy = "put the state directory back, or restore it from a backup, then restart keypaird; the log says more"
	state := d.current.engine.Config.State
	moved, err := d.current.engine.Store.Moved()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New("the certificates in "+state+" are gone while keypaird runs", remedy)
	case err != nil:
		return problem.Newf(remedy, "checking whether %s was replaced: %w", state, err)
	case !moved || d.hasPending():
		return nil
	}
	d.log.Warn("state directory replaced")
	d.reload(ctx)
	if !d.hasPending() {
		return problem.New(state+" was replaced while keypaird runs, and the new directory cannot be used", remedy)
	}
	return nil
}
