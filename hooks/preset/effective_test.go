package preset

import (
	"os"
	"path/filepath"
	"testing"

	"keypaird/hooks"

	"keypaird/renew/testutil"
)

func TestNamedHas(t *testing.T) {
	dir := testutil.SafeDir(t)
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		named, path string
		want        bool
	}{
		{"/etc/ssl/a.crt", "/etc/ssl/a.crt", true},
		{"/etc/ssl//./a.crt", "/etc/ssl/a.crt", true},
		{"/etc/ssl/b.crt", "/etc/ssl/a.crt", false},
		{"/etc/ssl/*.crt", "/etc/ssl/a.crt", true},
		{"/etc/ssl/", "/etc/ssl/a.crt", true},
		{"/etc", "/etc/ssl/a.crt", false},
		{"ssl/a.crt", "/etc/ssl/a.crt", true},
		{"/etc/ssl/$ssl_server_name.crt", "/etc/ssl/a.crt", true},
		{"/srv/$ssl_server_name.crt", "/etc/ssl/a.crt", false},
		{link, filepath.Join(real, "a.crt"), true},
	} {
		if got := (Named{tt.named}).Has(tt.path); got != tt.want {
			t.Errorf("%s has %s: %v", tt.named, tt.path, got)
		}
	}
}

func TestSetupFor(t *testing.T) {
	d := hooks.Deployment{Combined: "/srv/tls/{name}.pem"}
	if got := SetupFor("haproxy", &d, "a", "/state"); len(got) != 1 || got[0] != "bind :443 ssl crt /srv/tls/    # the whole directory" {
		t.Errorf("haproxy: %q", got)
	}
	if got := SetupFor("nginx", &hooks.Deployment{}, "*.a", "/state"); got[1] != "ssl_certificate_key /state/certs/_wildcard.a/live/privkey.pem;" {
		t.Errorf("nginx: %q", got)
	}
	if got := SetupFor("unknown", &d, "a", "/state"); got != nil {
		t.Errorf("unknown: %q", got)
	}
}

// Each server has an endpoint to verify.
func TestUsualEndpoints(t *testing.T) {
	for _, name := range Names() {
		if len(UsualEndpoints(name)) == 0 {
			t.Errorf("%s has none", name)
		}
	}
}
