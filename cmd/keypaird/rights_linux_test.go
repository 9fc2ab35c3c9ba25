package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/cli"
	"keypaird/renew/launch/syscalls"
	"keypaird/renew/testutil"
)

// remote matches a socket that leads to other machines, and one of their addresses.
var remote = regexp.MustCompile(`socket\(AF_(INET|INET6|NETLINK),|sa_family=AF_INET`)

// TestConfinedFirst: before the first socket of a pass with work, the process is confined and
// its runner was started; a pass without work needs neither.
func TestConfinedFirst(t *testing.T) {
	strace := testutil.Strace(t)
	if !syscalls.Supported() {
		testutil.Missing(t, "seccomp")
	}
	g := newBench(t)
	config := g.configure(t, "state", []string{"first.test"})
	trace := func(status int) []string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "trace")
		g.run(t, status, strace, "-f", "-o", path, "-e", "trace=execve,socket,connect,bind,listen,seccomp", g.program, "-config", config, "issue")
		text, err := os.ReadFile(path)
		testutil.Must(t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	find := func(lines []string, is func(string) bool) int {
		for i, line := range lines {
			if is(line) {
				return i
			}
		}
		return -1
	}
	lines := trace(cli.Changed)
	runner := find(lines, func(s string) bool { return strings.Contains(s, "execve(") && strings.Contains(s, `"runner"]`) })
	confined := find(lines, func(s string) bool { return strings.Contains(s, "SECCOMP_FILTER_FLAG_TSYNC") })
	socket := find(lines, remote.MatchString)
	if runner < 1 || confined < runner || socket < confined {
		t.Errorf("runner in line %d, confined in line %d, socket in line %d of\n%s", runner, confined, socket, strings.Join(lines, "\n"))
	}
	lines = trace(cli.Nothing)
	if i := find(lines[1:], func(s string) bool {
		return strings.Contains(s, "execve(") || strings.Contains(s, "seccomp(") || remote.MatchString(s)
	}); i >= 0 {
		t.Errorf("nothing was to be done, and line %d is a program, a filter or a socket:\n%s", i+2, strings.Join(lines, "\n"))
	}
}
