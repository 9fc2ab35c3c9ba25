package report

import (
	"net/netip"
	"strings"
	"testing"

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

// challengeFor returns the challenge for a name.
func challengeFor(a discover.Answer, name, host string) (challenge, why string) {
	n := Need{Name: name}
	n.validate(a, host)
	return n.Challenge, n.Why
}

func TestChallenge(t *testing.T) {
	rows := []discover.Requirement{
		row("matrix", "federation", "matrix.example.org", 8448, "example.org", "192.0.2.7"),
		row("web", "web", "example.org", 443, "example.org", "192.0.2.7"),
	}
	a := discover.Answer{Domain: "example.org", Services: []string{"matrix", "web"}, Requirements: rows}
	if challenge, why := challengeFor(a, "example.org", "matrix.example.org"); challenge != dns01 || !strings.HasPrefix(why, "or http-01") {
		t.Errorf("on one machine: %s, %s", challenge, why)
	}
	a.Requirements[1] = row("web", "web", "example.org", 443, "example.org", "192.0.2.7", "2001:db8::1")
	if challenge, why := challengeFor(a, "example.org", "matrix.example.org"); challenge != dns01 || !strings.HasPrefix(why, "it points to") {
		t.Errorf("partly on another machine: %s, %s", challenge, why)
	}
	// Where DNS says nothing of the plain domain, dns-01 works all the same.
	a.Requirements = rows[:1]
	if challenge, _ := challengeFor(a, "example.org", "matrix.example.org"); challenge != dns01 {
		t.Errorf("address not known: %s", challenge)
	}
	if challenge, why := challengeFor(a, "matrix.example.org", "matrix.example.org"); challenge != http01 {
		t.Errorf("the host: %s, %s", challenge, why)
	}
}

// What others write into records does nothing to a terminal, and long lines are
// broken.
func TestWriteText(t *testing.T) {
	r := row("xmpp", "s2s", "xmpp.example.org", 5269, "example.org")
	r.Evidence = []discover.Evidence{{What: "TXT", Says: "red \x1b[31m " + strings.Repeat("long ", 100) + strings.Repeat("x", 5000)}}
	var b strings.Builder
	d := New(discover.Answer{Domain: "example.org", Services: []string{"xmpp"}, Requirements: []discover.Requirement{r}})
	if err := d.WriteText(&b, 0); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Contains(text, "\x1b") || len(text) > 4000 {
		t.Errorf("%d bytes:\n%q", len(text), text)
	}
	for line := range strings.Lines(text) {
		if len(line) > TextWidth+1 && !strings.Contains(line, "xxx") {
			t.Errorf("%d wide: %s", len(line), line)
		}
	}
}

// Rows without an endpoint are grouped, and problems left out that a row has, by
// facts, whatever the words are.
func TestGroups(t *testing.T) {
	none := func(role string, state discover.State, why, reason string) discover.Requirement {
		return discover.Requirement{Service: "imap", Role: role, Identity: "example.org", State: state, Why: why, Reason: reason}
	}
	var b strings.Builder
	d := New(discover.Answer{
		Domain: "example.org", Services: []string{"imap"},
		Requirements: []discover.Requirement{
			none("imap", discover.Absent, "a record that is missing: this", "no record"),
			none("pop3", discover.Absent, "a record that is missing: that", "no record"),
			none("sieve", discover.Undetermined, "one question: silence", "silence"),
			none("autoconfig", discover.Absent, "alone", ""),
		},
		Problems: []discover.Problem{{Text: "the question for sieve", InRow: true}, {Service: "imap", Text: "alone", Remedy: "act"}},
	})
	if err := d.WriteText(&b, 0); err != nil {
		t.Fatal(err)
	}
	const want = `
imap
  none      imap, pop3: no record
  UNKNOWN   sieve: one question: silence
  none      autoconfig: alone

problems
  warning  imap: alone
           remedy: act
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("it writes\n%s\nwant in it\n%s", b.String(), want)
	}
}

func TestPrivate(t *testing.T) {
	a := discover.Answer{Domain: "example.org", Services: []string{"web"}, Requirements: []discover.Requirement{row("web", "web", "www.example.org", 443, "www.example.org", "10.0.0.1", "fd00::1")}}
	if challenge, why := challengeFor(a, "www.example.org", ""); challenge != dns01 || why != "CAs cannot connect to 10.0.0.1, fd00::1" {
		t.Errorf("%s, %s", challenge, why)
	}
	a.Requirements[0].Addrs = append(a.Requirements[0].Addrs, netip.MustParseAddr("192.0.2.1"))
	if challenge, _ := challengeFor(a, "www.example.org", ""); challenge != http01 {
		t.Error(challenge)
	}
}
