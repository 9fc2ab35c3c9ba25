package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/testutil"
)

// What is printed, to the letter.
func TestMistakesPrinted(t *testing.T) {
	dir := t.TempDir()
	text := "email = \"nobody\"\n\n[identity.\"example.org\"]\nhost = \"m.example.org\"\ndsn = \"persist\"\n"
	file := filepath.Join(dir, "keypaird.toml")
	testutil.Must(t, os.WriteFile(file, []byte(text), 0o600))
	_, err := config.Load(config.Options{Path: file, Getenv: os.Getenv})
	var out bytes.Buffer
	if status := ExitStatus(&out, err); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	want := `keypaird: ` + file + `:1: email: "nobody" is not a mail address
keypaird: remedy: write one address and nothing else: "hostmaster@example.org"
keypaird: ` + file + `:5: identity."example.org".dsn: unknown key
keypaird: remedy: did you mean "dns"?
`
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", out.String(), want)
	}
	if got, want := err.Error(), file+`:1: email: "nobody" is not a mail address (and another mistake)`; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("a mistaken configuration made a state directory")
	}
}
