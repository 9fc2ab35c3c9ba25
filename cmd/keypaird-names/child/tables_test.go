package child

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
)

// row returns a row of a peer that checks a name.
func row(service, role, host string, port uint16, accept string, addrs ...string) discover.Requirement {
	r := discover.Requirement{
		Service: service, Role: role, Identity: "example.org", State: discover.Found, Enforcement: discover.Must,
		Endpoint: discover.Place{Proto: "https", Host: host, Port: port},
		SNI:      accept, Accept: []string{accept}, CheckedBy: "peers",
	}
	for _, a := range addrs {
		r.Addrs = append(r.Addrs, netip.MustParseAddr(a))
	}
	return r
}

// The tables that are proposed are a configuration.
func TestTables(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rows       []discover.Requirement
		components []string
		want       string // targets and challenges
	}{
		{"a server elsewhere", []discover.Requirement{
			row("matrix", "federation", "matrix.example.org", 8448, "example.org", "192.0.2.7"),
			row("imap", "imap", "mail.example.org", 993, "mail.example.org", "192.0.2.7"),
			row("web", "web", "example.org", 443, "example.org", "192.0.2.1"),
			row("web", "web", "www.example.org", 443, "www.example.org", "192.0.2.1"),
		}, []string{"conference.example.org"},
			"example.org: conference.example.org=dns-01 example.org=dns-01; mail.example.org: mail.example.org=http-01; matrix.example.org: matrix.example.org=http-01"},
		{"its own server", []discover.Requirement{
			row("web", "web", "example.org", 443, "example.org", "192.0.2.1"),
			row("web", "web", "www.example.org", 443, "www.example.org", "192.0.2.1"),
		}, nil, "example.org: example.org=http-01 www.example.org=http-01"},
		{"nothing", nil, nil, ""},
	} {
		a := discover.Answer{Domain: "example.org", Services: []string{"matrix", "imap", "web"}, Components: tt.components, Requirements: tt.rows}
		text := document(&discover.Discoverer{}, a).Config
		if text == "" && tt.want == "" {
			continue
		}
		file := filepath.Join(t.TempDir(), "keypaird.toml")
		if err := os.WriteFile(file, []byte(text+"\n[dns.ns]\nprovider = \"exec\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Options{Path: file, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Errorf("%s: %v in\n%s", tt.name, err, text)
			continue
		}
		var got []string
		for _, target := range cfg.Targets() {
			s := target.Name + ":"
			for _, p := range target.Challenges {
				s += " " + p.Name + "=" + p.Type
			}
			got = append(got, s)
		}
		if s := strings.Join(got, "; "); s != tt.want {
			t.Errorf("%s:\n%s\n%s, want %s", tt.name, text, s, tt.want)
		}
	}
}

// Each server is verified where it serves, so that "keypaird issue" says more than
// "deployed, not verified".
func TestServersAreVerified(t *testing.T) {
	const host = "192.0.2.7"
	a := discover.Answer{Domain: "example.org", Services: []string{"matrix", "xmpp"}, Requirements: []discover.Requirement{
		row("matrix", "federation", "matrix.example.org", 8448, "example.org", host),
		row("web", "web", "matrix.example.org", 443, "matrix.example.org", host),
		row("xmpp", "server", "matrix.example.org", 5269, "example.org", host),
	}}
	a.Requirements[2].Endpoint.Proto = "xmpp-server"
	const want = `
[deploy.nginx]
verify = ["https:127.0.0.1:8448", "https:127.0.0.1:443"]

[deploy.prosody]
verify = ["xmpp-server:127.0.0.1:5269"]
`
	if text := document(&discover.Discoverer{}, a).Config; !strings.HasSuffix(text, want) {
		t.Errorf("%s\nwant in the end %s", text, want)
	}
}
