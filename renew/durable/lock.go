package durable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// A Lock is the right to write in a state directory. It is flock(2) on an open
// file: it ends with the process that holds it, however that ends, and a file
// left behind means nothing.
type Lock struct {
	file *os.File
	path string
}

// A HeldError reports a lock that another process held until we stopped waiting.
type HeldError struct {
	Path   string
	Holder string // "process 123 since 2026-11-23T20:17:00Z"
	Err    error  // why we stopped waiting
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by %s: %v", e.Path, e.Holder, e.Err)
}

func (e *HeldError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *HeldError) Remedy() string {
	return "let the other keypaird finish, or stop it, then run this again"
}

// poll is how often a waiting AcquireLock tries. A blocking flock(2) could not
// be given up when the context ends.
const poll = 50 * time.Millisecond

// lockFailure says why the lock cannot be had at all.
func lockFailure(path string, err error) error {
	var unsafe *UnsafeError
	if errors.As(err, &unsafe) {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	return fmt.Errorf("locking: %w", &WriteError{Path: path, Err: cause(err)})
}

// AcquireLock takes the lock at path, in a directory that passes [CheckDir], and waits
// for it until ctx ends: the error is then a [*HeldError]. If it has to wait, waiting,
// unless nil, is called once with the holder. The file stays; its content names the
// holder.
//
// It is for commands that an operator waits for: meanwhile [Lock.Wanted] of the holder
// reports true, and [AcquireLast] lets them go first.
func AcquireLock(ctx context.Context, path string, waiting func(holder string)) (*Lock, error) {
	var place turn
	defer place.leave()
	return acquire(ctx, path, waiting, func() (*os.File, string, error) {
		file, holder, err := tryLock(path)
		if file == nil && err == nil {
			place.take(path)
		}
		return file, holder, err
	})
}

// AcquireLast is AcquireLock for a daemon: processes that wait in AcquireLock go first,
// and Wanted does not report it.
func AcquireLast(ctx context.Context, path string, waiting func(holder string)) (*Lock, error) {
	return acquire(ctx, path, waiting, func() (*os.File, string, error) {
		if wanted(path) {
			return nil, "", nil
		}
		return tryLock(path)
	})
}

// TryLock takes the lock at path, or returns a [*HeldError] at once.
func TryLock(path string) (*Lock, error) {
	file, holder, err := tryLock(path)
	switch {
	case err != nil:
		return nil, lockFailure(path, err)
	case file == nil:
		return nil, &HeldError{Path: path, Holder: cmp.Or(holder, "another process"), Err: syscall.EWOULDBLOCK}
	}
	return &Lock{file, path}, nil
}

// acquire tries until it has the lock or ctx ends.
func acquire(ctx context.Context, path string, waiting func(holder string), try func() (*os.File, string, error)) (*Lock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		file, holder, err := try()
		if err != nil {
			return nil, lockFailure(path, err)
		}
		if file != nil {
			return &Lock{file, path}, nil
		}
		if waiting != nil && holder != "" {
			waiting(holder)
			waiting = nil
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		if err := ctx.Err(); err != nil {
			return nil, &HeldError{Path: path, Holder: cmp.Or(holder, "another process"), Err: err}
		}
	}
}

// Wanted reports whether another process waits for the lock in AcquireLock.
func (l *Lock) Wanted() bool { return wanted(l.path) }

// Release gives the lock back.
func (l *Lock) Release() error {
	_ = l.file.Truncate(0)
	return l.file.Close()
}

// tryLock takes the lock and returns its file, or else the holder; neither if the file
// was replaced meanwhile.
func tryLock(path string) (held *os.File, holder string, err error) {
	file, info, err := openLock(path)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if held == nil {
			file.Close()
		}
	}()
	err = flock(file, syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, readHolder(file), nil
	}
	if err != nil {
		return nil, "", err
	}
	// If the file was removed in between, another process may have locked a new one.
	now, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if err != nil || !os.SameFile(now, info) {
		return nil, "", nil
	}
	if info.Mode().Perm() != Private.Perm { // the umask was odd
		if err := file.Chmod(Private.Perm); err != nil {
			return nil, "", err
		}
	}
	// The content is a courtesy: a full disk must not keep us from working.
	if err := file.Truncate(0); err == nil {
		text := fmt.Sprintf("process %d since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
		_, _ = file.WriteAt([]byte(text), 0)
	}
	return file, "", nil
}

// openLock opens the file of a lock, and makes it if it is missing.
func openLock(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) {
		return nil, nil, errors.New("is a symbolic link: remove it")
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file: remove it")
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// A turn is a place among those who wait for a lock: a shared flock(2) on a file
// beside it. It ends with the process that holds it, too.
type turn struct{ file *os.File }

func turnPath(path string) string { return path + ".turn" }

// alive is how long ago whoever waits touched its place at most. One that was
// stopped (Ctrl-Z) keeps the place, and must not keep the daemon from its work.
const alive = 5 * time.Second

// take takes a place, if there is none yet, and shows that we live. It is a
// courtesy: without one, what is waited for takes longer.
func (t *turn) take(path string) {
	if t.file != nil {
		now := time.Now()
		_ = os.Chtimes(turnPath(path), now, now)
		return
	}
	file, _, err := openLock(turnPath(path))
	if err != nil {
		return
	}
	if flock(file, syscall.LOCK_SH) != nil { // somebody looks who waits, just now
		file.Close()
		return
	}
	t.file = file
	t.take(path)
}

func (t *turn) leave() {
	if t.file != nil {
		t.file.Close()
	}
}

// wanted reports whether a live process waits for the lock at path.
func wanted(path string) bool {
	file, info, err := openLock(turnPath(path))
	if err != nil {
		return false
	}
	defer file.Close()
	return time.Since(info.ModTime()).Abs() < alive && errors.Is(flock(file, syscall.LOCK_EX), syscall.EWOULDBLOCK)
}

// flock locks the file as how says, or fails at once.
func flock(file *os.File, how int) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		locked = retry(func() error { return syscall.Flock(int(fd), how|syscall.LOCK_NB) })
	})
	if err != nil {
		return err
	}
	return locked
}

// readHolder returns the first line of the lock file, fit for a message.
func readHolder(file *os.File) string {
	data, _ := io.ReadAll(io.LimitReader(file, 100))
	return holderLine(data)
}

func holderLine(data []byte) string {
	line, _, _ := strings.Cut(string(data[:min(len(data), 100)]), "\n")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, line)
	if line == "" {
		return "another process"
	}
	return line
}
