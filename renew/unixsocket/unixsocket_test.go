package unixsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/durable"
	"keypaird/renew/testutil"
)

func TestPeerOf(t *testing.T) {
	path := filepath.Join(testutil.SafeDir(t), "s")
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := Peer{os.Geteuid(), os.Getegid()}
	if p, err := PeerOf(conn.(*net.UnixConn)); err != nil || p != want {
		t.Errorf("%v, %v, want %v", p, err, want)
	}
}

// No other user can open the socket, whatever the umask, which stays as it was.
func TestListenIsPrivate(t *testing.T) {
	path := filepath.Join(testutil.SafeDir(t), "s")
	defer syscall.Umask(syscall.Umask(0))
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", fi.Mode(), err)
	}
	if mask := syscall.Umask(0); mask != 0 {
		t.Errorf("umask %04o, want 0", mask)
	}
}

// In a directory that others can write, another user could put a socket in the place of
// ours.
func TestListenWhereOthersWrite(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o775, 0o777 | os.ModeSticky} {
		dir := testutil.SafeDir(t)
		testutil.Must(t, os.Chmod(dir, mode))
		l, err := Listen(t.Context(), filepath.Join(dir, "s"))
		if err == nil {
			l.Close()
		}
		if unsafe, ok := errors.AsType[*durable.UnsafeError](err); !ok || !strings.Contains(unsafe.Remedy(), "chmod go-w") {
			t.Errorf("%v: %v, want a refusal", mode, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "s")); err == nil {
			t.Errorf("%v: the socket is there", mode)
		}
	}
}

func TestListenOnWhatIsThere(t *testing.T) {
	dir := testutil.SafeDir(t)
	file, stale, used := filepath.Join(dir, "file"), filepath.Join(dir, "stale"), filepath.Join(dir, "used")
	testutil.Must(t, os.WriteFile(file, nil, 0o600))
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	testutil.Must(t, err)
	left.SetUnlinkOnClose(false)
	left.Close()
	other, err := net.Listen("unix", used)
	testutil.Must(t, err)
	defer other.Close()
	for path, want := range map[string]error{file: ErrNotSocket, stale: nil, used: syscall.EADDRINUSE} {
		l, err := Listen(t.Context(), path)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err == nil {
			l.Close()
		}
	}
}

// Another program may have put its file there since the socket was looked at: it stays.
func TestAnothersFileStays(t *testing.T) {
	path := filepath.Join(testutil.SafeDir(t), "s")
	l, err := Listen(t.Context(), path)
	testutil.Must(t, err)
	old, err := os.Lstat(path)
	testutil.Must(t, err)
	testutil.Must(t, os.Remove(path))
	testutil.Must(t, os.WriteFile(path, []byte("another's"), 0o600))
	if err := removeStale(t.Context(), path, old); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a stale socket that another file has replaced: %v, want %v", err, syscall.EADDRINUSE)
	}
	testutil.Must(t, l.Close())
	if text, err := os.ReadFile(path); string(text) != "another's" {
		t.Errorf("%q, %v: the file of another is gone", text, err)
	}
}
