package names

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
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
		d := Flags(f)
		got := ""
		if err := f.Parse(strings.Fields(tt.args)); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(d.Resolvers, d.Resolve)
		}
		if got != tt.want && !strings.HasSuffix(got, tt.want) && !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("there", 3600)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, zone)
	for _, tt := range []struct{ text, want string }{
		{"49h", "2026-11-22T11:00:00+01:00"},
		{"0s", "2026-11-24T12:00:00+01:00"},
		{"2026-11-03", "2026-11-03T00:00:00+01:00"},
		{"2026-11-03T14:00", "2026-11-03T14:00:00+01:00"},
		{"2026-11-03 14:00", "2026-11-03T14:00:00+01:00"},
		{"2026-11-03T14:00:00Z", "2026-11-03T14:00:00Z"},
		{"2026-11-25", "it is still to come"},
		{"-1h", "write 2026-11-03T14:00"},
		{"yesterday", "write 2026-11-03T14:00"},
	} {
		at, err := parseTime(tt.text, now)
		got := at.Format(time.RFC3339)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestParseDomain(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		services   []string
	}{
		{"example.org", "example.org []", nil},
		{"Bücher.example.", "xn--bcher-kva.example []", nil},
		{"@ann:example.org", "example.org [matrix]", nil},
		{"@ann:example.org:8448", "example.org:8448 [matrix]", nil},
		{"@ann:example.org", "example.org [xmpp]", []string{"xmpp"}},
		{"ann@example.org", "ann@example.org []", nil}, // discover complains of it
	} {
		domain, services := (&Lookup{Services: tt.services}).ParseDomain(tt.text)
		if got := fmt.Sprint(domain, " ", services); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
}
