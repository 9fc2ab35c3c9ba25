package probe

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

const (
	proceed  = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	features = "<?xml version='1.0'?><stream:stream from='example.org' xmlns='jabber:client' version='1.0'>" +
		"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	openClient = "<?xml version='1.0'?><stream:stream xmlns='jabber:client'" +
		" xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"
	openServer = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'" +
		" xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"
	openMail   = "EHLO [127.0.0.1]\r\n"
	ldapYes    = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	mysqlHello = "\x1e\x00\x00\x00\x0a8.0.36\x00\x01\x00\x00\x0012345678\x00\xff\xff\x08\x02\x00\xff\xdf\x15\x00"
	sieveCap   = "\"IMPLEMENTATION\" \"test\"\r\n\"starttls\"\r\nOK \"ready\"\r\n"
)

// A turn is what a server says after it has read exactly hear.
type turn struct{ hear, say string }

// play follows the script; what differs from it ends the connection.
func play(t *testing.T, script []turn, then func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		for _, turn := range script {
			got := make([]byte, len(turn.hear))
			if n, err := io.ReadFull(conn, got); err != nil || string(got) != turn.hear {
				t.Errorf("client says %q, want %q", got[:n], turn.hear)
				return
			}
			io.WriteString(conn, turn.say)
		}
		then(conn)
	}
}

func TestDialogues(t *testing.T) {
	pair := newCert(t, "example.org")
	for _, tt := range []struct {
		name, proto string
		script      []turn
	}{
		{"smtp", "smtp", []turn{{"", "220-mx.example.org\r\n220 ESMTP\r\n"},
			{openMail, "250-mx.example.org\r\n250-SIZE 1\r\n250-STARTTLS\r\n250 HELP\r\n"}, {"STARTTLS\r\n", "220 go ahead\r\n"}}},
		{"smtp, short answers", "smtp", []turn{{"", "220\n"}, {openMail, "250-x\n250 starttls\n"}, {"STARTTLS\r\n", "220\n"}}},
		{"imap", "imap", []turn{{"", "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"},
			{"a1 STARTTLS\r\n", "a1 OK begin TLS\r\n"}}},
		{"imap, talkative", "imap", []turn{{"", "* ok ready\r\n"}, {"a1 STARTTLS\r\n", "* 1 EXISTS\r\na1 ok\r\n"}}},
		{"pop3", "pop3", []turn{{"", "+OK POP3 <1.2@example.org>\r\n"}, {"STLS\r\n", "+OK begin\r\n"}}},
		{"sieve", "sieve", []turn{{"", sieveCap}, {"STARTTLS\r\n", "OK \"Begin TLS negotiation now.\"\r\n"}}},
		{"ftp", "ftp", []turn{{"", "220 (vsFTPd 3.0.3)\r\n"}, {"AUTH TLS\r\n", "234 Proceed with negotiation.\r\n"}}},
		{"ftp, many lines", "ftp", []turn{{"", "220-Welcome\r\n 220 files\r\n220-more\r\n220 \r\n"}, {"AUTH TLS\r\n", "234-AUTH\r\n234 TLS\r\n"}}},
		{"ldap", "ldap", []turn{{ldapStartTLS, ldapYes}}},
		{"ldap, of Active Directory", "ldap", []turn{{ldapStartTLS,
			"\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037"}}},
		{"postgres", "postgres", []turn{{postgresSSLRequest, "S"}}},
		{"mysql", "mysql", []turn{{"", mysqlHello}, {mysqlSSLRequest, ""}}},
		{"xmpp client", "xmpp-client", []turn{{openClient, features}, {starttls, proceed}}},
		{"xmpp server", "xmpp-server", []turn{{openServer, features}, {starttls, proceed}}},
		{"xmpp, other quotes, in two tags", "xmpp-client", []turn{{openClient, features},
			{starttls, `<proceed xmlns="urn:ietf:params:xml:ns:xmpp-tls"></proceed>`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sni := make(chan string, 1)
			e := serve(t, tt.proto, play(t, tt.script, handshaker(pair, sni)))
			if err := dialFor(t, e, "example.org", pair.Leaf); err != nil {
				t.Fatal(err)
			}
			if got := <-sni; got != "example.org" {
				t.Errorf("SNI = %q", got)
			}
		})
	}
}

// Whoever stands in between can put bytes behind the go-ahead; a client that
// buffers would take them for something said inside TLS (CVE-2011-0411).
func TestInjectedBytes(t *testing.T) {
	pair := newCert(t, "example.org")
	for _, tt := range []struct {
		name, proto string
		script      []turn
	}{
		{"smtp", "smtp", []turn{{"", "220 x\r\n"}, {openMail, "250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 go\r\n250 injected\r\n"}}},
		{"imap", "imap", []turn{{"", "* OK\r\n"}, {"a1 STARTTLS\r\n", "a1 OK\r\n* PREAUTH\r\n"}}},
		{"pop3", "pop3", []turn{{"", "+OK\r\n"}, {"STLS\r\n", "+OK\r\n+"}}},
		{"sieve", "sieve", []turn{{"", sieveCap}, {"STARTTLS\r\n", "OK\r\n\"SASL\" \"PLAIN\"\r\n"}}},
		{"ftp", "ftp", []turn{{"", "220 x\r\n"}, {"AUTH TLS\r\n", "234 go\r\n230 logged in\r\n"}}},
		{"xmpp, one space", "xmpp-client", []turn{{openClient, features}, {starttls, proceed + " "}}},
		{"xmpp, a line end", "xmpp-server", []turn{{openServer, features}, {starttls, proceed + "\n"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := serve(t, tt.proto, play(t, tt.script, handshaker(pair, make(chan string, 1))))
			_, err := Dial(t.Context(), e, "example.org")
			if err == nil || !strings.Contains(err.Error(), "injects them") {
				t.Errorf("Dial = %v, want an error about injected bytes", err)
			}
		})
		t.Run(tt.name+", a little later", func(t *testing.T) {
			late := make([]turn, len(tt.script))
			copy(late, tt.script)
			last := &late[len(late)-1]
			head := strings.SplitAfterN(last.say, "\r\n", 2)
			if strings.HasPrefix(tt.proto, "xmpp") {
				head = []string{proceed, strings.TrimPrefix(last.say, proceed)}
			}
			last.say = head[0]
			e := serve(t, tt.proto, play(t, late, func(conn net.Conn) {
				first := make([]byte, 5) // the ClientHello has begun: the go-ahead was read alone
				io.ReadFull(conn, first)
				io.WriteString(conn, head[1]+"padding to the length of a record")
				io.Copy(io.Discard, conn)
			}))
			if _, err := Dial(t.Context(), e, "example.org"); err == nil || !strings.Contains(err.Error(), "injects them") {
				t.Errorf("Dial = %v, want an error about injected bytes", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	streamError := func(condition string) string {
		return "<?xml version='1.0'?><stream:stream><stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
	}
	for _, tt := range []struct {
		name, proto string
		script      []turn
		want        string
	}{
		{"mail server says no", "smtp", []turn{{"", "554 no service\r\n"}}, `greeting: the server answers "554 no service"`},
		{"mail server without TLS", "smtp", []turn{{"", "220 x\r\n"}, {openMail, "250-x\r\n250 HELP\r\n"}}, "does not support STARTTLS"},
		{"name that only starts with STARTTLS", "smtp", []turn{{"", "220 x\r\n"}, {openMail, "250 STARTTLSX\r\n"}}, "does not support STARTTLS"},
		{"mail server changes its mind", "smtp", []turn{{"", "220 x\r\n"}, {openMail, "250 STARTTLS\r\n"}, {"STARTTLS\r\n", "454 not now\r\n"}},
			`STARTTLS: the server answers "454 not now"`},
		{"longer code", "smtp", []turn{{"", "2200 x\r\n"}}, `answers "2200 x"`},
		{"imap already logged in", "imap", []turn{{"", "* PREAUTH\r\n"}}, `answers "* PREAUTH"`},
		{"imap without TLS", "imap", []turn{{"", "* OK\r\n"}, {"a1 STARTTLS\r\n", "a1 BAD unknown command\r\n"}}, `"a1 BAD unknown command"`},
		{"imap ends", "imap", []turn{{"", "* OK\r\n"}, {"a1 STARTTLS\r\n", "* BYE\r\n"}}, `"* BYE"`},
		{"pop3 without TLS", "pop3", []turn{{"", "+OK\r\n"}, {"STLS\r\n", "-ERR\r\n"}}, `STLS: the server answers "-ERR"`},
		{"sieve without TLS", "sieve", []turn{{"", "\"SIEVE\" \"x\"\r\nOK\r\n"}}, "does not support STARTTLS"},
		{"sieve ends", "sieve", []turn{{"", "BYE \"busy\"\r\n"}}, `answers "BYE \"busy\""`},
		{"sieve changes its mind", "sieve", []turn{{"", sieveCap}, {"STARTTLS\r\n", "NO\r\n"}}, `STARTTLS: the server answers "NO"`},
		{"ftp without TLS", "ftp", []turn{{"", "220 x\r\n"}, {"AUTH TLS\r\n", "502 not implemented\r\n"}}, "does not support STARTTLS"},
		{"ftp server says no", "ftp", []turn{{"", "421 too many\r\n"}}, `greeting: the server answers "421 too many"`},
		{"ftp server wants a login", "ftp", []turn{{"", "220 x\r\n"}, {"AUTH TLS\r\n", "530 log in first\r\n"}}, `AUTH TLS: the server answers "530 log in first"`},
		{"ldap without TLS", "ldap", []turn{{ldapStartTLS, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"}}, "does not support STARTTLS"},
		{"ldap server is busy", "ldap", []turn{{ldapStartTLS, "\x30\x10\x02\x01\x01\x78\x0b\x0a\x01\x33\x04\x00\x04\x04busy"}}, `StartTLS: the server answers "result 51 busy"`},
		{"ldap, something else", "ldap", []turn{{ldapStartTLS, "\x30\x03\x02\x01\x01"}}, `StartTLS: the server answers`},
		{"ldap, without end", "ldap", []turn{{ldapStartTLS, "\x30\x84\xff\xff\xff\xff"}}, "more than 4096"},
		{"ldap, length of no end", "ldap", []turn{{ldapStartTLS, "\x30\xff"}}, "the server answers"},
		{"postgres without TLS", "postgres", []turn{{postgresSSLRequest, "N"}}, "does not support STARTTLS"},
		{"postgres is full", "postgres", []turn{{postgresSSLRequest, "E"}}, `SSLRequest: the server answers "E"`},
		{"mysql without TLS", "mysql", []turn{{"", strings.Replace(mysqlHello, "\x00\xff\xff", "\x00\xff\xf7", 1)}}, "does not support STARTTLS"},
		{"mysql says no", "mysql", []turn{{"", "\x14\x00\x00\x00\xff\x69\x04Host is blocked!!"}}, `greeting: the server answers "Host is blocked!!"`},
		{"mysql, garbled", "mysql", []turn{{"", "\x03\x00\x00\x00\x0aab"}}, "greeting: the server answers"},
		{"xmpp name not hosted", "xmpp-client", []turn{{openClient, streamError("host-unknown")}}, ErrHostUnknown.Error()},
		{"xmpp name not hosted any more", "xmpp-server", []turn{{openServer, streamError("host-gone")}}, ErrHostUnknown.Error()},
		{"xmpp server is full", "xmpp-client", []turn{{openClient, streamError("resource-constraint")}}, "stream to example.org: the server answers resource-constraint"},
		{"xmpp server says why", "xmpp-client", []turn{{openClient, "<stream:stream><stream:error><policy-violation xmlns='x'/><text xmlns='x'>too many from here</text></stream:error>"}}, `the server answers policy-violation: "too many from here"`},
		{"xmpp server is garbled", "xmpp-client", []turn{{openClient, "<stream:stream><stream:error>?</stream:error>"}}, `the server answers "<stream:error>?`},
		{"xmpp without TLS", "xmpp-server", []turn{{openServer, "<stream:stream><stream:features/>"}}, "does not support STARTTLS"},
		{"xmpp says no", "xmpp-client", []turn{{openClient, features}, {starttls, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, "starttls: the server answers failure"},
		{"xmpp, look-alike", "xmpp-client", []turn{{openClient, features}, {starttls, "<proceeds xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, "<proceeds"},
		{"xmpp, other namespace", "xmpp-client", []turn{{openClient, features}, {starttls, "<proceed xmlns='urn:x'/>"}}, "urn:x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := serve(t, tt.proto, play(t, tt.script, func(conn net.Conn) {
				rest, _ := io.ReadAll(conn)
				if len(rest) > 0 {
					t.Errorf("client goes on with %q", bytes.TrimSpace(rest))
				}
			}))
			_, err := Dial(t.Context(), e, "example.org")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Dial = %v, want %q", err, tt.want)
			}
			if unknown := tt.want == ErrHostUnknown.Error(); errors.Is(err, ErrHostUnknown) != unknown {
				t.Errorf("%v is ErrHostUnknown: %t, want %t", err, !unknown, unknown)
			}
		})
	}
}

// The name stands in an XML attribute: nothing may end it early.
func TestXMPPNames(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"example.org", "example.org"},
		{"192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "[2001:db8::1]"},
		{"a' to='b", ""},
		{"<x>", ""},
	} {
		if got, err := xmppDomain(tt.name); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("xmppDomain(%q) = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}
