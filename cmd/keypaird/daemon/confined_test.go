package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/confine"
	"keypaird/renew/status"
	"keypaird/renew/testutil"
)

// confinedState is the argument that makes this program a confined process which prints the
// state of a daemon.
const confinedState = "confined-state"

func sayConfined(state string) {
	k := confine.Rights{Write: []string{state}}
	if err := k.Confine(); err != nil {
		os.Stdout.WriteString("not confined: " + err.Error())
		return
	}
	if d := StateOf(state); d != nil {
		os.Stdout.WriteString(d.State)
	}
}

// A process that has given up its rights sees whether a daemon runs.
func TestStateOfConfined(t *testing.T) {
	state := t.TempDir()
	lock, err := lockDaemon(state)
	testutil.Must(t, err)
	defer lock.Release()
	out, err := exec.CommandContext(t.Context(), os.Args[0], confinedState, state).Output()
	testutil.Must(t, err)
	if strings.HasPrefix(string(out), "not confined") {
		testutil.Missing(t, "%s", out)
	}
	if string(out) != status.Running {
		t.Errorf("the daemon is %q", out)
	}
	testutil.Must(t, os.WriteFile(filepath.Join(state, "other"), []byte("process 2000000000 since 2026-11-23T20:17:00Z\n"), 0o600))
	testutil.Must(t, os.Rename(filepath.Join(state, "other"), filepath.Join(state, "daemon")))
	out, err = exec.CommandContext(t.Context(), os.Args[0], confinedState, state).Output()
	testutil.Must(t, err)
	if string(out) != status.Killed {
		t.Errorf("the daemon of which nothing is left is %q", out)
	}
}
