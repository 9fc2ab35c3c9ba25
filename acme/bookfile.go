package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"keypaird/renew/durable"
)

const (
	bookWait = 10 * time.Second // for another process, which needs milliseconds
	bookPoll = 5 * time.Millisecond
)

// note enters a purchase, unless it is refused.
func (l *ledger) note(ctx context.Context, what cost, p purchase) error {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	now := time.Now().Round(0)
	e := entry{now.UTC().Truncate(time.Second), what, nameSet(p.names), orderID(p.order)}
	f, info, err := l.open(ctx)
	if err == nil {
		defer f.Close() // and so unlocks it
		err = l.book.read(f, info, now)
	}
	if err != nil {
		return l.unusable(ctx, err)
	}
	if err := l.refusal(now, what, p); err != nil {
		return err
	}
	if what == aCertificate && l.book.signed(e) {
		return nil
	}
	if err := l.book.write(f, e); err != nil {
		return l.unusable(ctx, err)
	}
	l.book.add(e, now)
	if l.book.grown() {
		return l.rewrite(ctx, now)
	}
	return nil
}

// rewrite replaces the file by what still matters of it.
func (l *ledger) rewrite(ctx context.Context, now time.Time) error {
	l.book.prune(now)
	if err := durable.WriteFile(l.path, l.book.lines(), ownFile); err != nil {
		return l.unusable(ctx, err)
	}
	l.book.as = nil // it is read anew
	return nil
}

// unusable says that the ledger cannot be kept. Nothing is ordered then.
func (l *ledger) unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errBookHeld) {
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

var errBookHeld = errors.New("not given back in 10 s")

// open opens the file, and has it alone until it is closed.
func (l *ledger) open(ctx context.Context) (*os.File, fs.FileInfo, error) {
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := durable.CheckDir(dir); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bookWait, errBookHeld)
	defer cancel()
	for {
		f, info, err := l.tryOpen()
		if err != nil || f != nil {
			return f, info, err
		}
		if err := sleep(ctx, bookPoll); err != nil {
			return nil, nil, err
		}
	}
}

// tryOpen returns nil if another has the file, or has just replaced it.
func (l *ledger) tryOpen() (held *os.File, info fs.FileInfo, err error) {
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
		return nil, nil, errors.New("is not a regular file: remove it")
	}
	if now, err := os.Lstat(l.path); err != nil || !os.SameFile(now, info) {
		return nil, nil, nil
	}
	return f, info, nil
}
