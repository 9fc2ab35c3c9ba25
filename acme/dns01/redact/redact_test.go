package redact

import (
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	const secret = "hunter/22+x&y z"
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := Of([]string{
		"A_TOKEN=" + secret, "B_TOKEN_FILE=" + file("b", "in the file\n"), "C_PASSWORD=short", "D_ZONE=zone.example",
		"E_TSIG_KEY=host.example", "F_KEY_FILE=" + dir, "G_KEY_FILE=/nonexistent/key", "NOT_A_VARIABLE",
		"H_SECRET=the first", "H_SECRET=the second", "I_TOKEN=" + secret + " and more",
	})
	b := []byte(secret)
	for _, tt := range []struct{ name, text, want string }{
		{"as it is", "got " + secret + "!", "got [A_TOKEN]!"},
		{"of two that begin alike, the longer", secret + " and more", "[I_TOKEN]"},
		{"in a query", url.QueryEscape(secret), "[A_TOKEN]"},
		{"in a path", url.PathEscape(secret), "[A_TOKEN]"},
		{"base64", base64.StdEncoding.EncodeToString(b), "[A_TOKEN]"},
		{"base64 for URLs", base64.RawURLEncoding.EncodeToString(b), "[A_TOKEN]"},
		{"in a file", "Bearer in the file", "Bearer [B_TOKEN]"},
		{"too short", "short", "short"},
		{"no secret", "zone.example host.example", "zone.example host.example"},
		{"the last one counts", "the first the second", "the first [H_SECRET]"},
		{"query of a URL", `Get "https://api.example/x?user=me&sig=\"q\"": no`, `Get "https://api.example/x?…": no`},
	} {
		if got := r.Redact(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := (Redactor{}).Redact("https://a.example/?b " + secret); !strings.HasPrefix(got, "https://a.example/?… hunter") {
		t.Errorf("the zero Redactor: %q", got)
	}
}
