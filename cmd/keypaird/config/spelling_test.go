package config

import (
	"slices"
	"strings"
	"testing"
)

// Names are the same in any spelling, and none gets lost.
func TestNamesAreNotLost(t *testing.T) {
	dir := t.TempDir()
	cfg, err := loadText(t, dir, `
sign_with = ["internal"]
[ca.internal]
directory = "https://ca.example.net/dir"
[identity."BÜCHER.example."]
host = "Matrix.Bücher.example"
components = ["Conference.bücher.example", "conference.xn--bcher-kva.example.", "*.example.net"]
dns = "persist"
[cert.mail]
http-01 = ["Mail.example.org", "mail.example.org.", "IMAP.example.org", "[2001:DB8::1]", "2001:db8:0::1"]
dns-persist-01 = ["*.example.org", "*.EXAMPLE.org"]
`)
	if err != nil {
		t.Fatalf("%v\n%s", err, tell(t, dir, err))
	}
	var got []string
	for _, target := range cfg.Targets() {
		for _, p := range target.Challenges {
			got = append(got, target.Name+" "+p.Name)
		}
	}
	want := []string{
		"mail *.example.org", "mail 2001:db8::1", "mail imap.example.org", "mail mail.example.org",
		"matrix.xn--bcher-kva.example matrix.xn--bcher-kva.example",
		"xn--bcher-kva.example *.example.net", "xn--bcher-kva.example conference.xn--bcher-kva.example", "xn--bcher-kva.example xn--bcher-kva.example",
	}
	if !slices.Equal(got, want) {
		t.Errorf("names:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
