package hooks

import (
	"testing"

	"keypaird/hooks/expect"
	"keypaird/hooks/probe"
	"keypaird/renew/keypair/pkcs12"
)

// The hash of a deployment is the one that earlier versions recorded: another one has each
// server reloaded after an upgrade, though the configuration is the same.
func TestConfigHashStays(t *testing.T) {
	verify := []expect.Endpoint{
		{Endpoint: probe.Endpoint{Proto: "tls", Host: "127.0.0.1", Port: 443}},
		{Endpoint: probe.Endpoint{Proto: "xmpp-server", Host: "::1", Port: 5269}, Names: []string{"example.org"}},
	}
	for _, tt := range []struct {
		name, hash string
		d          Deployment
	}{
		{"files", "e9332fb983c8facb", Deployment{
			Chain: "/etc/ssl/{name}.crt", Key: "/etc/ssl/private/{name}.key", Owner: "root", Group: "ssl-cert", ChainMode: 0o644, KeyMode: 0o640,
			Check: []string{"nginx", "-t"}, Reload: []string{"systemctl", "reload", "nginx"}, Verify: verify,
		}},
		{"the store", "3d36e62503ac829f", Deployment{Reload: []string{"rcctl", "reload", "relayd"}}},
		{"one file, through a socket", "c7a4a5dac7e23845", Deployment{Combined: "/etc/haproxy/certs/{name}.pem", KeyMode: 0o600, Socket: "/run/haproxy/admin.sock", Verify: verify[:1]}},
		{"parts", "608e40e8cb5f77ce", Deployment{Key: "/k/{name}", Leaf: "/l/{name}", Intermediates: "/i/{name}", Single: true, Scans: 3, Reloads: 2}},
		{"PKCS#12", "9c0451896e52d638", Deployment{PKCS12: "/p/{name}.p12", PasswordFile: "/p/password", PKCS12Encoding: pkcs12.Legacy}},
	} {
		if got := tt.d.Spec("example.org").ConfigHash; got != tt.hash {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.hash)
		}
	}
}
