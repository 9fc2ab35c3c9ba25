package verify

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
	"keypaird/renew/netaddr"
)

// served returns the address of a server that handles each connection with handle.
func served(t *testing.T, handle func(net.Conn)) netip.AddrPort {
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
			handle(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return netip.MustParseAddrPort(ln.Addr().String())
}

// withConfig handles connections with crypto/tls.
func withConfig(conf *tls.Config) func(net.Conn) {
	return func(conn net.Conn) { tls.Server(conn, conf).Handshake() }
}

// withAlert answers any ClientHello with an alert; if named, only one with the name.
func withAlert(alert byte, named bool, else_ *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		hello := make([]byte, 16<<10)
		n, err := conn.Read(hello)
		if err != nil {
			return
		}
		if named && !bytes.Contains(hello[:n], []byte("example.org")) {
			tls.Server(&replayed{conn, hello[:n]}, else_).Handshake()
			return
		}
		conn.Write([]byte{21, 3, 3, 0, 2, 2, alert})
	}
}

// A replayed connection has been read from before.
type replayed struct {
	net.Conn
	first []byte
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.first) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.first)
	r.first = r.first[n:]
	return n, nil
}

// What a server speaks may be too old for its peers, or unknown to this program.
func TestHandshakes(t *testing.T) {
	p := newPairs(t)
	must := discover.Requirement{Service: "matrix", Role: "federation", Step: "4", Enforcement: discover.Must}
	mx := discover.Requirement{Service: "smtp", Role: "mx", Enforcement: discover.Info}
	s2s := discover.Requirement{Service: "xmpp", Role: "s2s direct TLS", Enforcement: discover.Must, ClientAuth: true}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
	}, &x509.Certificate{}, &rsaKey.PublicKey, rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	unknownCurve := *p.plain
	p256, p192 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1}
	unknownCurve.Certificate = [][]byte{bytes.Replace(p.plain.Certificate[0], p256, p192, 1)}
	old := &tls.Config{Certificates: []tls.Certificate{*p.plain}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	for _, tt := range []struct {
		name    string
		row     discover.Requirement
		handle  func(net.Conn)
		result  Result
		says    string
		affects string
	}{
		{"TLS 1.1 only", must, withConfig(old), Failed, "the certificate is served with TLS 1.1", "Matrix servers that follow SRV (Synapse, Dendrite, tuwunel) refuse"},
		{"TLS 1.1 only, plain MX", mx, withConfig(old), Warning, "is served with TLS 1.1", ""},
		{"no version in common", must, withAlert(70, false, nil), Unknown, "cannot be determined from here: ", ""},
		{"no suite in common", must, withAlert(40, false, nil), Unknown, "cannot be determined from here: ", ""},
		{"fails for the name alone", must, withAlert(40, true, &tls.Config{Certificates: []tls.Certificate{*p.host}}), Failed, "handshake failure", "Matrix servers"},
		{"a curve of another age", must, withConfig(&tls.Config{Certificates: []tls.Certificate{unknownCurve}}), Unknown, "cannot be determined from here: ", ""},
		{"two keys, one certificate of nobody", must, withConfig(&tls.Config{Certificates: []tls.Certificate{*p.plain, {Certificate: [][]byte{der}, PrivateKey: rsaKey}}}),
			Failed, "the certificate is not the only one: the one with a key for RSA ", "Matrix servers"},
		{"RSA key exchange alone", must, withConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: rsaKey}}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}),
			Failed, "the certificate is signed by", "Matrix servers"},
		{"not for clients", s2s, withConfig(&tls.Config{Certificates: []tls.Certificate{*p.plain}}), Warning, "is not for clients",
			"XMPP servers that require clientAuth (ejabberd before 25.08 without dialback) refuse the connections that example.org makes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := served(t, tt.handle)
			tt.row.Identity, tt.row.SNI, tt.row.Accept = "example.org", "example.org", []string{"example.org"}
			v := &Verifier{Roots: x509.NewCertPool(), prober: newProber(), now: time.Now()}
			v.Roots.AddCert(p.ca.Root)
			row := v.check(t.Context(), &endpoint{
				limit:  netaddr.Loopback,
				domain: "example.org", endpoint: probe.Endpoint{Proto: "tls", Host: "host.test", Port: at.Port()}, addrs: []netip.Addr{at.Addr()},
				sni: "example.org", to: "example.org", uses: []discover.Requirement{tt.row},
			})[0]
			if row.Result != tt.result || !strings.Contains(row.Error, tt.says) {
				t.Errorf("%s: %s %+v; want %s: %s", row.Result, row.Error, row.Issues, tt.result, tt.says)
			}
			if got := strings.Join(row.Affects, "; "); !strings.Contains(got, tt.affects) || tt.affects == "" && got != "" {
				t.Errorf("affects %q, want %q", got, tt.affects)
			}
			if row.Remedy == "" {
				t.Error("no remedy")
			}
		})
	}
}

// prove, of Perl, reads what WriteTAP writes, and agrees with Err.
func TestProve(t *testing.T) {
	prove, err := exec.LookPath("prove")
	if err != nil {
		t.Skip("needs prove")
	}
	all := someChecks()
	good, _ := partition(all, func(c Check) bool { return c.Result != Failed })
	for _, tt := range []struct {
		name string
		rows []Check
	}{{"all", all}, {"without failures", good}, {"nothing there", all[5:]}} {
		file := filepath.Join(t.TempDir(), "out.tap")
		var b bytes.Buffer
		if err := WriteTAP(&b, tt.rows); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(prove, "-v", "--exec", "cat", file).CombinedOutput()
		failed, _ := partition(tt.rows, func(c Check) bool { return c.Result == Failed })
		if (err != nil) != (len(failed) > 0) || bytes.Contains(out, []byte("Parse errors")) {
			t.Errorf("%s: %v\n%s\n%s", tt.name, err, b.String(), out)
		}
	}
}
