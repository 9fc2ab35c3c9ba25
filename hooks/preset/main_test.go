package preset

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

// safeDir returns a new directory that others cannot write, whatever the umask.
func safeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// script writes a shell script to a new directory and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(safeDir(t), "hook")
	program(t, path, body)
	return path
}

// program writes a shell script. No process is started meanwhile: it would hold
// the file open for a moment, and a script that is open cannot be run.
func program(t *testing.T, path, body string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}
