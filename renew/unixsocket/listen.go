package unixsocket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/sockets"
)

// ErrNotSocket is the error of Listen for a file that is not a socket.
var ErrNotSocket = errors.New("a file that is not a socket is in the way")

// Listen listens on a socket that only our user can open, in a directory that only root
// and we can write: in others, another user could exchange it. It replaces a socket that
// no process listens on any more.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := durable.CheckDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, ErrNotSocket
	default:
		if err := removeStale(ctx, path, info); err != nil {
			return nil, err
		}
	}
	before := syscall.Umask(0o077) // closed to others from the first moment
	l, err := sockets.Listen(ctx, "unix", path)
	syscall.Umask(before)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return nil, op.Err // without the path, which the caller adds
	}
	if err != nil {
		return nil, err
	}
	own, err := dir.Lstat(filepath.Base(path))
	if err == nil {
		err = dir.Chmod(filepath.Base(path), 0o600)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	unix := l.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	return &listener{unix, path, own}, nil
}

// A listener removes its socket when it is closed, and no file that has taken its place.
type listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// Close stops listening.
func (l *listener) Close() error {
	_ = removeSame(l.path, l.file)
	return l.UnixListener.Close()
}

// removeSame removes the file at a path, or returns EADDRINUSE: another file may be there
// by now.
func removeSame(path string, file fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(file, now) || !file.ModTime().Equal(now.ModTime()) { // numbers of inodes are used again
		return syscall.EADDRINUSE
	}
	return os.Remove(path)
}

// removeStale removes a socket that no process listens on.
func removeStale(ctx context.Context, path string, file fs.FileInfo) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := sockets.Dial(ctx, net.Dialer{}, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return removeSame(path, file)
	}
	return err
}
