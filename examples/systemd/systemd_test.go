// Package systemd checks the units beside it with systemd's own tools.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// installed copies the units to a directory as they are installed, with a
// program that exists in place of keypaird, and gives the path of the service.
func installed(t *testing.T, dropIn string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"keypaird.service", "keypaird-http.socket"} {
		unit := strings.ReplaceAll(text(t, name), "/usr/local/bin/keypaird", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if dropIn != "" {
		sub := filepath.Join(dir, "keypaird.service.d")
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, dropIn), []byte(text(t, dropIn)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "keypaird.service")
}

// systemd finds nothing to say about the units.
func TestVerify(t *testing.T) {
	program := testutil.Program(t, "systemd-analyze")
	for _, dropIn := range []string{"", "root.conf"} {
		service := installed(t, dropIn)
		cmd := exec.CommandContext(t.Context(), program, "verify", "--man=false", service, filepath.Join(filepath.Dir(service), "keypaird-http.socket"))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "keypaird") {
			t.Errorf("with %q: %v: %s", dropIn, err, out)
		}
	}
}

// The score is what the files say, or better.
func TestScore(t *testing.T) {
	program := testutil.Program(t, "systemd-analyze")
	for _, tt := range []struct{ dropIn, says string }{{"", "keypaird.service"}, {"root.conf", "root.conf"}} {
		stated := regexp.MustCompile(`gives (?:it )?([0-9.]+) OK`).FindStringSubmatch(text(t, tt.says))
		if stated == nil {
			t.Fatalf("%s states no score", tt.says)
		}
		most, err := strconv.ParseFloat(stated[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		service := installed(t, tt.dropIn)
		cmd := exec.CommandContext(t.Context(), program, "security", "--offline=true", "--no-pager", "--threshold="+strconv.Itoa(int(most*10+0.5)), "./keypaird.service")
		cmd.Dir = filepath.Dir(service)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s states %v: %v: %s", tt.says, most, err, out)
		}
	}
}

// The units, the configuration they speak of, and the package that takes the
// socket agree on its name.
func TestSocketName(t *testing.T) {
	socket := text(t, "keypaird-http.socket")
	name := regexp.MustCompile(`(?m)^FileDescriptorName=(.+)$`).FindStringSubmatch(socket)
	if name == nil {
		t.Fatal("the socket has no name")
	}
	for _, file := range []string{socket, text(t, "keypaird.service")} {
		if !strings.Contains(file, `listen = "fd:`+name[1]+`"`) {
			t.Errorf("nothing says how to listen on fd:%s", name[1])
		}
	}
}

// What installs the service does not enable the socket with it: that would take
// port 80 from a web server at the next boot. And systemd refuses to start a socket
// while its service runs.
func TestSocketIsAskedFor(t *testing.T) {
	services, sockets := 0, 0
	for _, file := range []string{"../../README.md", "README.md", "keypaird-http.socket"} {
		for block := range strings.SplitSeq(text(t, file), "```") {
			service := regexp.MustCompile(`enable --now keypaird(\.service)?\b[^-]`).MatchString(block)
			socket := strings.Index(block, "enable --now keypaird-http.socket")
			if service {
				services++
			}
			if socket >= 0 {
				sockets++
			}
			if service && socket >= 0 {
				t.Errorf("%s enables the socket with the service: %s", file, block)
			}
			if stop := strings.Index(block, "stop keypaird.service"); socket >= 0 && (stop < 0 || stop > socket) {
				t.Errorf("%s starts the socket while the service runs: %s", file, block)
			}
		}
	}
	if services < 2 || sockets != 2 {
		t.Errorf("the service is enabled in %d places, the socket in %d", services, sockets)
	}
}

// Whoever is confined by these units may still confine the DNS child.
func TestLandlockIsAllowed(t *testing.T) {
	for _, call := range []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"} {
		if !regexp.MustCompile(`(?m)^SystemCallFilter=@system-service.* ` + call).MatchString(text(t, "keypaird.service")) {
			t.Errorf("%s is not allowed", call)
		}
	}
}
