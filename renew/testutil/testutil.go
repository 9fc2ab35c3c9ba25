package testutil

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startTimeout bounds the wait for what a busy machine starts slowly.
const startTimeout = 4 * time.Minute

// Eventually waits until ok.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if err := Within(startTimeout, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Within tries until there is no error, for so long at most, and returns the last one.
func Within(limit time.Duration, try func() error) error {
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}

// Memory returns a directory for the test, in memory if possible: thousands of synced
// files take a disk longer than all other tests.
func Memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "keypaird-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { Must(t, os.RemoveAll(dir)) })
	return dir
}

// WriteFile writes a file, and creates its directory. No process is started
// meanwhile: it would inherit the open file, and a script that is open for writing
// cannot be run.
func WriteFile[T string | []byte](t testing.TB, path string, data T, mode fs.FileMode) {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	Must(t, os.WriteFile(path, []byte(data), mode))
}

// SafeDir returns a new directory that other users can read and not write, whatever the
// umask.
func SafeDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Must(t, os.Chmod(dir, 0o755))
	Must(t, os.Chmod(filepath.Dir(dir), 0o755)) // of this test
	return dir
}

// SharedDir returns a new directory in which all users, and a child's, can make files.
func SharedDir(t testing.TB) string {
	t.Helper()
	dir := SafeDir(t)
	Must(t, os.Chmod(dir, 0o777))
	return dir
}

// Script writes a shell script to a [SafeDir] and returns its path.
func Script(t testing.TB, body string) string {
	t.Helper()
	path := filepath.Join(SafeDir(t), "hook")
	WriteScript(t, path, body)
	return path
}

// WriteScript writes a shell script that can be run.
func WriteScript(t testing.TB, path, body string) {
	t.Helper()
	WriteFile(t, path, "#!/bin/sh\n"+body+"\n", 0o600)
	Must(t, os.Chmod(path, 0o755))
}

// Text returns the content of a file; that of a missing one is "(none)".
func Text(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	Must(t, err)
	return string(data)
}

// ListenBoth listens on one port of this machine by UDP and by TCP.
func ListenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 { // the port may be free for one of the two only
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		Must(t, err)
		if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// Entries returns the names of the files in a directory.
func Entries(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	Must(t, err)
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// FreeAddr returns an address of this machine, with a port, without a listener.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// A Log collects text and can be read while others write. The zero value is empty.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
