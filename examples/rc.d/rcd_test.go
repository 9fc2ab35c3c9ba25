// Package rcd runs the scripts beside it against doubles of rc.subr.
package rcd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The program that the scripts check the configuration with: what it is called
// with, and that it finds a mistake in a file called wrong.toml.
const double = `#!/bin/sh
echo "keypaird $*"
case "$*" in *wrong.toml*) exit 1 ;; esac
`

// A script is one of ours, made to use the doubles.
type script struct{ path, program string }

func prepare(t *testing.T, system, rcSubr string) script {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(system, "keypaird"))
	if err != nil {
		t.Fatal(err)
	}
	subr, err := filepath.Abs(filepath.Join("testdata", system+"-rc.subr"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := script{filepath.Join(dir, "keypaird"), filepath.Join(dir, "program")}
	changed := strings.ReplaceAll(strings.ReplaceAll(string(text), "\n. "+rcSubr+"\n", "\n. "+subr+"\n"), "/usr/local/bin/keypaird", s.program)
	if !strings.Contains(changed, subr) || !strings.Contains(changed, s.program) {
		t.Fatalf("%s does not use %s, or not the program", system, rcSubr)
	}
	for path, text := range map[string]string{s.path: changed, s.program: double} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run runs it with an action, and gives what it would have done.
func (s script) run(t *testing.T, action string, env ...string) (did string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", s.path, action)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "PROGRAM=" + s.program}, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(out), s.program, "/usr/local/bin/keypaird")
	return strings.Join(strings.Split(strings.TrimSpace(text), "\n"), "; "), err == nil
}

// The shells of both systems take the scripts.
func TestSyntax(t *testing.T) {
	for _, path := range []string{"openbsd/keypaird", "freebsd/keypaird", "testdata/openbsd-rc.subr", "testdata/freebsd-rc.subr"} {
		if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", path, err, out)
		}
		if fi, err := os.Stat(path); err != nil || strings.HasSuffix(path, "keypaird") && fi.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable: %v", path, err)
		}
	}
}

type action struct {
	name, action string
	env          []string
	did          string
	ok           bool
}

func check(t *testing.T, s script, actions []action) {
	t.Helper()
	for _, tt := range actions {
		t.Run(tt.name, func(t *testing.T) {
			if did, ok := s.run(t, tt.action, tt.env...); did != tt.did || ok != tt.ok {
				t.Errorf("did %s (%v), want %s (%v)", did, ok, tt.did, tt.ok)
			}
		})
	}
}

func TestOpenBSD(t *testing.T) {
	const (
		running = "RUNNING=1"
		started = "su: /usr/local/bin/keypaird run 2>&1 | logger -p daemon.info &"
		other   = "RC_CONF_FLAGS=-config /etc/other.toml run"
		wrong   = "RC_CONF_FLAGS=-config /etc/wrong.toml run"
	)
	check(t, prepare(t, "openbsd", "/etc/rc.d/rc.subr"), []action{
		{"start", "start", nil, "keypaird check; " + started, true},
		{"start with another configuration", "start", []string{other}, "keypaird -config /etc/other.toml check; su: /usr/local/bin/keypaird -config /etc/other.toml run 2>&1 | logger -p daemon.info &", true},
		{"start with a mistake", "start", []string{wrong}, "keypaird -config /etc/wrong.toml check", false},
		{"start again", "start", []string{running}, "", true},
		{"reload", "reload", []string{running}, "keypaird check; pkill -HUP -xf /usr/local/bin/keypaird run", true},
		{"reload with a mistake", "reload", []string{running, wrong}, "keypaird -config /etc/wrong.toml check", false},
		{"stop", "stop", []string{running}, "pkill -TERM -xf /usr/local/bin/keypaird run", true},
		{"restart", "restart", []string{running}, "keypaird check; pkill -TERM -xf /usr/local/bin/keypaird run; " + started, true},
		{"check", "check", nil, "", false},
		{"configtest", "configtest", nil, "keypaird check", true},
	})
}

func TestFreeBSD(t *testing.T) {
	const (
		running = "RUNNING=1"
		enabled = "RC_CONF=keypaird_enable=YES"
		other   = enabled + "; keypaird_config=/etc/other.toml"
		wrong   = enabled + "; keypaird_config=/etc/wrong.toml"
		daemon  = "/usr/sbin/daemon -c -f -r -S -T keypaird -P /var/run/keypaird_daemon.pid -p /var/run/keypaird.pid /usr/local/bin/keypaird "
	)
	check(t, prepare(t, "freebsd", "/etc/rc.subr"), []action{
		{"not enabled", "start", nil, "Set keypaird_enable to YES", true},
		{"start", "start", []string{enabled}, "keypaird check; " + daemon + "run", true},
		{"start with another configuration", "start", []string{other}, "keypaird -config /etc/other.toml check; " + daemon + "-config /etc/other.toml run", true},
		{"start with a mistake", "start", []string{wrong}, "keypaird -config /etc/wrong.toml check", false},
		{"start again", "start", []string{enabled, running}, "already running", false},
		{"reload", "reload", []string{enabled, running}, "keypaird check; kill -HUP 101", true},
		{"reload with a mistake", "reload", []string{wrong, running}, "keypaird -config /etc/wrong.toml check", false},
		{"reload what does not run", "reload", []string{enabled}, "keypaird check; keypaird is not running.", false},
		{"look now", "looknow", []string{enabled, running}, "kill -USR1 101", true},
		{"stop", "stop", []string{enabled, running}, "kill -TERM 100", true},
		{"restart", "restart", []string{enabled, running}, "keypaird check; kill -TERM 100; keypaird check; " + daemon + "run", true},
		{"restart with a mistake", "restart", []string{wrong, running}, "keypaird -config /etc/wrong.toml check", false},
		{"configtest", "configtest", []string{enabled}, "keypaird check", true},
	})
}

// rcorder(8) needs to know when FreeBSD is to start it.
func TestOrder(t *testing.T) {
	text, err := os.ReadFile("freebsd/keypaird")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"PROVIDE: keypaird", "REQUIRE: LOGIN NETWORKING", "KEYWORD: shutdown"} {
		if !regexp.MustCompile(`(?m)^# ` + line + `$`).Match(text) {
			t.Errorf("no line %q", line)
		}
	}
}
