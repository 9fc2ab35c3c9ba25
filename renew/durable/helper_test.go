package durable

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

const helperEnv = "DURABLE_TEST_HELPER"

// TestMain lets the test binary stand in for a process that holds a lock.
func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "lock" {
		if err := helpLock(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	syscall.Umask(0o022) // or the tests' own directories may be open to the group
	os.Exit(testutil.Run(m))
}

// helperEnviron is the environment that makes the test binary a helper. The
// race detector would have each of them sleep for a second before it ends.
func helperEnviron(helper string) []string {
	return append(os.Environ(), helperEnv+"="+helper, "GORACE=atexit_sleep_ms=0")
}

var (
	must    = testutil.Must
	entries = testutil.Entries
)

// damage overwrites a file, as a bad disk would.
func damage(t testing.TB, path string, data []byte) {
	t.Helper()
	testutil.WriteFile(t, path, data, 0o600)
}
