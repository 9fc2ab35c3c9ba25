package dns01

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/acme/dns01/need"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
	"keypaird/renew/textfmt"
)

// No error contains a secret of the account, even if the child's output does.
func TestSecretsAreRedacted(t *testing.T) {
	const secret, inFile = "hunter/22+x&y", "hunter in a file"
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct{ name, script, want string }{
		{"not JSON", "echo '" + secret + "'; exec sleep 60", `not an answer: "[X_TOKEN]"`},
		{"not JSON, cut within the secret", "echo '" + strings.Repeat("-", 74) + secret + "'; exec sleep 60", `not an answer: "---`},
		{"an answer too many", `read l; echo '{}{}'; echo '{"error":"` + secret + `"}'; exec sleep 60`, ""},
		{"refuses in a URL", `read l; echo '{"error":"Get https://api.example/` + url.PathEscape(secret) + `?a=b: no"}'; cat >/dev/null`,
			`Get https://api.example/[X_TOKEN]?…`},
		{"refuses at length", `read l; echo '{"error":"` + long + `","remedy":"` + long + `"}'; cat >/dev/null`, "opening _acme-challenge.example.org.: xxx"},
		{"stderr, secret from a file", "echo 'panic: " + inFile + "' >&2; exit 2", "exit status 2; its last output: panic: [X_KEY]"},
		{"stderr", "echo " + strings.Repeat("-", textfmt.TailText-8) + "'" + secret + "' >&2; exit 1", "exit status 1; its last output"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(testutil.SafeDir(t), "child")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(inFile+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			a := &Account{Name: "api", Provider: "httpreq", Child: path, Log: logOf(t), Env: map[string]string{need.Unconfined: "true", "X_TOKEN": secret, "X_KEY_FILE": file}}
			closed(t, a)
			err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Solve = %v, want %q", err, tt.want)
			}
			for _, text := range []string{err.Error(), problem.Remedy(err)} {
				if strings.Contains(text, "hunter") || strings.Contains(text, "a=b") {
					t.Errorf("%q contains a secret", text)
				}
				if len(text) > maxText+200 {
					t.Errorf("%d bytes: %.80q", len(text), text)
				}
			}
		})
	}
}
