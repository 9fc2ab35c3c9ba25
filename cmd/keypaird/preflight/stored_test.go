package preflight

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/renew/testutil"
)

// The program of [notify] is found as those of deployments are.
func TestNotifyIsThere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "tell-admin")
	for _, tt := range []struct {
		name, program, want string
	}{
		{"none wanted", "", ""},
		{"in the path", "true", ""},
		{"not in the path", "tell-admin-of-nobody", "is not in "},
		{"not at its place", missing, "does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &config.Config{}
			if tt.program != "" {
				cfg.Notify.Command = []string{tt.program, "argument"}
			}
			found := checkNotify(cfg)
			if tt.want == "" {
				if len(found) > 0 {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Result != Failed || !strings.Contains(found[0].Detail, tt.want) || !strings.HasPrefix(found[0].Remedy, "install it") {
				t.Fatalf("%+v, want one failure that %s", found, tt.want)
			}
		})
	}
}

// A copy of the state directory may have lost its modes.
func TestKeyModes(t *testing.T) {
	dir, err := os.MkdirTemp("", "keymodes") // t.TempDir is below a directory that others cannot reach
	testutil.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testutil.Must(t, os.Chmod(dir, 0o755))
	for at := dir; at != "/"; at = filepath.Dir(at) {
		if fi, err := os.Stat(at); err != nil || fi.Mode()&0o001 == 0 {
			t.Skipf("other users cannot reach %s", at)
		}
	}
	version := filepath.Join(dir, "certs", "example.org", "v000001")
	testutil.Must(t, os.MkdirAll(version, 0o755))
	key := filepath.Join(version, "privkey.pem")
	testutil.Must(t, os.WriteFile(key, nil, 0o644))
	e, err := engine.New(&config.Config{State: dir}, engine.Options{Log: slog.New(slog.DiscardHandler)})
	testutil.Must(t, err)
	defer e.Close()
	for _, tt := range []struct{ closed, want string }{
		{"", key + " has a private key and can be read by every user (mode 0644)"},
		{version, key + " has a private key and has mode 0644, and only a directory above keeps others out"},
		{dir, key + " has a private key and has mode 0644, and only a directory above keeps others out"},
		{key, ""},
	} {
		if tt.closed != "" {
			fi, err := os.Stat(tt.closed)
			testutil.Must(t, err)
			testutil.Must(t, os.Chmod(tt.closed, fi.Mode().Perm()&^0o077))
		}
		found := append(checkExposed(e), Finding{})
		if found[0].Detail != tt.want || tt.want != "" && (found[0].Result != Warning || found[0].Remedy != "chmod 600 "+key) {
			t.Errorf("closed %q: %+v, want %q", tt.closed, found, tt.want)
		}
		if tt.closed != "" {
			testutil.Must(t, os.Chmod(tt.closed, 0o755))
		}
	}
}

// The remedy for a missing command is to correct it where the configuration sets it,
// and to set it otherwise.
func TestRemedyOfMissingCommand(t *testing.T) {
	argv := []string{"/nowhere/reload"}
	for _, tt := range []struct {
		name  string
		table config.Deploy
		want  string
	}{
		{"of the table", config.Deploy{Reload: &argv}, "install /nowhere/reload, or correct reload of [deploy.proxy]"},
		{"of a preset", config.Deploy{}, "install the server, or set reload of [deploy.proxy]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := checkPrograms("proxy", &hooks.Deployment{Name: "proxy", Reload: argv}, tt.table.Sets)
			if len(found) != 1 || found[0].Remedy != tt.want {
				t.Errorf("%+v, want the remedy %q", found, tt.want)
			}
		})
	}
}

// A private CA that does not say that it reads CAA records may issue without them.
func TestNoAnswerToCAA(t *testing.T) {
	cfg := &config.Config{CA: map[string]config.CA{"private": {Directory: "https://ca.internal/"}, "own": {Directory: "https://ca.test/"}, "away": {Directory: "https://ca.away/"}}}
	c := &liveCheck{engine: &engine.Engine{Config: cfg}, infos: map[string]acme.Info{"private": {}, "own": {Identities: []string{"ca.test"}}, "letsencrypt": {}}}
	for _, tt := range []struct {
		cas  []string
		want Result
	}{
		{[]string{"private"}, Warning}, {[]string{"own"}, Failed}, {[]string{"letsencrypt"}, Failed},
		{[]string{"away"}, Failed}, {[]string{"private", "own"}, Failed},
	} {
		found := c.compareCAA(&caaLookup{target: config.Target{SignWith: tt.cas}, challenge: config.Challenge{Name: "a.internal", Type: "http-01"}, err: errors.New("SERVFAIL")}, nil)
		if len(found) != 1 || found[0].Result != tt.want || found[0].Remedy == "" {
			t.Errorf("%v: %+v, want %s", tt.cas, found, tt.want)
		}
	}
}

// The record for one owner allows the challenges of all its names.
func TestOneRecordForAnOwner(t *testing.T) {
	of := func(name, method, at string, err error, cas ...string) *caaLookup {
		return &caaLookup{target: config.Target{SignWith: cas}, challenge: config.Challenge{Name: name, Type: method}, set: dns01.CAASet{Owner: at}, err: err}
	}
	all := []*caaLookup{
		of("example.org", "dns-01", "example.org.", nil, "le"),
		of("matrix.example.org", "http-01", "example.org.", nil, "le", "own"),
		of("www.example.org", "http-01", "example.org.", nil, "le"),
		of("*.example.org", "dns-persist-01", "example.org.", nil, "le"),
		of("chat.example.org", "tls-alpn-01", "chat.example.org.", nil, "le"),
		of("gone.example.org", "tls-alpn-01", "example.org.", errors.New("SERVFAIL"), "le"),
	}
	for _, tt := range []struct {
		i        int
		ca, want string
	}{
		{0, "le", "dns-01,http-01"}, {1, "le", "dns-01,http-01"}, {1, "own", "http-01"}, {3, "le", "dns-persist-01"}, {4, "le", "tls-alpn-01"},
	} {
		if got := methods(all[tt.i], tt.ca, all); got != tt.want {
			t.Errorf("%s by %s: %q, want %q", all[tt.i].challenge.Name, tt.ca, got, tt.want)
		}
	}
}
