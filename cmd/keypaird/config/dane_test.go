package config

import (
	"slices"
	"testing"
)

func TestTLSAMistakes(t *testing.T) { testMistakes(t, tlsaMistakes) }

var tlsaMistakes = []mistaken{
	{"names that are none of TLSA records", `[cert.mail]
http-01 = ["mx1.example.org"]
tlsa = ["mx1.example.org", "25._tcp.mx1.example.org", "_025._tcp.mx1.example.org", "_65536._tcp.mx1.example.org", "_25.tcp.mx1.example.org", "_25._tcp.", "_25._tcp.192.0.2.1", "_25._tcp.*.example.org", "_25._tcp.mx 1.example.org", ""]`, `
3: cert.mail.tlsa: "mx1.example.org" does not begin with a port such as _25
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "25._tcp.mx1.example.org" does not begin with a port such as _25
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_025._tcp.mx1.example.org" does not begin with a port such as _25
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_65536._tcp.mx1.example.org" does not begin with a port such as _25
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_25.tcp.mx1.example.org" has no protocol, _tcp, _udp or _sctp, in second place
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_25._tcp." is about "", which is empty
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_25._tcp.192.0.2.1" is about "192.0.2.1", which is no host
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_25._tcp.*.example.org" is about "*.example.org", which is no host
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "_25._tcp.mx 1.example.org" is about "mx 1.example.org", which is not a DNS name: it contains a space
-> write port, protocol and host: "_25._tcp.mx1.example.org"
3: cert.mail.tlsa: "" does not begin with a port such as _25
-> write port, protocol and host: "_25._tcp.mx1.example.org"
`},
	{"a host that is not certified, and one that stands twice", `[cert.mail]
http-01 = ["mx1.example.org"]
dns-persist-01 = ["*.example.net"]
tlsa = ["_25._tcp.mx2.example.org", "_25._tcp.mx1.example.org", "_25._TCP.MX1.example.org.", "_25._tcp.a.example.net", "_25._tcp.a.b.example.net"]`, `
4: cert.mail.tlsa: "_25._tcp.mx2.example.org" is about "mx2.example.org", which this certificate is not for
-> name a host that stands under http-01, tls-alpn-01, dns-01 or dns-persist-01 here
4: cert.mail.tlsa: "_25._TCP.MX1.example.org." stands twice
-> name it once
4: cert.mail.tlsa: "_25._tcp.a.b.example.net" is about "a.b.example.net", which this certificate is not for
-> name a host that stands under http-01, tls-alpn-01, dns-01 or dns-persist-01 here
`},
	{"not a list", `[cert.mail]
http-01 = ["mx1.example.org"]
tlsa = "_25._tcp.mx1.example.org"`, `
3: cert.mail.tlsa: is a string, not a list
-> write a list: ["...", "..."]
`},
	{"in an identity", `[identity."example.org"]
host = "mx1.example.org"
dns = "persist"
tlsa = ["_25._tcp.mx1.example.org"]`, `
4: identity."example.org".tlsa: unknown key
-> its place is in [cert.NAME]
`},
	{"of a bought certificate", `[cert.mail]
external = { chain = "/root/chain.pem", key = "/root/key.pem" }
tlsa = ["_25._tcp.mx1.example.org"]`, `
3: cert.mail.tlsa: cannot be used with external
-> remove it: an external certificate is not ordered
`},
}

// Names of TLSA records come in one spelling.
func TestTLSANames(t *testing.T) {
	cfg, err := loadText(t, configDir(t), `[cert.mail]
http-01 = ["mx1.example.org", "bücher.example"]
dns-persist-01 = ["*.example.net"]
tlsa = [" _25._TCP.Mx1.Example.org. ", "_443._tcp.Bücher.example", "_25._tcp.a.example.net", "_5061._udp.mx1.example.org"]`)
	try(t, err)
	want := []string{"_25._tcp.mx1.example.org", "_443._tcp.xn--bcher-kva.example", "_25._tcp.a.example.net", "_5061._udp.mx1.example.org"}
	if got := cfg.Targets()[0].TLSA; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
