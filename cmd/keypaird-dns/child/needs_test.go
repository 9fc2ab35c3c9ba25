package child

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
			t.Setenv("HOME", home)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			k := keep(canonical(tt.code))
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
func TestHomeIsFound(t *testing.T) {
	t.Setenv("HOME", "") // restored at the end
	keep("cloudflare")
	if home := os.Getenv("HOME"); home != "" {
		t.Errorf("HOME = %q for a provider that needs none", home)
	}
	k := keep("route53")
	if home := os.Getenv("HOME"); !filepath.IsAbs(home) || !slices.Contains(k.Read, home+"/.aws") {
		t.Errorf("HOME = %q, reads %q", home, k.Read)
	}
}

func TestUnconfined(t *testing.T) {
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
			t.Setenv("AZURE_AUTH_METHOD", "")
			if tt.env != "" {
				t.Setenv(tt.env, tt.value)
			}
			if got := unconfined(tt.code); got != tt.want {
				t.Errorf("unconfined = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStartedForAnother(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	for _, tt := range []struct{ only, err string }{
		{"", ""}, {"fake", ""}, {"route53", `started for provider "route53", not for "fake"`},
	} {
		s := start(t, &fake{})
		s.srv.only = tt.only
		if a := s.ask(open); a.Error != tt.err {
			t.Errorf("started for %q: %q, want %q", tt.only, a.Error, tt.err)
		}
		s.end()
		if err := s.wait(); err != nil {
			t.Error(err)
		}
	}
}
