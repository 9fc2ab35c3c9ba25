package verify

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"keypaird/hooks/probe"
)

// someChecks have one of every kind, with what missingDomain may write.
func someChecks() []Check {
	fed := []Peer{{Service: "matrix", Role: "federation", Step: "5"}}
	shown := &Certificate{Fingerprint: strings.Repeat("ab", 32), NotAfter: time.Unix(0, 0)}
	return []Check{
		{Target: "example.org", Endpoint: "127.0.0.1:443", Name: "example.org", Result: OK, OK: true, Serves: "the live pair", Shown: shown},
		{Domain: "example.org", Peers: fed, Endpoint: "https:matrix.example.org:8448", Address: "192.0.2.10", Name: "example.org", Result: OK, OK: true, Serves: "the live pair, 61 days left", Shown: shown,
			Issues: []Issue{{probe.NotClient, "is not for clients: some servers refuse the connections that this one makes", OK}}},
		{Domain: "example.org", Peers: fed, Endpoint: "https:matrix.example.org:8448", Address: "2001:db8::10", Name: "example.org", Result: Failed, Serves: `a certificate by "evil # \ CA", 61 days left`, Shown: shown,
			Error: "the certificate is for #\n..., \\ not for example.org", Issues: []Issue{{probe.WrongName, "is for matrix.example.org, not for example.org", Failed}},
			Affects: []string{"Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse @ann:example.org"}, Remedy: "serve a certificate for example.org there"},
		{Domain: "example.org", Peers: []Peer{{Service: "smtp", Role: "mx"}, {Service: "web", Role: "web"}}, Endpoint: "smtp:mx.example.org:25", Address: "192.0.2.1", Name: "mx.example.org", Result: Unknown, OK: true, Error: "inconclusive: gave up # after 45s"},
		{Domain: "example.org", Peers: []Peer{{Service: "smtp", Role: "records"}}, Result: Warning, OK: true, Error: "no MTA-STS", Remedy: "publish one"},
		{Domain: "example.org", Peers: []Peer{{Service: "sip", Role: "sips"}}, Result: Absent, OK: true, Error: "NXDOMAIN"},
	}
}

func TestWriteText(t *testing.T) {
	const want = `TARGET       ENDPOINT       NAME         SERVES
example.org  127.0.0.1:443  example.org  the live pair

example.org, as its peers find it

FAIL  https:matrix.example.org:8448  example.org  matrix federation (step 5)
      ok    192.0.2.10: the live pair, 61 days left
      FAIL  2001:db8::10: a certificate by "evil # \ CA", 61 days left
          it is for matrix.example.org, not for example.org
          affects: Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse
                   @ann:example.org
          remedy: serve a certificate for example.org there
?     smtp:mx.example.org:25         mx.example.org  smtp mx, web
      192.0.2.1: inconclusive: gave up # after 45s
warn  smtp records: no MTA-STS
          remedy: publish one

not there: sips
      note: https:matrix.example.org:8448 as example.org: it is not for clients: some servers refuse
            the connections that this one makes

5 checks: 2 ok, 1 failed, 1 with a warning, 1 undetermined
`
	var b strings.Builder
	if err := WriteText(&b, someChecks(), 0); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("it writes\n%s\nwant\n%s", b.String(), want)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(line); n > 101 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

// TAP 13: a version, a plan, a point for each number, each perhaps with one
// block of YAML, and nothing else.
func TestWriteTAP(t *testing.T) {
	var b strings.Builder
	if err := WriteTAP(&b, someChecks()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if lines[0] != "TAP version 13" || lines[1] != "1..5" {
		t.Fatalf("it begins with %q, %q", lines[0], lines[1])
	}
	point := regexp.MustCompile(`^(ok|not ok) (\d+) - ((?:[^#\\]|\\#|\\\\)*?)( # SKIP .*)?$`)
	field := regexp.MustCompile(`^  ([a-z_]+): (.*)$`)
	var got []string
	yaml := false
	for _, line := range lines[2:] {
		m := point.FindStringSubmatch(line)
		f := field.FindStringSubmatch(line)
		switch {
		case line == "  ---" && !yaml, line == "  ..." && yaml:
			yaml = !yaml
		case yaml && f != nil:
			var v any
			if err := json.Unmarshal([]byte(f[2]), &v); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		case !yaml && m != nil:
			if m[2] != fmt.Sprint(len(got)+1) {
				t.Errorf("%s is point %d", line, len(got)+1)
			}
			got = append(got, m[1]+m[4])
		default:
			t.Errorf("not TAP: %q", line)
		}
	}
	want := []string{"ok", "ok", "not ok", `ok # SKIP inconclusive: gave up \# after 45s`, "ok"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("points %q, want %q", got, want)
	}
	if !strings.Contains(b.String(), "not ok 3 - example.org matrix federation (step 5) https:matrix.example.org:8448 at 2001:db8::10 as example.org\n  ---\n") {
		t.Errorf("it writes\n%s", b.String())
	}
}

// Whatever is in a row, a program can read it.
func TestCheckJSON(t *testing.T) {
	data, err := json.Marshal(someChecks())
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Result, Endpoint, Address string
		OK                        *bool
		Affects                   []string
		Certificate               *struct{ Fingerprint string }
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if r.OK == nil || *r.OK != (r.Result != "failed") {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if len(rows[2].Affects) != 1 || rows[2].Certificate == nil || rows[2].Address != "2001:db8::10" {
		t.Errorf("%+v", rows[2])
	}
}
