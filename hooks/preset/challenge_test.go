package preset

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

// The lines of each server name the address, or the directory, and leave nothing open.
func TestChallengeFor(t *testing.T) {
	for name := range challenges {
		lines, root := ChallengeFor(name, "127.0.0.1:8402")
		text := strings.Join(lines, "\n")
		for _, word := range []string{"ADDRESS", "HOST", "PORT", "WEBROOT"} {
			if strings.Contains(text, word) {
				t.Errorf("%s: %s is left in\n%s", name, word, text)
			}
		}
		if !slices.Contains(Names(), name) || !strings.Contains(text, "/.well-known/acme-challenge/") || !strings.Contains(text, "8402") == (root == "") {
			t.Errorf("%s, with root %q:\n%s", name, root, text)
		}
	}
	if lines, root := ChallengeFor("prosody", "127.0.0.1:8402"); lines != nil || root != "" {
		t.Errorf("prosody: %q, %q", lines, root)
	}
}

// Servers take the lines where their comments say.
func TestServersTakeChallengeLines(t *testing.T) {
	for _, tt := range []struct {
		preset, before, after string
		argv                  []string
	}{
		{"nginx", "events {}\nhttp {\nserver {\nlisten 127.0.0.1:8480;\n", "}\n}\n", []string{"nginx", "-t", "-q", "-g", "pid nginx.pid; error_log stderr;", "-p", "DIR", "-c"}},
		{"haproxy", "defaults\nmode http\ntimeout connect 1s\ntimeout client 1s\ntimeout server 1s\nfrontend web\nbind 127.0.0.1:8480\n", "", []string{"haproxy", "-c", "-f"}},
		{"caddy", "http://matrix.example.org {\n", "}\n", []string{"caddy", "adapt", "--adapter", "caddyfile", "--config"}},
	} {
		t.Run(tt.preset, func(t *testing.T) {
			program := testutil.Program(t, tt.argv[0])
			lines, _ := ChallengeFor(tt.preset, "127.0.0.1:8402")
			dir := t.TempDir()
			file := filepath.Join(dir, "conf")
			if err := os.WriteFile(file, []byte(tt.before+strings.Join(lines, "\n")+"\n"+tt.after), 0o600); err != nil {
				t.Fatal(err)
			}
			argv := append(slices.Clone(tt.argv[1:]), file)
			for i := range argv {
				argv[i] = strings.Replace(argv[i], "DIR", dir, 1)
			}
			if out, err := exec.Command(program, argv...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
