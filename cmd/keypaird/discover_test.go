package main

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
)

func TestLookFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string // resolvers and addresses, or a part of the error
	}{
		{"", "[] map[]"},
		{"-resolver 192.0.2.53", "[192.0.2.53:53] map[]"},
		{"-resolver 192.0.2.53:5353 -resolver 2001:db8::53", "[192.0.2.53:5353 [2001:db8::53]:53] map[]"},
		{"-resolver [2001:db8::53]:5353", "[[2001:db8::53]:5353] map[]"},
		{"-resolver dns.example.org", "is an IP address"},
		{"-resolver 192.0.2.53:0", "from 1 to 65535"},
		{"-resolver 192.0.2.53:domain", "from 1 to 65535"},
		{"-resolve Matrix.Example.org.=192.0.2.7", "[] map[matrix.example.org:[192.0.2.7]]"},
		{"-resolve bücher.example=[2001:db8::7]", "[] map[xn--bcher-kva.example:[2001:db8::7]]"},
		{"-resolve a_b.example=192.0.2.7", "[] map[a_b.example:[192.0.2.7]]"},
		{"-resolve m.example=192.0.2.7,2001:db8::7 -resolve m.example=192.0.2.7 -resolve m.example=192.0.2.8", "[] map[m.example:[192.0.2.7 2001:db8::7 192.0.2.8]]"},
		{"-resolve m.example", "write NAME=ADDRESS"},
		{"-resolve =192.0.2.7", "write NAME=ADDRESS"},
		{"-resolve m.example=other.example", `"other.example" is no IP address`},
		{"-resolve m..example=192.0.2.7", `"m..example" is no name`},
	} {
		f := flag.NewFlagSet("", flag.ContinueOnError)
		f.SetOutput(io.Discard)
		look := addLookFlags(f)
		got := ""
		if err := f.Parse(strings.Fields(tt.args)); err != nil {
			got = err.Error()
		} else {
			d, _ := look.discoverer(nil)
			got = fmt.Sprint(d.Resolvers, d.Resolve)
		}
		if got != tt.want && !strings.HasSuffix(got, tt.want) && !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestReadSince(t *testing.T) {
	zone := time.FixedZone("there", 3600)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, zone)
	for _, tt := range []struct{ text, want string }{
		{"49h", "2026-11-22T11:00:00+01:00"},
		{"0s", "2026-11-24T12:00:00+01:00"},
		{"2026-11-03", "2026-11-03T00:00:00+01:00"},
		{"2026-11-03T14:00", "2026-11-03T14:00:00+01:00"},
		{"2026-11-03 14:00", "2026-11-03T14:00:00+01:00"},
		{"2026-11-03T14:00:00Z", "2026-11-03T14:00:00Z"},
		{"2026-11-25", "2026-11-25 is still to come"},
		{"-1h", `"-1h" is no time`},
		{"yesterday", `"yesterday" is no time`},
	} {
		at, err := readSince(tt.text, now)
		got := at.Format(time.RFC3339)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
}

// found makes a row.
func found(service, role, place, accept string, addrs ...string) discover.Requirement {
	r := discover.Requirement{
		Service: service, Role: role, Identity: "example.org", State: discover.Found, Enforcement: discover.Must,
		SNI: accept, Accept: []string{accept}, CheckedBy: "peers",
	}
	var port uint16
	host := strings.Replace(place, ":", " ", 1)
	fmt.Sscan(host, &r.Endpoint.Host, &port)
	r.Endpoint.Proto, r.Endpoint.Port = "https", port
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
			found("matrix", "federation", "matrix.example.org:8448", "example.org", "192.0.2.7"),
			found("imap", "imap", "mail.example.org:993", "mail.example.org", "192.0.2.7"),
			found("web", "web", "example.org:443", "example.org", "192.0.2.1"),
			found("web", "web", "www.example.org:443", "www.example.org", "192.0.2.1"),
		}, []string{"conference.example.org"},
			"example.org: conference.example.org=dns-01 example.org=dns-01; mail.example.org: mail.example.org=http-01; matrix.example.org: matrix.example.org=http-01"},
		{"its own server", []discover.Requirement{
			found("web", "web", "example.org:443", "example.org", "192.0.2.1"),
			found("web", "web", "www.example.org:443", "www.example.org", "192.0.2.1"),
		}, nil, "example.org: example.org=http-01 www.example.org=http-01"},
		{"nothing", nil, nil, ""},
	} {
		a := discover.Answer{Domain: "example.org", Services: []string{"matrix", "imap", "web"}, Components: tt.components, Requirements: tt.rows}
		text := tablesFor(a, needsOf(a))
		if text == "" && tt.want == "" {
			continue
		}
		file := filepath.Join(t.TempDir(), "keypaird.toml")
		try(t, os.WriteFile(file, []byte(text+"\n[dns.ns]\nprovider = \"exec\"\n"), 0o600))
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

func TestProofs(t *testing.T) {
	rows := []discover.Requirement{
		found("matrix", "federation", "matrix.example.org:8448", "example.org", "192.0.2.7"),
		found("web", "web", "example.org:443", "example.org", "192.0.2.7"),
	}
	a := discover.Answer{Domain: "example.org", Services: []string{"matrix", "web"}, Requirements: rows}
	if challenge, why := challengeFor(a, "example.org", "matrix.example.org"); challenge != acme.DNS01 || !strings.HasPrefix(why, "or http-01") {
		t.Errorf("on one machine: %s, %s", challenge, why)
	}
	a.Requirements[1] = found("web", "web", "example.org:443", "example.org", "192.0.2.7", "2001:db8::1")
	if challenge, why := challengeFor(a, "example.org", "matrix.example.org"); challenge != acme.DNS01 || !strings.HasPrefix(why, "it points to") {
		t.Errorf("partly elsewhere: %s, %s", challenge, why)
	}
	// Where DNS says nothing of the plain domain, DNS can prove it all the same.
	a.Requirements = rows[:1]
	if challenge, _ := challengeFor(a, "example.org", "matrix.example.org"); challenge != acme.DNS01 {
		t.Errorf("address not known: %s", challenge)
	}
	if challenge, why := challengeFor(a, "matrix.example.org", "matrix.example.org"); challenge != acme.HTTP01 {
		t.Errorf("the host: %s, %s", challenge, why)
	}
}

// What strangers write into records does nothing to a terminal, and long lines
// are broken.
func TestPaper(t *testing.T) {
	row := found("xmpp", "s2s", "xmpp.example.org:5269", "example.org")
	row.Evidence = []discover.Evidence{{What: "TXT", Says: "red \x1b[31m " + strings.Repeat("long ", 100) + strings.Repeat("x", 5000)}}
	p := &paper{}
	p.answer(discover.Answer{Domain: "example.org", Services: []string{"xmpp"}, Requirements: []discover.Requirement{row}}, &lookFlags{})
	text := string(p.text())
	if strings.Contains(text, "\x1b") || len(text) > 4000 {
		t.Errorf("%d bytes:\n%q", len(text), text)
	}
	for line := range strings.Lines(text) {
		if len(line) > paperWidth+1 && !strings.Contains(line, "xxx") {
			t.Errorf("%d wide: %s", len(line), line)
		}
	}
}
