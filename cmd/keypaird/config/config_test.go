package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noEnv is an environment without variables.
func noEnv(string) string { return "" }

// loadText loads a configuration of our own that nobody else can read, in a
// directory that $DIR stands for.
func loadText(t *testing.T, dir, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(dir, "keypaird.toml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Options{Path: file, Getenv: noEnv})
}

// tell writes the mistakes of a configuration as "line: key: problem" and
// "-> remedy".
func tell(t *testing.T, dir string, err error) string {
	t.Helper()
	var mistakes Mistakes
	if err != nil && !errors.As(err, &mistakes) {
		t.Fatalf("not a list of mistakes: %v", err)
	}
	var b strings.Builder
	for _, m := range mistakes {
		said, ok := strings.CutPrefix(m.String(), filepath.Join(dir, "keypaird.toml")+":")
		if !ok {
			t.Errorf("%q does not name the file", m.String())
		}
		fmt.Fprintf(&b, "%s\n-> %s\n", strings.TrimSpace(said), m.Remedy)
	}
	return strings.ReplaceAll(b.String(), dir, "$DIR")
}

// okCert is appended to what is wrong otherwise.
const okCert = "\n[cert.ok]\nhttp-01 = [\"ok.example.org\"]\n"

// configDir makes a directory with files that configurations name.
func configDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"hmac", "c2VjcmV0+/8=\n", 0o600},
		{"secret", "hunter2!", 0o640},
		{"open", "c2VjcmV0\n", 0o644},
		{"writable.pem", "", 0o666},
		{"broken.pem", "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", 0o644},
	} {
		file := filepath.Join(dir, f.name)
		if err := errors.Join(os.WriteFile(file, []byte(f.content), f.mode), os.Chmod(file, f.mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A mistaken is a configuration with mistakes, and how they are told.
type mistaken struct{ name, text, want string }

func testMistakes(t *testing.T, rows []mistaken) {
	dir := configDir(t)
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadText(t, dir, tt.text+okCert)
			if got := tell(t, dir, err); got != strings.TrimPrefix(tt.want, "\n") {
				t.Errorf("mistakes:\n%s\nwant:%s", got, tt.want)
			}
			if got := tell(t, dir, err); strings.Contains(got, "hunter2") {
				t.Errorf("a secret is told:\n%s", got)
			}
		})
	}
}
