package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keypaird/acme/authority"
	"keypaird/hooks"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
)

// mustLoad loads a configuration without mistakes.
func mustLoad(t *testing.T, dir, text string) *Config {
	t.Helper()
	cfg, err := loadText(t, dir, strings.ReplaceAll(text, "$GROUP", rootGroup(t)))
	if err != nil {
		t.Fatalf("%v\n%s", err, tell(t, dir, err))
	}
	return cfg
}

// told is a target in one line.
func told(t Target) string {
	proofs := make([]string, len(t.Challenges))
	for i, p := range t.Challenges {
		proofs[i] = strings.TrimSuffix(p.Name+" by "+p.Type+" "+p.Account, " ")
	}
	settings := strings.Join(append([]string{t.Key, t.Profile, t.PreferredChain}, t.SignWith...), "/")
	return t.Name + ": " + strings.Join(proofs, ", ") + "; " + settings + "; " + strings.Join(t.Deploy, " ")
}

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	const top = "key = \"ec384\"\nprofile = \"classic\"\npreferred_chain = \"Root\"\nsign_with = [\"internal\", \"letsencrypt\"]\n" +
		"[ca.internal]\ndirectory = \"https://ca.example.net/dir\"\n[dns.ns]\nprovider = \"rfc2136\"\n[dns.other]\nprovider = \"rfc2136\"\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"two targets of an identity", "[identity.\"example.org\"]\nhost = \"m.example.org\"\ncomponents = [\"c.example.org\"]\ndns = \"ns\"\ndeploy = [\"nginx\"]",
			[]string{"example.org: c.example.org by dns-01 ns, example.org by dns-01 ns; ec384/classic/Root/internal/letsencrypt; nginx",
				"m.example.org: m.example.org by http-01; ec384/classic/Root/internal/letsencrypt; nginx"}},
		{"one certificate", "[identity.\"example.org\"]\nhost = \"m.example.org\"\ncomponents = [\"c.example.org\"]\ndns = \"ns\"\none_certificate = true",
			[]string{"example.org: c.example.org by dns-01 ns, example.org by dns-01 ns, m.example.org by http-01; ec384/classic/Root/internal/letsencrypt; "}},
		{"host by another account", "[identity.\"example.org\"]\nhost = \"m.example.org\"\ndns = \"ns\"\nhost_dns = \"other\"",
			[]string{"example.org: example.org by dns-01 ns; ec384/classic/Root/internal/letsencrypt; ",
				"m.example.org: m.example.org by dns-01 other; ec384/classic/Root/internal/letsencrypt; "}},
		{"everything by dns-persist-01, on one certificate", "[identity.\"example.org\"]\nhost = \"m.example.org\"\ndns = \"persist\"\nhost_dns = \"persist\"\none_certificate = true",
			[]string{"example.org: example.org by dns-persist-01, m.example.org by dns-persist-01; ec384/classic/Root/internal/letsencrypt; "}},
		{"settings of an identity", "[identity.\"example.org\"]\nhost = \"m.example.org\"\ndns = \"ns\"\nkey = \"rsa4096\"\nprofile = \"\"\npreferred_chain = \"\"\nsign_with = [\"letsencrypt-staging\"]",
			[]string{"example.org: example.org by dns-01 ns; rsa4096///letsencrypt-staging; ",
				"m.example.org: m.example.org by http-01; rsa4096///letsencrypt-staging; "}},
		{"settings of a certificate", "[cert.a]\nhttp-01 = [\"a.example.org\"]\nkey = \"rsa2048\"\nprofile = \"shortlived\"\npreferred_chain = \"Other\"\nsign_with = [\"internal\"]",
			[]string{"a: a.example.org by http-01; rsa2048/shortlived/Other/internal; "}},
		{"addresses only", "[cert.a]\nhttp-01 = [\"192.0.2.1\", \"2001:DB8::1\"]",
			[]string{"a: 192.0.2.1 by http-01, 2001:db8::1 by http-01; ec384/classic/Root/internal/letsencrypt; "}},
		{"names of one label, by a CA of our own", "[identity.lan]\nhost = \"server\"\ndns = \"ns\"\n[cert.a]\nhttp-01 = [\"10.0.0.1\", \"printer\"]",
			[]string{"a: 10.0.0.1 by http-01, printer by http-01; ec384/classic/Root/internal/letsencrypt; ",
				"lan: lan by dns-01 ns; ec384/classic/Root/internal/letsencrypt; ",
				"server: server by http-01; ec384/classic/Root/internal/letsencrypt; "}},
		{"target called as a wildcard", "[cert.\"*.example.org\"]\ndns-persist-01 = [\"*.example.org\", \"example.org\"]",
			[]string{"*.example.org: *.example.org by dns-persist-01, example.org by dns-persist-01; ec384/classic/Root/internal/letsencrypt; "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, target := range mustLoad(t, dir, top+tt.text).Targets() {
				got = append(got, told(target))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("targets:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestDeployments(t *testing.T) {
	dir := t.TempDir()
	lookup := func(name string) hooks.Deployment { d, _ := preset.Lookup(name); return d }
	for _, tt := range []struct {
		name, text, deployment string
		want                   func() hooks.Deployment
	}{
		{"preset without a table", "", "relayd", func() hooks.Deployment { return lookup("relayd") }},
		{"preset by the name of its table", "[deploy.nginx]\nverify = [\"127.0.0.1:443\"]", "nginx", func() hooks.Deployment {
			return lookup("nginx")
		}},
		{"preset under another name", "[deploy.edge]\npreset = \"haproxy\"\ngroup = \"$GROUP\"\nsocket = \"/run/s\"", "edge", func() hooks.Deployment {
			d := lookup("haproxy")
			d.Name, d.Group, d.Socket = "edge", "$GROUP", "/run/s"
			return d
		}},
		{"preset emptied", "[deploy.relayd]\nchain = \"\"\nkey = \"\"\nowner = \"\"\ngroup = \"\"\ncheck = []\nreload = [\"true\"]", "relayd", func() hooks.Deployment {
			d := lookup("relayd")
			d.Chain, d.Key, d.Owner, d.Group, d.Check, d.Reload = "", "", "", "", []string{}, []string{"true"}
			d.Restart = nil // is the preset's own, as its reload was
			return d
		}},
		{"table of its own", "[deploy.x]\nchain = \"/c/{name}\"\nkey = \"/k/{name}\"\nowner = \"0\"\ngroup = \"0\"\nchain_mode = \"0640\"\nkey_mode = \"640\"\ntimeout = \"90s\"", "x", func() hooks.Deployment {
			return hooks.Deployment{Name: "x", Chain: "/c/{name}", Key: "/k/{name}", Owner: "0", Group: "0", ChainMode: 0o640, KeyMode: 0o640, Timeout: 90e9}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustLoad(t, dir, tt.text+okCert).Deployment(tt.deployment)
			want := tt.want()
			want.Group = strings.ReplaceAll(want.Group, "$GROUP", rootGroup(t))
			if strings.Contains(tt.text, "verify") && len(got.Verify) != 1 {
				t.Errorf("Verify = %v", got.Verify)
			}
			got.Verify = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Deployment = %+v\nwant         %+v", got, want)
			}
		})
	}
}

func TestAuthorities(t *testing.T) {
	dir := configDir(t)
	cfg := mustLoad(t, dir, `sign_with = ["zerossl", "letsencrypt", "google"]
[ca.zerossl]
eab_kid = "kid"
eab_hmac_file = "$DIR/hmac"
[ca.google]
directory = "https://ca.example.net/dir"
`+okCert)
	public, _ := authority.BuiltIn("zerossl")
	if ca, err := cfg.Authority("zerossl"); err != nil || ca.Directory != public.Directory || ca.EABKeyID != "kid" || ca.EABHMAC != "c2VjcmV0+/8=" || ca.Roots != nil {
		t.Errorf("built in and completed: %+v, %v", ca, err)
	}
	if ca, err := cfg.Authority("google"); err != nil || ca.Directory != "https://ca.example.net/dir" || ca.Name != "google" {
		t.Errorf("built in and overridden: %+v, %v", ca, err)
	}
	if ca, err := cfg.Authority("letsencrypt"); err != nil || ca.Directory == "" || ca.EABKeyID != "" {
		t.Errorf("built in: %+v, %v", ca, err)
	}
}

// Roots that others could change meanwhile are not used.
func TestRootsOthersCanWrite(t *testing.T) {
	dir := configDir(t)
	rootsFile(t, dir+"/internal.pem")
	cfg := mustLoad(t, dir, "[ca.internal]\ndirectory = \"https://ca.example.net/dir\"\nroots = \"$DIR/internal.pem\"\n"+okCert)
	try(t, os.Chmod(dir+"/internal.pem", 0o666))
	_, err := cfg.Authority("internal")
	if want := "reading roots of [ca.internal]: " + dir + "/internal.pem: can be written by others (mode 0666)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if got, want := problem.Remedy(err), "chmod go-w "+dir+"/internal.pem"; got != want {
		t.Errorf("remedy %q, want %q", got, want)
	}
}

func TestResolvers(t *testing.T) {
	cfg := mustLoad(t, t.TempDir(), "[dns.ns]\nprovider = \"rfc2136\"\nresolvers = [\"192.0.2.53\", \"192.0.2.53:54\", \"2001:DB8::53\", \"[2001:db8::53]\", \"[2001:db8::53]:54\"]\n"+okCert)
	want := []string{"192.0.2.53:53", "192.0.2.53:54", "[2001:db8::53]:53", "[2001:db8::53]:53", "[2001:db8::53]:54"}
	if got := cfg.DNS["ns"].Resolvers; !slices.Equal(got, want) {
		t.Errorf("resolvers %q, want %q", got, want)
	}
}

// What operators have been seen to write, and is right.
func TestAccepted(t *testing.T) {
	dir := configDir(t)
	for _, text := range []string{
		`schedule = "*/10 * * * *"`, `schedule = "@hourly"`, `schedule = "@every 1m"`, `schedule = "@every 1h30m"`, `schedule = "0 3 * * MON-FRI"`, `schedule = "0 0 29 2 *"`,
		`schedule = "TZ=Europe/Berlin 0 3 * * *"`, `schedule = "CRON_TZ=UTC @every 5m"`, `schedule = "@every 744h"`, `window = "TZ=America/New_York * 3 * * *"`,
		`window = "* 2-4 * * 0,6"`, `email = "ann+acme@example.org"`, `email = "ann@bücher.example"`,
		"[http-01]\nlisten = \"\"", "[http-01]\nlisten = \"[::1]:8402\"", "[http-01]\nlisten = \"localhost:8402\"", "[http-01]\nlisten = \"fd:http\"",
		"[status]\nlisten = \"127.0.0.1:8403\"", "[status]\nlisten = \"unix:/run/keypaird.sock\"", "[status]\nlisten = \"fd:status\"",
		"[status]\nlisten = \"127.0.0.1:80\"\n[http-01]\nlisten = \"127.0.0.2:80\"", "[status]\nlisten = \":80\"\n[http-01]\nwebroot = \"$DIR\"",
		"[notify]\ncommand = []", "[notify]\ncommand = [\"logger\", \"a b\", \"\"]",
		"[deploy.x]\nverify = [\"[::1]:443\", \"smtp:127.0.0.1:25\"]", "[deploy.x]\nchain = \"/x/{name}/{name}.pem\"", "[deploy.x]\nkey = \"/x\"\nkey_mode = \"0440\"",
		"[dns.ns]\nprovider = \"oraclecloud\"\nenv.TF_VAR_region = \"x\"", "[deploy.\"my.server-2_b\"]\nreload = [\"true\"]",
	} {
		if _, err := loadText(t, dir, text+okCert); err != nil {
			t.Errorf("%s\n%s", text, tell(t, dir, err))
		}
	}
}

// A server of two domains has one certificate for itself, which goes wherever
// either domain's goes.
func TestSharedHost(t *testing.T) {
	cfg, err := loadText(t, t.TempDir(), `[identity."example.org"]
host = "m.example.org"
dns = "persist"
deploy = ["a", "b"]
[identity."example.net"]
host = "m.example.org"
dns = "persist"
deploy = ["b", "c"]
[deploy.a]
reload = ["true"]
[deploy.b]
reload = ["true"]
[deploy.c]
reload = ["true"]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range cfg.Targets() {
		got = append(got, target.Name+" "+strings.Join(target.Deploy, ","))
	}
	want := []string{"example.net b,c", "example.org a,b", "m.example.org b,c,a"}
	if !slices.Equal(got, want) {
		t.Errorf("Targets = %q, want %q", got, want)
	}
}
