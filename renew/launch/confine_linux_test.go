package launch_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"keypaird/renew/confine"
	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

// confinedMay is what of the attacks a process that keeps keys can do, and why.
var confinedMay = map[string]string{
	"read a secret":                 "it reads configuration, keys and what deployments have written; a user of its own limits that",
	"list a directory":              "likewise",
	"change a mode":                 "of deployed files; Landlock does not know it, the user does",
	"change a mode by descriptor":   "likewise",
	"change a mode by fchmodat2":    "likewise",
	"bind a TCP port":               "http-01 and the page",
	"change an owner":               "likewise",
	"change times":                  "likewise",
	"set an attribute":              "the access lists of deployed files",
	"make a program in memory":      "the output of commands is in memory; it cannot be run",
	"make a unix socket":            "haproxy's socket and the page",
	"make a pair of sockets":        "one for each program that it asks the runner for",
	"make a netlink socket":         "the addresses of this machine",
	"listen":                        "http-01 and the page",
	"signal its parent's group":     "with signal 0, which asks who lives",
	"signal everybody":              "likewise",
	"list the parent's descriptors": "as root, the numbers alone",
}

// The test binary is also the confined process.
func init() { launch.Confined = confined }

// confined prints what it can do, and cannot.
func confined(dir string) int {
	state := filepath.Join(dir, "state")
	r := confine.Rights{Write: []string{state, filepath.Join(dir, "state/missing/below")}, Connect: []string{filepath.Join(dir, "sockets")}}
	if err := r.Confine(); err != nil {
		fmt.Println("not confined:", err)
	}
	var can []string
	for name, try := range launch.Attacks(dir) {
		if err := try(); err == nil && name != "raise its limit of files" { // up to the one it was given
			can = append(can, name)
		}
	}
	slices.Sort(can)
	for _, name := range can {
		fmt.Println("can", name)
	}
	inside := func(name string) string { return filepath.Join(state, name) }
	for _, tt := range []struct {
		name string
		do   func() error
	}{
		{"make a file", func() error { return os.WriteFile(inside("file"), []byte("x"), 0o600) }},
		{"change it", func() error { return os.WriteFile(inside("file"), []byte("y"), 0o600) }},
		{"make a directory that was missing", func() error { return os.MkdirAll(inside("missing/below"), 0o700) }},
		{"rename", func() error { return os.Rename(inside("file"), inside("missing/file")) }},
		{"make a link", func() error { return os.Symlink("missing", inside("link")) }},
		{"give away", func() error { return os.Chown(inside("missing/file"), os.Getuid(), os.Getgid()) }},
		{"remove", func() error { return os.RemoveAll(inside("missing")) }},
		{"listen on a unix socket", func() error { _, err := net.Listen("unix", inside("socket")); return err }},
		{"connect to a unix socket", func() error { _, err := net.Dial("unix", filepath.Join(dir, "sockets/socket")); return err }},
		{"resolve addresses", func() error { _, err := net.InterfaceAddrs(); return err }},
		{"start a thread", func() error { done := make(chan error); go func() { done <- nil }(); return <-done }},
		{"write to the null device", func() error { return os.WriteFile(os.DevNull, []byte("x"), 0) }},
	} {
		if err := tt.do(); err != nil {
			fmt.Printf("cannot %s: %v\n", tt.name, err)
		}
	}
	if !r.Covers(confine.Rights{Write: []string{inside("certs/new")}}) || r.Covers(confine.Rights{Write: []string{filepath.Join(dir, "elsewhere")}}) {
		fmt.Println("covers other directories than it may change")
	}
	fmt.Println("done as", os.Getuid())
	return 0
}

// A process that keeps keys can do what the table says, from inside, as root and as
// another user.
func TestConfined(t *testing.T) {
	if len(launch.Missing()) > 0 {
		t.Skip("this kernel does not enforce everything")
	}
	for _, user := range []string{"", "nobody"} {
		t.Run("user "+user, func(t *testing.T) {
			if user != "" && os.Geteuid() != 0 {
				t.Skip("only root may start programs as another user")
			}
			dir := launch.SetUp(t)
			testutil.Must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
			testutil.Must(t, os.Mkdir(filepath.Join(dir, "sockets"), 0o700))
			l, err := net.Listen("unix", filepath.Join(dir, "sockets/socket"))
			testutil.Must(t, err)
			defer l.Close()
			cmd := exec.Command(filepath.Join(dir, "child"))
			cmd.Env = []string{"CONFINED_TEST_DIR=" + dir}
			cmd.Dir = "/"
			want := fmt.Sprintf("done as %d\n", os.Getuid())
			if user != "" {
				c, err := launch.CredentialOf(user)
				testutil.Must(t, err)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c}
				for _, path := range []string{"", "state", "sockets", "sockets/socket", "secret", "old", "program"} {
					testutil.Must(t, os.Chown(filepath.Join(dir, path), int(c.Uid), int(c.Gid)))
				}
				want = fmt.Sprintf("done as %d\n", c.Uid)
			}
			out, err := cmd.CombinedOutput()
			testutil.Must(t, err)
			expected := ""
			for _, name := range slices.Sorted(maps.Keys(confinedMay)) {
				if name != "list the parent's descriptors" || user == "" && os.Getuid() == 0 {
					expected += "can " + name + "\n"
				}
			}
			if expected += want; string(out) != expected {
				t.Errorf("it printed\n%s\nwant\n%s", out, expected)
			}
		})
	}
}
