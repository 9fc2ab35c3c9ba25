package discover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/hooks/probe"
)

// line writes a row as the tables have it:
//
//	identity role[/step] endpoint sni=… accept=… [host=…] [alpn=…] [also=…] [tlsa=…] strictness state [default] [when] [no-wildcard]
//
// The identity is left out if it is the domain's.
func line(domain string, r Requirement) string {
	var f []string
	if r.Identity != domain {
		f = append(f, r.Identity)
	}
	role := strings.ReplaceAll(r.Role, " ", "-")
	if r.Step != "" {
		role += "/" + r.Step
	}
	f = append(f, role)
	if r.Endpoint.Host == "" {
		return strings.Join(append(f, string(r.State)), " ")
	}
	f = append(f, r.Endpoint.Proto+":"+strings.TrimPrefix(r.Endpoint.String(), r.Endpoint.Proto+":"))
	add := func(key string, values ...string) {
		if v := strings.Join(values, ","); v != "" {
			f = append(f, key+"="+v)
		}
	}
	add("sni", r.SNI)
	add("accept", r.Accept...)
	add("host", r.HostHeader)
	add("alpn", r.ALPN...)
	add("also", r.AlsoSome...)
	var tlsa []string
	for _, t := range r.TLSA {
		text := fmt.Sprintf("%d/%d/%d", t.Usage, t.Selector, t.Matching)
		if t.Why != "" {
			text += "/unusable"
		}
		tlsa = append(tlsa, text)
	}
	add("tlsa", tlsa...)
	f = append(f, string(r.Enforcement), string(r.State))
	for _, flag := range []struct {
		on   bool
		text string
	}{{r.Default, "default"}, {r.When != "", "when"}, {r.NoWildcard, "no-wildcard"}} {
		if flag.on {
			f = append(f, flag.text)
		}
	}
	return strings.Join(f, " ")
}

// tell looks for the services of every story and compares the rows with what
// the story wants, all of them and in order.
func tell(t *testing.T, w *world, stories []story, service string, find finder) {
	t.Helper()
	for _, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			r, err := w.discoverer().Begin(st.domain, nil, st.components)
			if err != nil {
				t.Fatal(err)
			}
			r.only(service, find)
			a := answered(t, r)
			var got []string
			for _, row := range a.Requirements {
				got = append(got, line(st.domain, row))
			}
			compare(t, st, got, lines(st.want))
			problems(t, a.Problems, lines(st.says))
			evidence(t, a, lines(st.led))
			explained(t, a)
		})
	}
}

func lines(s string) []string {
	var list []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			list = append(list, l)
		}
	}
	return list
}

func compare(t *testing.T, st story, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s (%s)\ngot:\n  %s\nwant:\n  %s", st.domain, st.spec, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// problems: each wanted one is there, and no others.
func problems(t *testing.T, got []Problem, want []string) {
	t.Helper()
	texts := make([]string, 0, len(got))
	for _, p := range got {
		text := p.Text
		if p.Error {
			text = "!" + text
		}
		texts = append(texts, text)
	}
	for _, wanted := range want {
		error, part := strings.HasPrefix(wanted, "!"), strings.TrimPrefix(wanted, "!")
		i := slices.IndexFunc(texts, func(s string) bool { return strings.Contains(s, part) && strings.HasPrefix(s, "!") == error })
		if i < 0 {
			t.Errorf("no problem %q in:\n  %s", wanted, strings.Join(texts, "\n  "))
			continue
		}
		texts = slices.Delete(texts, i, i+1)
	}
	if len(texts) > 0 {
		t.Errorf("unexpected problems:\n  %s", strings.Join(texts, "\n  "))
	}
}

// evidence compares what led to some rows, and that it says where it is
// written that peers look there.
func evidence(t *testing.T, a Answer, want []string) {
	t.Helper()
	for _, w := range want {
		row, _, _ := strings.Cut(w, ": ")
		i := slices.IndexFunc(a.Requirements, func(r Requirement) bool { return r.Role+"/"+r.Step == row })
		if i < 0 {
			t.Errorf("no row %s", row)
			continue
		}
		var got []string
		for _, e := range a.Requirements[i].Evidence {
			got = append(got, strings.TrimSpace(e.What+" "+string(e.State)))
			if e.Says == "" || e.Spec == "" && !strings.HasPrefix(e.What, "A") { // addresses are DNS's business
				t.Errorf("%s: incomplete evidence %+v", row, e)
			}
		}
		if s := row + ": " + strings.Join(got, ", "); s != w {
			t.Errorf("evidence\ngot:  %s\nwant: %s", s, w)
		}
	}
}

// checks are the roles at which each kind of peer looks.
var checks = map[string][]string{
	"sending mail servers":   {"mx", "mx DANE", "mta-sts policy"},
	"mail programs":          {"submission", "submission STARTTLS", "imap", "imap STARTTLS", "pop3", "pop3 STARTTLS", "sieve", "autoconfig", "autodiscover", "autodiscover by SRV"},
	"calendar programs":      {"CalDAV", "CardDAV"},
	"Matrix servers":         {"federation", "well-known"},
	"Matrix clients":         {"client well-known", "client", "identity server", "rtc focus"},
	"XMPP clients":           {"c2s", "c2s direct TLS", "host-meta", "host-meta.json", "websocket", "xbosh"},
	"XMPP servers":           {"s2s", "s2s direct TLS", "s2s-tls by host-meta"},
	"SIP servers and phones": {"sips"},
	"browsers":               {"web"},
}

// checker is who looks at the certificate of a role, and where that redirects;
// "" for an unknown one.
func checker(role string) string {
	role = strings.TrimSuffix(role, " redirect")
	for who, roles := range checks {
		if slices.Contains(roles, role) {
			return who
		}
	}
	return ""
}

// explained: every row has evidence, every row that is not found says why, and
// every row with an endpoint says who checks it and has an address.
func explained(t *testing.T, a Answer) {
	t.Helper()
	for _, r := range a.Requirements {
		if len(r.Evidence) == 0 {
			t.Errorf("no evidence for %s", line(a.Domain, r))
		}
		if r.State != records.Found && r.Why == "" {
			t.Errorf("not said why %s", line(a.Domain, r))
		}
		if r.Endpoint.Host != "" && (r.CheckedBy == "" || r.Enforcement == "" || r.State == records.Found && len(r.Addrs) == 0) {
			t.Errorf("incomplete: %+v", r)
		}
		if who := checker(r.Role); r.Endpoint.Host != "" && r.CheckedBy != who {
			t.Errorf("%s is checked by %q, want %q", line(a.Domain, r), r.CheckedBy, who)
		}
		if r.Endpoint.Host != "" && !slices.Contains(probe.Protos(), r.Endpoint.Proto) {
			t.Errorf("probe cannot dial %s", r.Endpoint)
		}
	}
}

// ask is one Discover.
func ask(t *testing.T, d *Discoverer, domain string, services ...string) Answer {
	t.Helper()
	a, err := d.Discover(context.WithoutCancel(t.Context()), domain, services, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What strangers wrote is one line that cannot write to a terminal.
func TestProblemsArePrintable(t *testing.T) {
	s := &section{}
	s.fail("", "a %s b\xff", "\x1b[2J\u009b31m\n\u202e")
	if got, want := s.problems[0].Text, "a \uFFFD31m \uFFFD b\uFFFD"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := web.Clean(strings.Repeat("ü", 1000)); len(got) > 500 {
		t.Errorf("%d bytes", len(got))
	}
}

// only has s run one finder.
func (s *Session) only(name string, find finder) { s.services = []service{{name, []finder{find}}} }

// answered is the answer of a session.
func answered(t *testing.T, s *Session) Answer {
	t.Helper()
	a, err := s.Answer(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
