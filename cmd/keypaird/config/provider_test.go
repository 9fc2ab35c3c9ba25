package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

// The list of providers is that of keypaird-dns: go generate ./cmd/keypaird-dns.
func TestProvidersOfKeypairdDNS(t *testing.T) {
	text, err := os.ReadFile("../../keypaird-dns/child/providers.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Code    string
		Aliases []string
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range all {
		want = append(append(want, d.Code), d.Aliases...)
	}
	slices.Sort(want)
	if got := strings.Fields(providersText); !slices.Equal(got, want) {
		t.Errorf("%d providers, want the %d of keypaird-dns", len(got), len(want))
	}
}

// Without the user of keypaird-dns, root can neither issue nor check, and still ask.
func TestNoDNSUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives keypaird-dns another user")
	}
	defer func(was string) { launch.DNSUser = was }(launch.DNSUser)
	launch.DNSUser = "no-such-user"
	dir := testutil.SafeDir(t)
	_, err := loadText(t, dir, "[dns.ns]\nprovider = \"rfc2136\"\n[cert.a]\ndns-01 = [\"example.org\"]\ndns = \"ns\"\n")
	m, ok := err.(Mistakes)
	if !ok || len(m) != 1 || m[0].Key != "dns.ns.user" || !strings.Contains(m[0].Remedy, launch.MakeUser("no-such-user")) {
		t.Errorf("Load = %v (%+v)", err, m)
	}
	if _, err := Load(Options{Path: filepath.Join(dir, "keypaird.toml"), Getenv: noEnv, NoSecrets: true}); err != nil {
		t.Errorf("for a command that orders nothing: %v", err)
	}
}

func TestUnknownProvider(t *testing.T) {
	for _, tt := range []struct{ provider, problem, remedy string }{
		{"rfc2135", `keypaird.toml:2: dns.ns.provider: there is no DNS provider "rfc2135"`, `did you mean "rfc2136"? keypaird dns lists all`},
		{"qqqqqqqqq", `keypaird.toml:2: dns.ns.provider: there is no DNS provider "qqqqqqqqq"`, "name one of those that keypaird dns lists"},
		{"manual", `keypaird.toml:2: dns.ns.provider: "manual" waits for a person at a terminal`, `publish a record once instead: dns = "persist"`},
		{"dnsupdate", "", ""},
		{"newer", "", ""},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keypaird.toml")
			if err := os.WriteFile(file, []byte("[dns.ns]\nprovider = \""+tt.provider+"\"\n[cert.a]\ndns-01 = [\"example.org\"]\ndns = \"ns\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Options{Path: file, Getenv: func(string) string { return "" }, HasProvider: func(code string) bool { return code == "newer" }})
			if tt.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			m, ok := err.(Mistakes)
			if !ok || len(m) != 1 || !strings.HasSuffix(m[0].String(), tt.problem) || m[0].Remedy != tt.remedy {
				t.Errorf("Load = %v (%+v)", err, m)
			}
		})
	}
}
