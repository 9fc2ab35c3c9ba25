package dns01

import (
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestCAA(t *testing.T) {
	r := &nameServer{}
	r.set(t,
		"org. 300 IN SOA ns. h. 1 3600 600 86400 60",
		`example.org. 300 IN CAA 0 issue "letsencrypt.org; validationmethods=dns-01"`,
		`example.org. 300 IN CAA 128 IodEF "mailto:a@example.org"`,
		`sub.example.org. 300 IN CAA 0 issue ";"`,
		"www.example.org. 300 IN CNAME cdn.example.net.",
		`cdn.example.net. 300 IN CAA 0 issue "cdn.example"`,
	)
	c := Checker{Resolvers: []string{serve(t, r, "127.0.0.1", "")}}
	for _, tt := range []struct {
		name, ask, at, alias string
		want                 []CAA
	}{
		{"at the target of its CNAME", "www.example.org", "cdn.example.net.", "www.example.org.", []CAA{{false, "issue", "cdn.example"}}},
		{"at that of an ancestor", "a.www.example.org", "cdn.example.net.", "www.example.org.", []CAA{{false, "issue", "cdn.example"}}},
		{"its own", "example.org", "example.org.", "", []CAA{
			{false, "issue", "letsencrypt.org; validationmethods=dns-01"}, {true, "iodef", "mailto:a@example.org"}}},
		{"an ancestor's", "matrix.Example.org", "example.org.", "", []CAA{
			{false, "issue", "letsencrypt.org; validationmethods=dns-01"}, {true, "iodef", "mailto:a@example.org"}}},
		{"the nearest", "*.a.sub.example.org", "sub.example.org.", "", []CAA{{false, "issue", ";"}}},
		{"none", "example.com.", "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := c.CAA(t.Context(), tt.ask)
			got := set.Records
			if err != nil || set.Owner != tt.at || set.Alias != tt.alias || len(got) != len(tt.want) {
				t.Fatalf("CAA = %+v, %v, want %v at %q by %q", set, err, tt.want, tt.at, tt.alias)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("CAA = %v, want %v", got[i], tt.want[i])
				}
			}
		})
	}
	r.misbehave("refused")
	if _, err := c.CAA(t.Context(), "example.org"); err == nil {
		t.Error("a resolver that refuses is no error")
	}
}

func TestAddresses(t *testing.T) {
	r := &nameServer{}
	r.set(t, "example.org. 300 IN SOA ns. h. 1 3600 600 86400 60",
		"both.example.org. 60 IN A 192.0.2.1", "both.example.org. 60 IN AAAA 2001:db8::1",
		`text.example.org. 60 IN TXT "x"`)
	c := Checker{System: []string{serve(t, r, "127.0.0.1", "")}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	got, err := c.Addresses(t.Context(), "both.example.org")
	if err != nil || len(got) != 2 || got[0].String() != "192.0.2.1" || got[1].String() != "2001:db8::1" {
		t.Errorf("Addresses = %v, %v", got, err)
	}
	if got, err := c.Addresses(t.Context(), "text.example.org"); err == nil || !strings.Contains(err.Error(), "has no address") {
		t.Errorf("Addresses of a name without any = %v, %v", got, err)
	}
}
