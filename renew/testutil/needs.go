package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Required reports whether a test fails, and is not skipped, where the machine lacks
// what it needs: so it is in CI, and in "make test" as root on Debian, which installs
// everything first.
func Required() bool { return os.Getenv("CI") == "true" }

// Exhaustive reports whether tests that do one thing at very many moments do it at
// all of them, as "make check" has it. Otherwise they take some of each kind.
func Exhaustive() bool { return os.Getenv("KEYPAIRD_TEST_EXHAUSTIVE") == "true" }

// Missing ends a test that cannot run on this machine.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Program returns the path of a program that the test needs, also from where servers
// are, which is not in every user's path.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	Missing(t, "%s is not installed: on Debian make servers installs it, as root", name)
	return ""
}

// Strace returns the path of strace(1), if it can make system calls fail here.
func Strace(t testing.TB) string {
	t.Helper()
	path := Program(t, "strace")
	cmd := exec.CommandContext(t.Context(), path, "-f", "-o", os.DevNull, "-e", "inject=fsync:error=EIO:when=1000", "true")
	if err := cmd.Run(); err != nil {
		Missing(t, "strace cannot be used here: %v", err)
	}
	return path
}
