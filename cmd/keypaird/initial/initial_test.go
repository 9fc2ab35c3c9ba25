package initial

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/preset"
)

// providers are all that keypaird-dns describes, with lego's own examples.
func providers(t *testing.T) []provider {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "keypaird-dns", "child", "providers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []provider
	if err := json.Unmarshal(text, &list); err != nil || len(list) < 100 {
		t.Fatalf("%d providers, %v", len(list), err)
	}
	return slices.DeleteFunc(list, func(p provider) bool { return p.Code == "manual" })
}

// mistakes returns what config finds in a configuration, but for groups of servers that this
// machine lacks: init refuses those before.
func mistakes(t *testing.T, text string, mode os.FileMode) (list []string) {
	t.Helper()
	_, err := config.Options{Getenv: func(string) string { return "" }, NoSecrets: true}.Parse("keypaird.toml", text, mode)
	if found, ok := errors.AsType[config.Mistakes](err); ok {
		for _, m := range found {
			if !strings.Contains(m.Problem, "there is no group") {
				list = append(list, m.String())
			}
		}
	} else if err != nil {
		t.Fatal(err)
	}
	return list
}

// shapes are the forms that a configuration can have.
var shapes = map[string]answers{
	"domain and host":           {host: "matrix.example.org", services: []string{"matrix", "xmpp"}, components: []string{"conference.example.org"}},
	"without services":          {host: "matrix.example.org"},
	"mail with DANE":            {host: "mail.example.org", services: []string{"mail", "xmpp"}, tlsa: []string{"_25._tcp.mail.example.org"}},
	"mail with components":      {host: "mail.example.org", services: []string{"mail", "xmpp"}, components: []string{"conference.example.org"}, tlsa: []string{"_25._tcp.mail.example.org"}},
	"its own server":            {host: "example.org", services: []string{"xmpp"}},
	"its own, with chats":       {host: "example.org", services: []string{"xmpp"}, components: []string{"conference.example.org"}},
	"an international name":     {host: "xn--mnchen-3ya.example.org", email: "hostmaster@example.org"},
	"port 80 is free":           {host: "matrix.example.org", port80: byUs},
	"port 80 is a web server's": {host: "matrix.example.org", port80: byProxy},
}

// Every combination that can be answered passes check, though the group of the service
// reads the file.
func TestEveryCombinationIsCorrect(t *testing.T) {
	all := append(providers(t), provider{Code: persist}, provider{})
	servers := [][]string{nil, {"nginx", "prosody", "postfix", "dovecot"}, {"haproxy", "ejabberd", "coturn"}}
	for _, name := range preset.Names() {
		servers = append(servers, []string{name})
	}
	for shape, a := range shapes {
		for i, p := range all {
			for j, deploy := range servers {
				if i%8 != j%8 && p.Code != "" && p.Code != persist && p.Code != "rfc2136" { // each with each once over the shapes
					continue
				}
				if p.Code == "" && len(a.components) > 0 {
					continue
				}
				d := &draft{answers: a, machine: &machine{}, outside: message.Machine{}, group: -1}
				d.domain, d.provider, d.deploy, d.env = "example.org", p, deploy, p.variables("/etc/keypaird")
				for i := range d.env {
					if d.env[i].value == "" {
						d.env[i].value = "x"
					}
				}
				text := d.render(t.Context())
				if wrong := mistakes(t, text, 0o640); len(wrong) > 0 {
					t.Fatalf("%s, provider %q, servers %q: %q\n%s", shape, p.Code, deploy, wrong, text)
				}
			}
		}
	}
}

// The key of a host with TLSA records has a table with tlsa: a new key that no record
// knows would stop mail.
func TestRecordsOfTheHost(t *testing.T) {
	d := &draft{answers: shapes["mail with DANE"], machine: &machine{}, group: -1}
	d.domain, d.provider, d.deploy = "example.org", provider{Code: persist}, []string{"prosody", "postfix"}
	text := d.render(t.Context())
	wrong := mistakes(t, text, 0o600)
	if len(wrong) > 0 {
		t.Error(wrong)
	}
	for _, want := range []string{`tlsa    = ["_25._tcp.mail.example.org"]`, `[cert."example.org"]`, `dns-persist-01 = ["example.org"]`, `names = ["mail.example.org"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// Each provider in the table of name servers is one of lego's.
func TestProvidersOfNameServers(t *testing.T) {
	known := providers(t)
	for zone, code := range zones {
		if !slices.ContainsFunc(known, func(p provider) bool { return p.Code == code }) {
			t.Errorf("%s: there is no provider %q", zone, code)
		}
	}
	for _, tt := range []struct {
		server, want string
	}{
		{"adam.ns.cloudflare.com", "cloudflare"},
		{"ns-1234.awsdns-26.org", "route53"},
		{"hydrogen.ns.hetzner.com", "hetzner"},
		{"ns1.example.org", ""},
		{"cloudflare.com.example.org", ""},
		{"notns.cloudflare.com", ""},
	} {
		if got := providerOf([]string{tt.server}); got != tt.want {
			t.Errorf("providerOf(%s) = %q, want %q", tt.server, got, tt.want)
		}
	}
}

func TestProposals(t *testing.T) {
	named := &machine{hostname: "box.example.org", nameserv: "named", servers: []server{
		{preset: "nginx", runs: true, certify: []string{"chat.example.org"}}, {preset: "apache"}, {preset: "haproxy"},
	}}
	for _, tt := range []struct {
		name string
		d    draft
		got  func(d *draft) string
		want string
	}{
		{"domain of the machine's name", draft{machine: named}, (*draft).proposeDomain, "example.org"},
		{"no domain of a short name", draft{machine: &machine{hostname: "box"}}, (*draft).proposeDomain, ""},
		{"no top-level domain", draft{machine: &machine{hostname: "example.org"}}, (*draft).proposeDomain, ""},
		{"host that DNS has", draft{answers: answers{domain: "example.org"}, machine: named, outside: message.Machine{Host: "matrix.example.org"}}, (*draft).proposeHost, "matrix.example.org"},
		{"host by the machine's name", draft{answers: answers{domain: "example.org"}, machine: named}, (*draft).proposeHost, "box.example.org"},
		{"host by a certificate", draft{answers: answers{domain: "example.org"}, machine: &machine{servers: named.servers}}, (*draft).proposeHost, "chat.example.org"},
		{"no host of another domain", draft{answers: answers{domain: "example.net"}, machine: named}, (*draft).proposeHost, ""},
		{"mail", draft{machine: named, outside: message.Machine{Services: []string{"smtp", "matrix", "imap"}}}, (*draft).proposeServices, "matrix, mail"},
		{"own name server", draft{answers: answers{domain: "example.org", host: "matrix.example.org"}, machine: named}, (*draft).proposeDNS, "rfc2136"},
		{"a provider before the own one", draft{answers: answers{domain: "example.org", host: "matrix.example.org"}, machine: named,
			outside: message.Machine{NameServers: []string{"adam.ns.cloudflare.com"}}}, (*draft).proposeDNS, "cloudflare"},
		{"mail needs no DNS", draft{answers: answers{domain: "example.org", host: "mail.example.org", services: []string{"mail"}}, machine: named}, (*draft).proposeDNS, "none"},
		{"the server that runs", draft{answers: answers{services: []string{"web"}}, machine: named}, func(d *draft) string { return words(d.proposeServers()) }, "nginx"},
		{"port 80 of a web server", draft{answers: answers{deploy: []string{"nginx"}}, machine: &machine{}}, (*draft).proposePort80, "proxy"},
		{"port 80 of another program", draft{machine: &machine{port80: true}}, (*draft).proposePort80, "proxy"},
		{"port 80 is free", draft{answers: answers{deploy: []string{"prosody"}}, machine: &machine{}}, (*draft).proposePort80, "keypaird"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.got(&tt.d); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What is typed has no way into the file but as a value.
func TestHostileAnswers(t *testing.T) {
	long := strings.Repeat("a", 5000)
	for _, q := range questions {
		for _, answer := range []string{"\"", "]\n[x]", "a\x00b", "\x1b[2J", "../../etc/passwd", "-h", "$(id)", "a b", "\u202e", "\xff\xfe", long, "example.org:443", "*.example.org", "192.0.2.1", "@", "[cert.x]"} {
			d := &draft{machine: &machine{}, group: -1}
			d.domain, d.host, d.provider = "example.org", "matrix.example.org", provider{Code: persist}
			if err := q.set(t.Context(), d, answer); err != nil {
				if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) || len(err.Error()) > 2000 {
					t.Errorf("%s: the error repeats %q: %q", q.flag, answer, err)
				}
				continue
			}
			text := d.render(t.Context())
			if wrong := mistakes(t, text, 0o600); len(wrong) > 0 {
				t.Errorf("%s: %q was taken: %q\n%s", q.flag, answer, wrong, text)
			}
		}
	}
}

// A file that appears while questions are asked is not replaced, and what was begun is
// removed.
func TestFileThatAppears(t *testing.T) {
	dir := t.TempDir()
	d := &draft{answers: answers{domain: "example.org", host: "example.org"}, machine: &machine{}, group: -1}
	d.path = filepath.Join(dir, "new", "keypaird.toml")
	if _, err := d.write(t.Context(), os.Getenv); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v, want mode 0600", info, err)
	}
	if info, err := os.Stat(filepath.Dir(d.path)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its directory: %v, %v, want mode 0755", info, err)
	}
	before, _ := os.ReadFile(d.path)
	d.email = "hostmaster@example.org"
	if _, err := d.write(t.Context(), os.Getenv); err == nil {
		t.Error("a file was replaced")
	}
	after, _ := os.ReadFile(d.path)
	if string(before) != string(after) {
		t.Errorf("the file is now\n%s", after)
	}
	if left, _ := os.ReadDir(filepath.Dir(d.path)); len(left) != 1 {
		t.Errorf("the directory has %v", left)
	}
}

// Where the usual state directory is of no use to this user, the configuration names one
// beside itself.
func TestOwnState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for usual, want := range map[string]string{
		filepath.Join(dir, "state"):  filepath.Join(dir, "state"),
		filepath.Join(file, "state"): filepath.Join(dir, "a", "keypaird-state"),
	} {
		d := &draft{answers: answers{domain: "example.org", host: "example.org"}, machine: &machine{}, group: -1}
		d.path = filepath.Join(dir, "a", "keypaird.toml")
		cfg, err := d.write(t.Context(), func(name string) string {
			if name == "STATE_DIRECTORY" {
				return usual
			}
			return ""
		})
		if err != nil || cfg.State != want {
			t.Errorf("usual %s: %v, %v; want %s", usual, cfg, err, want)
			continue
		}
		if again, err := config.Load(config.Options{Path: d.path, Getenv: func(string) string { return "" }, NoSecrets: true}); want != usual && (err != nil || again.State != want) {
			t.Errorf("usual %s: read again: %v, %v", usual, again, err)
		}
		if err := os.Remove(d.path); err != nil {
			t.Fatal(err)
		}
	}
}

// What a server prints as lines for each name stands under that name.
func TestHeaded(t *testing.T) {
	got := headed([]string{"a /live/x;    # in the block of that name", "b", "# for that name", "c    # of all"}, "example.org")
	want := []string{"# in the block of example.org", "a /live/x;", "b", "# for that name", "c    # of all"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A service manager is asked once for all services, and everything else on its own.
func TestTogether(t *testing.T) {
	var list [][]string
	for _, line := range []string{
		"systemctl reload named", "postfix reload", "systemctl reload nginx", "systemctl restart dendrite", "rcctl reload relayd",
		"service nginx reload", "rcctl reload prosody", "service prosody reload", "pkill -HUP -f synapse",
	} {
		list = append(list, strings.Fields(line))
	}
	want := []string{
		"systemctl reload named nginx", "postfix reload", "systemctl restart dendrite", "rcctl reload relayd prosody",
		"service nginx reload", "service prosody reload", "pkill -HUP -f synapse",
	}
	if got := together(list); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWord(t *testing.T) {
	for s, want := range map[string]string{
		"/etc/keypaird/tsig": "/etc/keypaird/tsig", "a b": "'a b'", "it's": `'it'\''s'`, "$(id)": "'$(id)'", "": "''", "\n": "'\n'",
	} {
		if got := word(s); got != want {
			t.Errorf("word(%q) = %s, want %s", s, got, want)
		}
	}
}

// What is restored from a configuration are the answers that it was made of, as far as the
// steps depend on them.
func TestRestore(t *testing.T) {
	for shape, a := range shapes {
		for _, p := range []provider{{Code: persist}, {Code: "rfc2136"}} {
			d := &draft{answers: a, machine: &machine{}, group: -1}
			d.domain, d.provider, d.deploy = "example.org", p, []string{"nginx"}
			text := d.render(t.Context())
			cfg, err := config.Options{Getenv: func(string) string { return "" }, NoSecrets: true}.Parse("keypaird.toml", text, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			got := &draft{}
			if !got.restore(t.Context(), cfg) {
				t.Fatalf("%s, provider %q: not restored\n%s", shape, p.Code, text)
			}
			if got.host != d.host || !slices.Equal(got.dnsNames(), d.dnsNames()) || !slices.Equal(got.deploy, d.deploy) || (got.port80 == byProxy) != (d.port80 == byProxy) || len(d.dnsNames()) > 0 && got.provider.Code != p.Code {
				t.Errorf("%s, provider %q: restored %+v of\n%s", shape, p.Code, got.answers, text)
			}
		}
	}
}
