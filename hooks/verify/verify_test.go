package verify

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
	"keypaird/hooks/verify/testca"
	"keypaird/renew/netaddr"
)

// The sentences about peers that refuse a certificate.
func TestEffects(t *testing.T) {
	at := discover.Place{Proto: "tls", Host: "host.test", Port: 1}
	for _, tt := range []struct {
		r    discover.Requirement
		want string
	}{
		{discover.Requirement{Service: "matrix", Role: "federation", Step: "5"}, "Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse @ann:example.org"},
		{discover.Requirement{Service: "matrix", Role: "federation", Step: "3.2"}, "Matrix servers that follow .well-known (Synapse, Dendrite, tuwunel) refuse @ann:example.org"},
		{discover.Requirement{Service: "matrix", Role: "federation", Step: "4", When: "the well-known document cannot be fetched"},
			"when the well-known document cannot be fetched, Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse @ann:example.org"},
		{discover.Requirement{Service: "matrix", Role: "federation", Step: "2", Identity: "example.org:8448"}, "Matrix servers (Synapse, Dendrite, tuwunel) refuse @ann:example.org:8448"},
		{discover.Requirement{Service: "matrix", Role: "well-known redirect", From: "well-known"}, "Matrix servers (Synapse, Dendrite, tuwunel) do not believe what .well-known says of example.org"},
		{discover.Requirement{Service: "matrix", Role: "client well-known"}, "Matrix clients (Element, FluffyChat, Nheko) do not find the homeserver of @ann:example.org"},
		{discover.Requirement{Service: "matrix", Role: "client"}, "Matrix clients (Element, FluffyChat, Nheko) do not log @ann:example.org in"},
		{discover.Requirement{Service: "matrix", Role: "identity server"}, "Matrix clients (Element, FluffyChat, Nheko) do without the identity server of @ann:example.org"},
		{discover.Requirement{Service: "xmpp", Role: "s2s"}, "XMPP servers that follow SRV (ejabberd, Prosody) refuse ann@example.org"},
		{discover.Requirement{Service: "xmpp", Role: "s2s", Default: true}, "XMPP servers (ejabberd, Prosody) refuse ann@example.org"},
		{discover.Requirement{Service: "xmpp", Role: "s2s direct TLS", Identity: "rooms.example.org"}, "XMPP servers that follow SRV (ejabberd, Prosody) refuse rooms.example.org"},
		{discover.Requirement{Service: "xmpp", Role: "s2s-tls by host-meta"}, "XMPP servers that follow host-meta (ejabberd, Prosody) refuse ann@example.org"},
		{discover.Requirement{Service: "xmpp", Role: "c2s"}, "XMPP clients that follow SRV (Conversations, Dino, Gajim) do not log ann@example.org in"},
		{discover.Requirement{Service: "xmpp", Role: "websocket"}, "XMPP clients in browsers (Converse.js, Movim) do not log ann@example.org in"},
		{discover.Requirement{Service: "smtp", Role: "mx", Enforcement: discover.Must}, "mail servers that check MTA-STS (Gmail, Exchange Online) do not deliver to ann@example.org"},
		{discover.Requirement{Service: "smtp", Role: "mx", Enforcement: discover.Should}, "mail servers that check MTA-STS (Gmail, Exchange Online) report that they could not deliver to ann@example.org safely"},
		{discover.Requirement{Service: "smtp", Role: "mx DANE"}, "mail servers that check DANE (Postfix, Exim, Exchange Online) hold back mail for ann@example.org"},
		{discover.Requirement{Service: "smtp", Role: "mta-sts policy"}, "mail servers that check MTA-STS (Gmail, Exchange Online) do not take the policy of example.org"},
		{discover.Requirement{Service: "imap", Role: "submission"}, "mail programs (Thunderbird, K-9 Mail, Apple Mail) warn ann@example.org or do not connect"},
		{discover.Requirement{Service: "imap", Role: "autoconfig"}, "mail programs (Thunderbird, K-9 Mail, Apple Mail) do not find the settings of ann@example.org"},
		{discover.Requirement{Service: "caldav", Role: "CardDAV"}, "calendar programs (DAVx5, Thunderbird, Evolution) warn ann@example.org or do not connect"},
		{discover.Requirement{Service: "sip", Role: "sips", CheckedBy: "SIP servers and phones"}, "SIP servers and phones refuse sip:ann@example.org"},
		{discover.Requirement{Service: "web", Role: "web"}, "browsers warn of https://host.test/"},
		{discover.Requirement{Service: "new", Role: "new", CheckedBy: "somebody"}, "somebody refuse host.test:1"},
	} {
		tt.r.Endpoint = at
		if tt.r.Identity == "" {
			tt.r.Identity = "example.org"
		}
		if got := effectOf(tt.r, "example.org"); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.r.Service, tt.r.Role, got, tt.want)
		}
	}
}

// shownBy serves, at an address of ours, what choose gives for the SNI.
func shownBy(t *testing.T, before func(net.Conn), choose func(sni string) *tls.Certificate) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			if before != nil {
				before(conn)
			}
			tls.Server(conn, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return choose(h.ServerName), nil
			}}).Handshake()
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return netip.MustParseAddrPort(ln.Addr().String())
}

// xmppTalk is what an XMPP server says before TLS.
func xmppTalk(conn net.Conn) {
	for _, turn := range [][2]string{
		{"version='1.0'>", "<stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"},
		{"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
	} {
		heard := make([]byte, 0, 512)
		for b := make([]byte, 1); !strings.HasSuffix(string(heard), turn[0]); heard = append(heard, b...) {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
		io.WriteString(conn, turn[1])
	}
}

// mute hangs up.
func mute(conn net.Conn) { conn.Close() }

// A checkCase is one probe of one address and its result.
type checkCase struct {
	name    string
	row     discover.Requirement
	guessed bool
	proto   string
	before  func(net.Conn)
	shown   func(sni string) *tls.Certificate
	result  Result
	says    string // in the row's error
	affects string
	remedy  string
}

// pairs are what the servers of these tests have.
type pairs struct {
	ca                       *testca.CA
	plain, host, ended, wild *tls.Certificate
}

func newPairs(t *testing.T) (p pairs) {
	t.Helper()
	ca, err := testca.New("Paper")
	if err != nil {
		t.Fatal(err)
	}
	pair := func(ended bool, names ...string) *tls.Certificate {
		leaf, key, err := ca.Issue(ended, names...)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Intermediate.Raw}, PrivateKey: key, Leaf: leaf}
	}
	return pairs{ca, pair(false, "example.org"), pair(false, "matrix.example.org"), pair(true, "example.org"), pair(false, "*.example.org")}
}

// bySNI is how a server with two names should choose.
func (p pairs) bySNI(sni string) *tls.Certificate {
	if sni == "example.org" {
		return p.plain
	}
	return p.host
}

func always(c *tls.Certificate) func(string) *tls.Certificate {
	return func(string) *tls.Certificate { return c }
}

// run probes and compares.
func (tt checkCase) run(t *testing.T, p pairs) {
	at := shownBy(t, tt.before, tt.shown)
	tt.row.Identity, tt.row.SNI = "example.org", "example.org"
	if tt.row.Accept == nil {
		tt.row.Accept = []string{"example.org"}
	}
	v := &Verifier{Roots: x509.NewCertPool(), prober: newProber(), now: time.Now()}
	v.Roots.AddCert(p.ca.Root)
	c := &endpoint{
		limit:  netaddr.Loopback,
		domain: "example.org", endpoint: probe.Endpoint{Proto: tt.proto, Host: "host.test", Port: at.Port()}, addrs: []netip.Addr{at.Addr()},
		sni: "example.org", to: "example.org", uses: []discover.Requirement{tt.row}, guessed: tt.guessed,
	}
	row := v.check(t.Context(), c)[0]
	if row.Result != tt.result || row.OK != (tt.result != Failed) {
		t.Fatalf("%s, %v: %s %v; want %s", row.Result, row.OK, row.Error, row.Issues, tt.result)
	}
	if tt.result != Absent && !strings.Contains(row.Error, tt.says) || tt.result == OK && row.Error != "" {
		t.Errorf("error %q, want %q", row.Error, tt.says)
	}
	if got := strings.Join(row.Affects, "; "); !strings.Contains(got, tt.affects) || tt.affects == "" && got != "" {
		t.Errorf("affects %q, want %q", got, tt.affects)
	}
	if !strings.Contains(row.Remedy, tt.remedy) {
		t.Errorf("remedy %q, want %q", row.Remedy, tt.remedy)
	}
}

// The result of a probe, for peers of every strictness.
func TestCheck(t *testing.T) {
	p := newPairs(t)
	federation := discover.Requirement{Service: "matrix", Role: "federation", Step: "4", Enforcement: discover.Must}
	as := func(r discover.Requirement, how discover.Strictness) discover.Requirement {
		r.Enforcement = how
		return r
	}
	s2s := discover.Requirement{Service: "xmpp", Role: "s2s", Enforcement: discover.Must}
	mx := discover.Requirement{Service: "smtp", Role: "mx", Enforcement: discover.Must}
	for _, tt := range []checkCase{
		{"well", federation, false, "https", nil, p.bySNI, OK, "", "", ""},
		{"the host's for the plain domain", federation, false, "https", nil, always(p.host), Failed, "the certificate is for matrix.example.org, not for example.org",
			"Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse @ann:example.org", "serve a certificate for example.org there"},
		{"that only some mind", as(federation, discover.Should), false, "https", nil, always(p.host), Warning, "is for matrix.example.org", "Matrix servers", "serve"},
		{"that nobody minds", as(federation, discover.Info), false, "https", nil, always(p.host), OK, "", "", ""},
		{"at an endpoint that nothing names", federation, true, "https", nil, always(p.host), Warning, "is for matrix.example.org", "Matrix servers", "serve"},
		{"ended", federation, false, "https", nil, always(p.ended), Failed, "the certificate ended on ", "Matrix servers", "renew it"},
		{"hangs up", federation, false, "tls", mute, p.bySNI, Failed, "TLS handshake for \"example.org\": ", "Matrix servers", "log"},
		{"has no pair for the name", federation, false, "tls", nil, always(nil), Failed, "unrecognized name", "Matrix servers", "see that the server has a pair for example.org"},
		{"hangs up, and nothing names it", federation, true, "tls", mute, p.bySNI, Warning, "TLS handshake", "Matrix servers", ""},
		{"hangs up before TLS", s2s, false, "xmpp-server", mute, p.bySNI, Failed, "before TLS: stream: ", "XMPP servers", ""},
		{"hangs up before TLS, and nothing names it", s2s, true, "xmpp-server", mute, p.bySNI, Absent, "", "", ""},
		{"mail server that does not want us", mx, false, "smtp", mute, p.bySNI, Unknown, "inconclusive: before TLS: greeting: ", "", "another network"},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, p) })
	}
}

// Rules that hold for some services only.
func TestCheckByService(t *testing.T) {
	p := newPairs(t)
	s2s := discover.Requirement{Service: "xmpp", Role: "s2s", Enforcement: discover.Must}
	sum := func(c *tls.Certificate) string {
		s := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
		return hex.EncodeToString(s[:])
	}
	dane := func(c *tls.Certificate) discover.Requirement {
		return discover.Requirement{Service: "smtp", Role: "mx DANE", Enforcement: discover.Must,
			TLSA: []discover.TLSA{{Name: "_25._tcp.example.org", Usage: 3, Selector: 1, Matching: 1, Data: sum(c)}}}
	}
	for _, tt := range []checkCase{
		{"XMPP", s2s, false, "xmpp-server", xmppTalk, always(p.plain), OK, "", "", ""},
		{"XMPP without SNI", s2s, false, "xmpp-server", xmppTalk, p.bySNI, Failed, "the certificate is not served without SNI; the one served then is for matrix.example.org, not for example.org",
			"peers that send no SNI: XMPP servers that follow SRV (ejabberd, Prosody) refuse ann@example.org", "make the certificate for example.org the server's default"},

		{"DANE", dane(p.plain), false, "tls", nil, always(p.plain), OK, "", "", ""},
		{"DANE: neither names nor dates", dane(p.ended), false, "tls", nil, always(p.ended), OK, "", "", ""},
		{"DANE, another key", dane(p.host), false, "tls", nil, always(p.plain), Failed, "the certificate matches none of the 1 TLSA records",
			"mail servers that check DANE", "publish the key that is served, at _25._tcp.example.org: 3 1 1 " + sum(p.plain)},

		{"wildcard where none does", discover.Requirement{Service: "sip", Role: "sips", Enforcement: discover.Must, NoWildcard: true, Accept: []string{"sip.example.org"}},
			false, "tls", nil, always(p.wild), Failed, "these peers take no wildcard", "refuse sip:ann@example.org", ""},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, p) })
	}
}

// Each endpoint is probed once, and one that cannot be reached is not tried again.
func TestProber(t *testing.T) {
	probes := make(chan string, 10)
	at := shownBy(t, nil, func(sni string) *tls.Certificate { probes <- sni; return nil })
	l := newProber()
	one := probe.Probe{Endpoint: probe.Endpoint{Proto: "tls", Host: "host.test", Port: at.Port()}, Addr: at.Addr(), SNI: "example.org"}
	for range 3 {
		if _, err := l.probe(t.Context(), one); err == nil {
			t.Error("probe = nil")
		}
	}
	if len(probes) != 1 {
		t.Errorf("%d probes", len(probes))
	}
	for i := range maxEndpoints {
		one.To = string(rune('a'+i%26)) + string(rune('a'+i/26))
		l.seen[one.To] = &cachedResult{}
	}
	one.To = "one more"
	if _, err := l.probe(t.Context(), one); !errors.Is(err, errTooMany) {
		t.Errorf("probe = %v, want errTooMany", err)
	}
}

func TestErr(t *testing.T) {
	seen := &Certificate{}
	for _, tt := range []struct {
		name string
		rows []Check
		want string
	}{
		{"all is well", []Check{{Result: OK, Shown: seen}}, ""},
		{"a warning", []Check{{Result: OK, Shown: seen}, {Result: Warning}, {Result: Absent}, {Result: Unknown}}, ""},
		{"one is wrong", []Check{{Result: OK, Shown: seen}, {Result: Failed}, {Result: Absent}, {Result: Unknown}}, "1 of 3 checks failed"},
		{"wrong, and nothing seen", []Check{{Result: Unknown}, {Result: Failed}}, "1 of 2 checks failed"},
		{"nothing seen", []Check{{Result: Absent}, {Result: Unknown, Error: "SERVFAIL"}}, "nothing could be verified: SERVFAIL"},
		{"nothing reached", []Check{{Result: Warning, Error: "refused"}}, "nothing could be verified: refused"},
		{"nothing there", []Check{{Result: Absent, Domain: "example.org"}}, "no service of example.org can be found"},
	} {
		got := ""
		if err := Err(tt.rows); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A live pair that has ended is a failure, though it is served everywhere.
func TestDeployedAndEnded(t *testing.T) {
	p := newPairs(t)
	for _, tt := range []struct {
		name, serves, says string
		shown              *tls.Certificate
		result             Result
	}{
		{"in time", "the live pair", "", p.plain, OK},
		{"ended", ", ended ", "ended on ", p.ended, Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := shownBy(t, nil, always(tt.shown))
			v := &Verifier{Roots: x509.NewCertPool(), prober: newProber(), now: time.Now()}
			row := Check{Target: "example.org", Endpoint: at.String(), Name: "example.org"}
			endpoint := probe.Endpoint{Proto: "tls", Host: at.Addr().String(), Port: at.Port()}
			v.deployedRow(t.Context(), &row, probe.Probe{Endpoint: endpoint, SNI: "example.org"}, tt.shown.Leaf)
			if row.Result != tt.result || !strings.Contains(row.Serves, tt.serves) || !strings.Contains(row.Error, tt.says) {
				t.Errorf("%s: serves %q, error %q; want %s, %q, %q", row.Result, row.Serves, row.Error, tt.result, tt.serves, tt.says)
			}
		})
	}
}

// How crypto/tls reports the alerts of a server.
func TestIsAlert(t *testing.T) {
	p := newPairs(t)
	for alert, server := range map[tls.AlertError]*tls.Config{
		noApplicationProtocol: {Certificates: []tls.Certificate{*p.plain}, NextProtos: []string{"other"}},
		unrecognizedName:      {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }},
		internalError:         {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }},
	} {
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			tls.Server(there, server).Handshake()
		}()
		err := tls.Client(here, &tls.Config{ServerName: "example.org", NextProtos: []string{"xmpp-client"}, InsecureSkipVerify: true}).Handshake()
		<-done
		here.Close()
		for _, other := range []tls.AlertError{noApplicationProtocol, unrecognizedName, internalError} {
			if isAlert(err, other) != (other == alert) {
				t.Errorf("isAlert(%v, %v) = %v", err, other, other != alert)
			}
		}
	}
}

// A warning that another row has is not repeated, whatever its words are.
func TestProblemRows(t *testing.T) {
	rows := problemRows([]discover.Problem{
		{Service: "imap", Text: "in a row", InRow: true},
		{Service: "imap", Text: "a warning"},
		{Service: "imap", Text: "an error", InRow: true, Error: true},
	}, "example.org")
	if len(rows) != 2 || rows[0].Error != "a warning" || rows[0].Result != Warning || rows[1].Error != "an error" || rows[1].Result != Failed {
		t.Errorf("%+v", rows)
	}
}

// What is not there is left out where another row is for the same peers.
func TestHasPeers(t *testing.T) {
	row := Check{Peers: []Peer{{Service: "matrix", Role: "federation", Step: "4"}, {Service: "web", Role: "web"}}}
	for _, tt := range []struct {
		peers []Peer
		want  bool
	}{
		{[]Peer{{Service: "web", Role: "web", CheckedBy: "browsers"}}, true},
		{[]Peer{{Service: "web", Role: "web", Identity: "rooms.example.org"}}, false},
		{[]Peer{{Service: "web", Role: "we"}}, false}, // a part of the text is not enough
		{[]Peer{{Service: "matrix", Role: "federation", Step: "5"}}, false},
		{[]Peer{{Service: "web", Role: "web"}, {Service: "sip", Role: "sips"}}, false},
	} {
		if got := row.has(tt.peers); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.peers, got, tt.want)
		}
	}
}
