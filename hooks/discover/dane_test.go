package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"keypaird/renew/testutil"
)

const validator = "127.0.0.1:54"

// sign signs the zone of a story and returns the key as a trust anchor.
func (w *world) sign(st story) (anchor string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "named")
	run := func(name string, args ...string) {
		w.t.Helper()
		cmd := exec.Command(testutil.Program(w.t, name), args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", dir, st.domain)
	run("dnssec-signzone", "-q", "-S", "-z", "-K", dir, "-o", st.domain, "-f", st.domain+".signed", st.domain+".zone")
	if err := os.Rename(filepath.Join(dir, st.domain+".signed"), filepath.Join(dir, st.domain+".zone")); err != nil {
		w.t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(dir, "K"+st.domain+".*.key"))
	if err != nil || len(keys) != 1 {
		w.t.Fatal("keys: ", keys, err)
	}
	text, err := os.ReadFile(keys[0])
	if err != nil {
		w.t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if _, data, ok := strings.Cut(strings.TrimSpace(l), " IN DNSKEY "); ok {
			f := strings.SplitN(data, " ", 4)
			return fmt.Sprintf("%q static-key %s %s %s %q;\n", st.domain, f[0], f[1], f[2], strings.ReplaceAll(f[3], " ", ""))
		}
	}
	w.t.Fatal("no DNSKEY")
	return ""
}

// startValidator starts a resolver that trusts some zones' keys, in front of the
// other one.
func (w *world) startValidator(anchors string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "validator")
	conf := fmt.Sprintf(bindOptions, dir, "port 54 { 127.0.0.1; }", "recursion yes; dnssec-validation yes; forward only; forwarders { 127.0.0.1; };") +
		"trust-anchors {\n" + anchors + "};\n"
	write(w.t, filepath.Join(dir, "named.conf"), conf)
	w.daemon(testutil.Program(w.t, "named"), "-g", "-c", filepath.Join(dir, "named.conf"))
	w.eventually("the validating BIND answers", func() bool { return answers(validator, "test.", dns.TypeSOA) })
}

const (
	hash   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	daneMX = "@ IN MX 10 mx1\nmx1 IN A {1}\n"
	plain1 = "mta-sts-policy absent\nmx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found\n"
)

// Sections are of RFC 7672.
var daneStories = []story{
	{
		name: "dane ee", spec: "3.1.1: usage 3: names and dates do not matter; SNI is the TLSA base domain (8.1)", signed: true,
		zone: daneMX + "_25._tcp.mx1 IN TLSA 3 1 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=mx1.@ tlsa=3/1/1 must found",
	}, {
		name: "dane ta", spec: "3.1.2 and 3.2.2: usage 2: the MX host or the next-hop domain", signed: true,
		zone: daneMX + "_25._tcp.mx1 IN TLSA 2 0 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=mx1.@ accept=@,mx1.@ tlsa=2/0/1 must found",
	}, {
		name: "dane both", spec: "3.1: any record that matches will do", signed: true,
		zone: daneMX + "_25._tcp.mx1 IN TLSA 3 1 1 " + hash + "\n_25._tcp.mx1 IN TLSA 2 0 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=mx1.@ tlsa=2/0/1,3/1/1 must found",
	}, {
		name: "dane pkix", spec: "3.1.3: usage 0 and 1 are unusable: encrypted, not authenticated (2.2); a hash of the wrong length too", signed: true,
		zone: daneMX + "_25._tcp.mx1 IN TLSA 1 1 1 " + hash + "\n_25._tcp.mx1 IN TLSA 3 1 1 abcd\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=mx1.@ tlsa=1/1/1/unusable,3/1/1/unusable info found",
		says: "no usable record",
	}, {
		name: "dane alias", spec: "2.2.3: the alias' real name is the TLSA base domain if it has records", signed: true,
		zone: "@ IN MX 10 mx1\nmx1 IN CNAME box\nbox IN A {1}\n_25._tcp.box IN TLSA 3 1 1 " + hash + "\n_25._tcp.mx1 IN TLSA 3 1 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=box.@ tlsa=3/1/1 must found",
		says: "alias of box.@",
	}, {
		name: "dane alias only", spec: "2.2.3: else the name in the MX record", signed: true,
		zone: "@ IN MX 10 mx1\nmx1 IN CNAME box\nbox IN A {1}\n_25._tcp.mx1 IN TLSA 2 1 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=mx1.@ accept=@,mx1.@ tlsa=2/1/1 must found",
		says: "alias of box.@",
	}, {
		name: "dane ta alias", spec: "2.2.3 and 3.2.2: at the alias' real name, that name or the next-hop domain", signed: true,
		zone: "@ IN MX 10 mx1\nmx1 IN CNAME box\nbox IN A {1}\n_25._tcp.box IN TLSA 2 1 1 " + hash + "\n",
		want: plain1 + "mx-DANE smtp:mx1.@:25 sni=box.@ accept=box.@,@ tlsa=2/1/1 must found",
		says: "alias of box.@",
	}, {
		name: "dane fails", spec: "2.1.2 and 2.2: a TLSA look-up that fails: mail is held back", signed: true,
		zone: daneMX + "_25._tcp.mx1 IN NS ns.test.\n", broken: "_25._tcp.mx1",
		want: plain1 + "mx-DANE undetermined",
		says: "!senders that use DANE defer mail",
	}, {
		name: "dane unsigned", spec: "2.2.2: insecure addresses: TLSA records do not count",
		zone: daneMX + "_25._tcp.mx1 IN TLSA 3 1 1 " + hash + "\n",
		want: plain1, says: "senders ignore it",
	}, {
		name: "dane unsigned fails", spec: "2.2.2: insecure addresses: nobody looks for TLSA",
		zone: daneMX, broken: "_25._tcp.mx1", want: plain1,
	}, {
		name: "dane insecure mx", spec: "2.2.1: the MX records are insecure, the host is not: some do it",
		zone: "@ IN MX 10 mx1.dane-ee.test.\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.dane-ee.test:25 sni=mx1.dane-ee.test accept=mx1.dane-ee.test info found
			mx-DANE smtp:mx1.dane-ee.test:25 sni=mx1.dane-ee.test tlsa=3/1/1 should found`,
	}, {
		name: "dane ta insecure mx", spec: "3.2.2: with insecure MX records the mail host is the only name",
		zone: "@ IN MX 10 mx1.dane-ta.test.\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.dane-ta.test:25 sni=mx1.dane-ta.test accept=mx1.dane-ta.test info found
			mx-DANE smtp:mx1.dane-ta.test:25 sni=mx1.dane-ta.test accept=mx1.dane-ta.test tlsa=2/0/1 should found`,
	},
}

var securedStories = []story{
	{
		name: "xmpp signed", spec: "RFC 7673, 4.1: with secure SRV records the target is a reference identity too", signed: true,
		zone: "@ IN A {1}\nxmpp IN A {2}\n_xmpp-client._tcp IN SRV 5 0 5222 xmpp\n_xmpps-client._tcp IN SRV 5 0 5223 xmpp\n_xmpp-server._tcp IN SRV 5 0 5269 xmpp\n",
		want: `c2s-direct-TLS tls:xmpp.@:5223 sni=@ accept=@ alpn=xmpp-client also=xmpp.@ must found
			c2s xmpp-client:xmpp.@:5222 sni=@ accept=@ also=xmpp.@ must found
			s2s xmpp-server:xmpp.@:5269 sni=@ accept=@ also=xmpp.@ must found`,
	},
}

func TestDANE(t *testing.T) {
	w := newWorld(t, daneStories)
	w.resolver = validator
	tell(t, w, daneStories, "smtp", findSMTP)
}

func TestSecured(t *testing.T) {
	w := newWorld(t, securedStories)
	w.resolver = validator
	tell(t, w, securedStories, "xmpp", findXMPP)
}
