package need

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keypaird/renew/launch"
)

func TestKeep(t *testing.T) {
	home := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, other, store := file("secret"), file("other"), filepath.Join(home, "store.json")
	for _, tt := range []struct {
		name, code  string
		env         map[string]string
		read, write string
		not         string // something not to be read
	}{
		{"files of variables", "cloudflare", map[string]string{"CF_API_TOKEN_FILE": secret, "X": "other"}, secret, "", other},
		{"no files of others", "cloudflare", nil, "", "", home + "/.aws"},
		{"home", "route53", nil, home + "/.aws", "", home + "/.oci"},
		{"an alias", "fastdns", nil, home + "/.edgerc", "", ""},
		{"a variable below home", "edgedns", map[string]string{"AKAMAI_EDGERC": "~/other"}, other, "", ""},
		{"not at home", "ovh", nil, "/etc/ovh.conf", "", ""},
		{"TSIG", "rfc2136", map[string]string{"RFC2136_TSIG_FILE": secret}, secret, "", "/etc/krb5.conf"},
		{"GSS-TSIG", "dnsupdate", map[string]string{"DNSUPDATE_TSIG_ALGORITHM": "gss-tsig."}, "/etc/krb5.conf", "", ""},
		{"a file that it keeps", "acme-dns", map[string]string{"ACME_DNS_STORAGE_PATH": store}, "", store, ""},
		{"a file that it keeps, there already", "acmedns", map[string]string{"ACME_DNS_STORAGE_PATH": secret}, "", secret, ""},
		{"a file of another provider", "cloudflare", map[string]string{"ACME_DNS_STORAGE_PATH": secret}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, create, _ := Account{Code: Canonical(tt.code), Env: tt.env, Home: home, UID: "1000"}.Files()
			launch.Create(create)
			if tt.read != "" && !slices.Contains(k.Read, tt.read) || tt.not != "" && slices.Contains(k.Read, tt.not) {
				t.Errorf("reads %q, want %q and not %q", k.Read, tt.read, tt.not)
			}
			if got := strings.Join(k.Write, " "); got != tt.write {
				t.Errorf("writes %q, want %q", got, tt.write)
			}
		})
	}
	if text, err := os.ReadFile(store); err != nil || string(text) != "{}\n" {
		t.Errorf("the store was not made: %q, %v", text, err)
	}
	if text, err := os.ReadFile(secret); err != nil || len(text) != 0 {
		t.Errorf("a file that was there: %q, %v", text, err)
	}
}

// Some providers look for their files in HOME only, or run a program to find it.
func TestHome(t *testing.T) {
	for _, tt := range []struct{ code, variable, want string }{
		{"cloudflare", "", ""}, // needs none
		{"route53", "", "/home/ann"},
		{"route53", "/elsewhere", "/elsewhere"},
	} {
		a := Account{Code: tt.code, Env: map[string]string{"HOME": tt.variable}, Home: "/home/ann"}
		k, _, env := a.Files()
		if env["HOME"] != tt.want || tt.want != "" && !slices.Contains(k.Read, tt.want+"/.aws") {
			t.Errorf("%s with HOME=%q: %v, reads %q", tt.code, tt.variable, env, k.Read)
		}
	}
}

func TestFree(t *testing.T) {
	for _, tt := range []struct {
		name, code, env, value, want string
	}{
		{"most", "rfc2136", "", "", ""},
		{"exec", "exec", "", "", "exec runs a program"},
		{"az", "azuredns", "AZURE_AUTH_METHOD", "CLI", "AZURE_AUTH_METHOD=cli runs the program az"},
		{"Azure otherwise", "azuredns", "AZURE_AUTH_METHOD", "msi", ""},
		{"az, but not Azure", "rfc2136", "AZURE_AUTH_METHOD", "cli", ""},
		{"switched off", "rfc2136", Unconfined, "true", "KEYPAIRD_DNS_UNCONFINED is set"},
		{"not switched off", "rfc2136", Unconfined, "false", ""},
		{"not a switch", "rfc2136", Unconfined, "maybe", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Account{Code: tt.code, Env: map[string]string{tt.env: tt.value}}).Free(); got != tt.want {
				t.Errorf("free = %q, want %q", got, tt.want)
			}
		})
	}
}

// A file at a place where other users can make one counts if it is the user's own.
func TestFileOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	own, other := Account{UID: strconv.Itoa(os.Getuid())}, Account{UID: strconv.Itoa(os.Getuid() + 1)}
	if !own.owns(file) || own.owns(link) || own.owns(dir) || other.owns(file) || own.owns(filepath.Join(dir, "none")) {
		t.Error("only the file belongs to its user")
	}
	k, _, _ := Account{Code: "rfc2136", Env: map[string]string{"RFC2136_TSIG_ALGORITHM": "gss-tsig"}, UID: "none"}.Files()
	if slices.Contains(k.Read, "/tmp/krb5cc_none") || !slices.Contains(k.Read, "/etc/krb5.conf") {
		t.Errorf("reads %q", k.Read)
	}
}
