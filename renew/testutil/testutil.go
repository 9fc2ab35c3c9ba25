package testutil

import (
	"os"
	"testing"
)

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Memory returns a directory of the test's own, in memory where there is such a
// place: years of changes made durable on a disk take it as long as all the rest.
func Memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "keypaird-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { Must(t, os.RemoveAll(dir)) })
	return dir
}
