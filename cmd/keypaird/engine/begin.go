package engine

import (
	"context"

	"keypaird/renew/durable"
)

// Begin waits for the lock of the state directory. If it has to wait, waiting is
// called once with the holder of the lock. end finishes what was begun, closes the
// Engine and releases the lock. After an error the Engine is closed.
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
		e.Shutdown(ctx)
		lock.Release() // last: until then DNS helpers may remove their records
	}, nil
}
