package discover

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/problem"
)

// The examples and the rules of the Matrix specification, appendix "Server
// Name".
func TestParseServerName(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want records.ServerName
	}{
		{"matrix.org", records.ServerName{Host: "matrix.org"}},
		{"matrix.org:8888", records.ServerName{Host: "matrix.org", Port: 8888}},
		{"1.2.3.4", records.ServerName{Host: "1.2.3.4", IP: addr("1.2.3.4")}},
		{"1.2.3.4:1234", records.ServerName{Host: "1.2.3.4", IP: addr("1.2.3.4"), Port: 1234}},
		{"[1234:5678::abcd]", records.ServerName{Host: "1234:5678::abcd", IP: addr("1234:5678::abcd")}},
		{"[1234:5678::ABCD]:5678", records.ServerName{Host: "1234:5678::abcd", IP: addr("1234:5678::abcd"), Port: 5678}},
		{"[::ffff:1.2.3.4]", records.ServerName{Host: "::ffff:1.2.3.4", IP: addr("::ffff:1.2.3.4")}},
		{"Example.ORG", records.ServerName{Host: "example.org"}},
		{"localhost:00443", records.ServerName{Host: "localhost", Port: 443}},
		{"1.2.3.4.5", records.ServerName{Host: "1.2.3.4.5"}},
		{"xn--bcher-kva.example", records.ServerName{Host: "xn--bcher-kva.example"}},
	} {
		if got, err := records.ParseServerName(tt.in); err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{
		"", ":8448", "example.org:", "example.org:0", "example.org:65536", "example.org:123456", "example.org:+1", "example.org: 1", "example.org:٣",
		"256.1.1.1", "01.2.3.4", "1.2.3.4.", "exa_mple.org", "exa mple.org", "example.org/", "user@example.org", "https://example.org",
		"::1", "[::1", "[1.2.3.4]", "[fe80::1%eth0]", "[::1]8448", "[::1]:", "[]", "-a.org", "a-.org", "a..org", ".org", "example.org.",
		"bücher.example", strings.Repeat("a", 64) + ".org", strings.Repeat("a.", 127) + "org", "a\x00b", "example.org\n",
	} {
		got, err := records.ParseServerName(in)
		if problem.Remedy(err) == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is taken for %+v, %v", in, got, err)
		}
	}
}

// grammar is written from the specification's ABNF.
var grammar = regexp.MustCompile(`^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(:[0-9]{1,5})?$`)

func FuzzServerName(f *testing.F) {
	for _, s := range []string{"matrix.org:8888", "1.2.3.4", "[1234:5678::abcd]:5678", "example.org:65535", "[::ffff:1.2.3.4]", "a.b:1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := records.ParseServerName(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("error %q", err)
			}
			return
		}
		if !grammar.MatchString(s) {
			t.Errorf("%q is not in the grammar", s)
		}
		if again, err := records.ParseServerName(n.String()); err != nil || again != n {
			t.Errorf("%q: %+v is written %q, which is %+v, %v", s, n, n, again, err)
		}
		if ip, err := netip.ParseAddr(n.Host); (err == nil) != n.IP.IsValid() || err == nil && ip != n.IP {
			t.Errorf("%q: host %q, IP %v", s, n.Host, n.IP)
		}
	})
}

func FuzzDelegation(f *testing.F) {
	for _, s := range []string{`{"m.server": "matrix.example.org:443"}`, `{"m.server": null}`, `[]`, `{"M.Server":"x"}`, `{"m.server":"a","m.server":"b"}`, "{\"m.server\": \"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		name, err := parseDelegation(body)
		if err != nil {
			return
		}
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatalf("%q is no JSON object: %v", body, err)
		}
		if s, ok := v["m.server"].(string); !ok || !grammar.MatchString(s) {
			t.Errorf("%q delegates to %s", body, name)
		}
	})
}

func FuzzClientDocument(f *testing.F) {
	f.Add([]byte(`{"m.homeserver": {"base_url": "https://matrix.example.org/"}, "m.identity_server": {"base_url": "https://id"}}`))
	f.Add([]byte(`{"m.homeserver": {"base_url": "https://u:p@[::1]:1"}, "org.matrix.msc4143.rtc_foci": [{"livekit_service_url": "https://x"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseClient(body)
		if err != nil {
			return
		}
		for _, u := range append(c.foci, c.base, c.identity) {
			if u == nil && c.base != nil {
				continue
			}
			if _, err := web.PortOf(u); err != nil || u.Scheme != "https" || u.User != nil || web.NotURLHost(u) {
				t.Errorf("%q gives %v", body, u)
			}
		}
	})
}

func FuzzHostMeta(f *testing.F) {
	f.Add([]byte(xrd), []byte(jrd))
	f.Fuzz(func(t *testing.T, x, j []byte) {
		one, _ := parseXRD(x)
		two, _ := parseJRD(j)
		for _, l := range slices.Concat(one, two) {
			if l.url == nil && (l.port == 0 || l.sni == "" || len(l.addrs) == 0) || l.url != nil && l.url.Hostname() == "" {
				t.Errorf("%+v", l)
			}
		}
		linksSay(one, nil)
	})
}
