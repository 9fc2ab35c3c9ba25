package discover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

// failing answers from zone file lines, but for the questions it cannot answer,
// such as "MX example.org.".
func failing(lines string, questions ...string) dns.HandlerFunc {
	answer := fromZone(lines)
	return func(w dns.ResponseWriter, q *dns.Msg) {
		asked := dns.TypeToString[q.Question[0].Qtype] + " " + strings.ToLower(q.Question[0].Name)
		if !slices.Contains(questions, asked) {
			answer(w, q)
			return
		}
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeServerFailure)
		m.RecursionAvailable = true
		w.WriteMsg(m)
	}
}

// One look-up fails: what hangs on it is undetermined, and nothing is concluded
// that would follow from a "no". Were the answer "no", there would be a row to
// fall back to in every case.
func TestOneLookupFails(t *testing.T) {
	needNetwork(t)
	const zone = "d.test. 60 IN A 192.0.2.1\nwww.d.test. 60 IN A 192.0.2.1\n"
	for i, tt := range []struct{ service, question, spec, want string }{
		{"smtp", "MX d.test.", "RFC 5321, 5.1: not the domain itself", "mta-sts policy absent, mx undetermined"},
		{"smtp", "A d.test.", "RFC 5321, 5.1: without MX, the domain itself", "mta-sts policy absent, mx undetermined"},
		{"smtp", "TXT _mta-sts.d.test.", "RFC 8461, 3.1", "mta-sts policy undetermined, mx found"},
		{"sip", "NAPTR d.test.", "RFC 3263, 4.1: not SRV", "sips undetermined"},
		{"sip", "SRV _sips._tcp.d.test.", "RFC 3263, 4.2: not port 5061", "sips undetermined"},
		{"xmpp", "SRV _xmpp-server._tcp.d.test.", "RFC 6120, 3.2.2: not port 5269", "c2s found, s2s undetermined, host-meta undetermined, host-meta.json undetermined"},
		{"xmpp", "SRV _xmpps-client._tcp.d.test.", "XEP-0368: it might be a \".\"", "c2s direct TLS undetermined, c2s undetermined, s2s found, host-meta undetermined, host-meta.json undetermined"},
		{"caldav", "SRV _carddavs._tcp.d.test.", "RFC 6764, 6: not the well-known URL", "CalDAV undetermined, CardDAV undetermined"},
		{"matrix", "SRV _matrix-fed._tcp.d.test.", "step 4: neither 5 nor 6", "well-known undetermined, federation undetermined, client well-known undetermined"},
		{"web", "A www.d.test.", "not absent", "web found, web undetermined"},
		{"imap", "SRV _imaps._tcp.d.test.", "RFC 6186, 4", "submission absent, submission STARTTLS absent, imap undetermined, imap STARTTLS absent, pop3 absent, " +
			"pop3 STARTTLS absent, sieve absent, autoconfig absent, autodiscover absent, autodiscover by SRV absent"},
		{"imap", "SRV _autodiscover._tcp.d.test.", "MS-OXDISCO", "submission absent, submission STARTTLS absent, imap absent, imap STARTTLS absent, pop3 absent, " +
			"pop3 STARTTLS absent, sieve absent, autoconfig absent, autodiscover absent, autodiscover by SRV undetermined"},
	} {
		t.Run(tt.question, func(t *testing.T) {
			at := fmt.Sprintf("127.4.0.%d", i+1)
			serveDNS(t, at+":53", failing(zone, tt.question))
			a := ask(t, patiently(Discoverer{Resolvers: []string{at}}), "d.test", tt.service)
			var got []string
			for _, r := range a.Requirements {
				got = append(got, r.Role+" "+string(r.State))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s\ngot:  %s\nwant: %s", tt.spec, s, tt.want)
			}
			if !slices.ContainsFunc(a.Requirements, func(r Requirement) bool { return strings.Contains(r.Why, "SERVFAIL") }) {
				t.Error("no row tells of SERVFAIL")
			}
			explained(t, a)
		})
	}
}

// A host with more addresses, or a service with more records, than are looked
// at: the same ones are each time, and it is said.
func TestTooMany(t *testing.T) {
	needNetwork(t)
	var zone []string
	for i := range 40 {
		zone = append(zone, fmt.Sprintf("d.test. 60 IN A 192.0.2.%d\nd.test. 60 IN MX 10 mx%02d.d.test.\n", 100-i, i))
	}
	serveDNS(t, "127.4.1.1:53", fromZone(strings.Join(zone, "")))
	slices.Reverse(zone)
	serveDNS(t, "127.4.1.2:53", fromZone(strings.Join(zone, "")))
	d := patiently(Discoverer{Resolvers: []string{"127.4.1.1"}})
	one := query(t, *d, "d.test", dns.TypeMX).Evidence("").Says
	if other := query(t, Discoverer{Resolvers: []string{"127.4.1.2"}}, "d.test", dns.TypeMX).Evidence("").Says; one != other {
		t.Errorf("one and the other order:\n%s\n%s", one, other)
	}
	r, err := d.Begin("d.test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := r.Addresses(t.Context(), "d.test")
	if at.State != records.Found || len(at.Addrs) != records.MaxAddrs || at.Incomplete != "there are more than the 16 that are looked at" {
		t.Errorf("%+v", at)
	}
	if !slices.IsSortedFunc(at.Addrs, netip.Addr.Compare) {
		t.Errorf("addresses %v", at.Addrs)
	}
	a := ask(t, d, "d.test", "smtp")
	if !slices.ContainsFunc(a.Problems, func(p Problem) bool { return p.Text == "MX d.test has 40 records: only 32 are looked at" }) {
		t.Errorf("problems %+v", a.Problems)
	}
}

// Where a host is: given, found, not there, or unknown.
func TestAddresses(t *testing.T) {
	needNetwork(t)
	serveDNS(t, "127.4.2.1:53", failing("a.test. 60 IN A 192.0.2.1\n", "A x.test."))
	d := patiently(Discoverer{Resolvers: []string{"127.4.2.1"}, Resolve: map[string][]netip.Addr{"Given.test.": {addr("127.0.0.9")}, "none.test": {}}})
	r, err := d.Begin("none.test", []string{"matrix"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host  string
		state records.State
		addrs string
		why   string
	}{
		{"a.test", records.Found, "192.0.2.1", ""},
		{"192.0.2.9", records.Found, "192.0.2.9", ""},
		{"2001:db8::9", records.Found, "2001:db8::9", ""},
		{"given.test", records.Found, "127.0.0.9", ""},
		{"none.test", records.Absent, "", "none.test is supposed to have no address"},
		{"gone.test", records.Absent, "", "gone.test does not exist (NXDOMAIN)"},
		{"x.test", records.Undetermined, "", "A of x.test: resolver 127.4.2.1:53: answered SERVFAIL"},
	} {
		at := r.Addresses(t.Context(), tt.host)
		if at.State != tt.state || strings.Join(texts(at.Addrs), ",") != tt.addrs || at.Why != tt.why {
			t.Errorf("%s: %+v", tt.host, at)
		}
	}
	// A host that is supposed to have no address serves no documents.
	if a := answered(t, r); len(a.Documents) != 2 || a.Documents[0].State != records.Absent {
		t.Errorf("documents %+v", a.Documents)
	}
}
