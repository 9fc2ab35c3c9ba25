package orderlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"keypaird/renew/durable"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockTimeout = 10 * time.Second // another process needs milliseconds
	lockPoll    = 5 * time.Millisecond
)

// unusable returns the error of a log that cannot be kept. Nothing is ordered then.
func (l *Log) unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errLocked) {
		return fmt.Errorf("noting the order: %w", &durable.HeldError{Path: l.path, Holder: "another process", Err: err})
	}
	var written *durable.WriteError
	var unsafe *durable.UnsafeError
	var path *fs.PathError
	switch {
	case errors.As(err, &written), errors.As(err, &unsafe):
	case errors.As(err, &path):
		err = &durable.WriteError{Path: l.path, Err: path.Err}
	default:
		err = &durable.WriteError{Path: l.path, Err: err}
	}
	return fmt.Errorf("noting the order: %w", err)
}

var errLocked = errors.New("still locked after 10 s")

var ownFile = durable.FileMode{Perm: 0o600, UID: -1, GID: -1}

// lock opens the file and locks it until it is closed.
func (l *Log) lock(ctx context.Context) (*os.File, fs.FileInfo, error) {
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := durable.CheckDir(dir); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errLocked)
	defer cancel()
	for {
		f, info, err := l.tryLock()
		if err != nil || f != nil {
			return f, info, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// tryLock returns nil if another has locked the file, or has just replaced it.
func (l *Log) tryLock() (held *os.File, info fs.FileInfo, err error) {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, ownFile.Perm)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if held == nil {
			f.Close()
		}
	}()
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var locked error
	err = conn.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	if err = errors.Join(err, locked); errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	if current, err := os.Lstat(l.path); err != nil || !os.SameFile(current, info) {
		return nil, nil, nil
	}
	return f, info, nil
}

// readUnlocked reads the file as it is. A line that another process has not
// finished is read with the next change.
func (l *Log) readUnlocked(now time.Time) error {
	f, err := os.OpenFile(l.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		l.events = events{}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNotRegular
	}
	return l.events.read(f, info, now)
}

var errNotRegular = errors.New("is not a regular file: remove it")
