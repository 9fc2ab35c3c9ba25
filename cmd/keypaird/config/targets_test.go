package config

import (
	"slices"
	"strings"
	"testing"

	"keypaird/hooks/discover"
	"keypaird/hooks/preset"
)

func TestTargetMistakes(t *testing.T) { testMistakes(t, targetsMistakes) }

var targetsMistakes = []mistaken{
	{"identity without anything", `[identity."example.org"]`, `
1: identity."example.org".host: is missing
-> name the server: host = "matrix.example.org"
1: identity."example.org".dns: is missing
-> name a [dns] table, or write "persist" for dns-persist-01; a domain that answers on port 80 itself needs only a [cert] table
`},
	{"identity whose domain stands without quotes", `[identity.example.org]
host = "a.example.org"
dns = "persist"`, `
1: identity.example.org: a name with dots stands without quotes
-> put it in quotes: [identity."example.org"]
`},
	{"several of them, and one with quotes", `[identity.matrix.example.org]
host = "a.example.org"
[identity.matrix.example.net]
host = "a.example.org"
[identity."example.com"]
host = "matrix.example.com"
dns = "persist"
[identity."example.com".de]
host = "a.example.org"`, `
1: identity.matrix.example.org: a name with dots stands without quotes
-> put it in quotes: [identity."matrix.example.org"]
3: identity.matrix.example.net: a name with dots stands without quotes
-> put it in quotes: [identity."matrix.example.net"]
8: identity."example.com".de: unknown key
-> put a name with dots in quotes: [identity."example.com.de"]
`},
	{"identity without a domain", `[identity]
host = "matrix.example.org"
dns = "ns"`, `
3: identity.dns: stands in [identity] itself
-> give each table the name of its domain: [identity."example.org"]
`},
	{"everything wrong with an identity", `[identity."example.org"]
host = "Example.org."
dns = "nss"
host_dns = "elsewhere"
services = ["matrx", "irc", "xmpp", "xmpp"]
components = ["192.0.2.1", "example.org", "a b", "ok.example.org"]
deploy = ["ngnix", "qmail", "nginx", "nginx"]
key = "rsa"
sign_with = ["mine"]
profile = "!"
one_certificate = "yes"
[dns.ns]
provider = "rfc2136"`, `
2: identity."example.org".host: "example.org" is the plain domain itself
-> name the server; a domain that is its own server needs only a [cert] table
3: identity."example.org".dns: there is no table [dns.nss]
-> did you mean "ns"?
4: identity."example.org".host_dns: there is no table [dns.elsewhere]
-> add a table [dns.elsewhere]
5: identity."example.org".services: "matrx" is not a service
-> did you mean "matrix"?
5: identity."example.org".services: "irc" is not a service
-> write one of: matrix xmpp mail smtp imap caldav sip web
5: identity."example.org".services: "xmpp" stands twice
-> name it once
6: identity."example.org".components: "192.0.2.1" is an IP address, which only http-01 and tls-alpn-01 can validate
-> put it under http-01 of a [cert] table
6: identity."example.org".components: "a b" is not a DNS name: it contains a space
-> use letters, digits and inner hyphens, at most 63 to a label and 253 in all
6: identity."example.org".components: "example.org" is the domain or its host
-> leave it out: it is certified already
7: identity."example.org".deploy: there is no deployment "ngnix"
-> did you mean "nginx"? (or add a table [deploy.NAME])
7: identity."example.org".deploy: there is no deployment "qmail"
-> write one of: ` + strings.Join(preset.Names(), " ") + ` (or add a table [deploy.NAME])
7: identity."example.org".deploy: "nginx" stands twice
-> name it once
8: identity."example.org".key: "rsa" is not a type of key
-> did you mean "rsa2048"?
9: identity."example.org".sign_with: no CA is called "mine"
-> write one of: actalis buypass-free buypass-free-staging google google-staging letsencrypt letsencrypt-staging sslcom zerossl (or add a table [ca.NAME])
10: identity."example.org".profile: "!" is not a profile
-> write the profile's name as the CA lists it
11: identity."example.org".one_certificate: is a string, not true or false
-> write true or false without quotes
`},
	{"identity of a wildcard, host that is an address", `[identity."*.example.org"]
host = "192.0.2.1"
dns = "persist"`, `
1: identity."*.example.org": "*.example.org" is a wildcard
-> write the name itself; wildcards go into a [cert] table, under dns-01
2: identity."*.example.org".host: "192.0.2.1" is an IP address
-> write a DNS name; addresses go into a [cert] table, under http-01
`},
	{"identity of an address, host that is a wildcard", `[identity."2001:db8::1"]
host = "*.example.org"
dns = "persist"`, `
1: identity."2001:db8::1": "2001:db8::1" is an IP address
-> write a DNS name; addresses go into a [cert] table, under http-01
2: identity."2001:db8::1".host: "*.example.org" is a wildcard
-> write the name itself; wildcards go into a [cert] table, under dns-01
`},
	{"identity and host that are no names", `[identity."exa mple.org"]
host = "-m.example.org"
dns = "persist"`, `
1: identity."exa mple.org": "exa mple.org" is not a DNS name: it contains a space
-> use letters, digits and inner hyphens, at most 63 to a label and 253 in all
2: identity."exa mple.org".host: "-m.example.org" is not a DNS name: label "-m" begins or ends with a hyphen
-> use letters, digits and inner hyphens, at most 63 to a label and 253 in all
`},
	{"one domain in two spellings", `[identity."example.org"]
host = "m.example.org"
dns = "persist"
[identity."EXAMPLE.org."]
host = "n.example.org"
dns = "persist"`, `
4: identity."EXAMPLE.org.": "example.org" has a table already: [identity."example.org"]
-> leave one of the tables out
`},
	{"one host for two domains, proven in two ways", `[identity."example.org"]
host = "m.example.org"
dns = "persist"
[identity."example.net"]
host = "M.example.org"
host_dns = "persist"
dns = "persist"`, `
4: identity."example.net": makes the target "m.example.org", as [identity."example.org"] does
-> give the host the same host_dns, key, profile, preferred_chain and sign_with in both tables
`},
	{"certificate called as a host", `[cert."m.example.org"]
http-01 = ["m.example.org"]
[identity."example.org"]
host = "m.example.org"
dns = "persist"`, `
1: cert."m.example.org": makes the target "m.example.org", as [identity."example.org"] does
-> give the [cert] table another name
`},
	{"certificate called as a domain", `[identity."example.org"]
host = "m.example.org"
dns = "persist"
[cert."example.org"]
http-01 = ["www.example.org"]`, `
4: cert."example.org": makes the target "example.org", as [identity."example.org"] does
-> give the [cert] table another name
`},
	{"domain that is another's host", `[identity."m.example.org"]
host = "z.example.org"
dns = "persist"
[identity."example.org"]
host = "m.example.org"
dns = "persist"`, `
4: identity."example.org": makes the target "m.example.org", as [identity."m.example.org"] does
-> one target cannot be the domain of one identity and the host of another: leave one table out, or make it a [cert]
`},
	{"host among the components, on one certificate", `[identity."example.org"]
host = "m.example.org"
dns = "persist"
one_certificate = true
components = ["M.example.org"]`, `
5: identity."example.org".components: "m.example.org" is the domain or its host
-> leave it out: it is certified already
`},
	{"certificate of nothing", `[cert.a]`, `
1: cert.a: certifies no name
-> list names by challenge: http-01 = ["mail.example.org"]
`},
	{"dns-01 without an account", `[cert.a]
dns-01 = ["example.org"]`, `
1: cert.a.dns: is missing for the names under dns-01
-> name a [dns] table
`},
	{"dns-01 by dns-persist-01", `[cert.a]
dns-01 = ["example.org"]
dns = "persist"`, `
3: cert.a.dns: "persist" is not an account
-> list the names under dns-persist-01 instead, and leave dns out
`},
	{"names that cannot be proven so, or are proven twice", `[cert.a]
http-01 = ["example.org", "*.example.org"]
dns-01 = ["example.org", "192.0.2.1"]
dns-persist-01 = ["::1"]
dns = "nope"`, `
2: cert.a.http-01: "*.example.org" is a wildcard, which http-01 cannot validate
-> put it under dns-01
3: cert.a.dns-01: "example.org" stands under http-01 already
-> leave it in one list
3: cert.a.dns-01: "192.0.2.1" is an IP address, which only http-01 and tls-alpn-01 can validate
-> put it under http-01 of a [cert] table
4: cert.a.dns-persist-01: "::1" is an IP address, which only http-01 and tls-alpn-01 can validate
-> put it under http-01 of a [cert] table
5: cert.a.dns: there is no table [dns.nope]
-> add a table [dns.nope]
`},
	{"names that tls-alpn-01 cannot validate, or that http-01 does", `[cert.a]
http-01 = ["example.org"]
tls-alpn-01 = ["*.example.org", "example.org", "192.0.2.1"]`, `
3: cert.a.tls-alpn-01: "*.example.org" is a wildcard, which tls-alpn-01 cannot validate
-> put it under dns-01
3: cert.a.tls-alpn-01: "example.org" stands under http-01 already
-> leave it in one list
`},
	{"names of targets that cannot be paths", `[cert."../x"]
http-01 = ["example.org"]
[cert.Mail]
http-01 = ["example.org"]
[cert."_wildcard.example.org"]
http-01 = ["example.org"]
[cert."-rf"]
http-01 = ["example.org"]
[cert.""]
http-01 = ["example.org"]`, `
1: cert."../x": "../x" cannot be the name of a target
-> use a-z 0-9 . _ - and begin with a letter or digit; the names to certify stand in http-01 and dns-01
3: cert.Mail: "Mail" cannot be the name of a target
-> use a-z 0-9 . _ - and begin with a letter or digit; the names to certify stand in http-01 and dns-01
5: cert."_wildcard.example.org": "_wildcard.example.org" cannot be the name of a target
-> use a-z 0-9 . _ - and begin with a letter or digit; the names to certify stand in http-01 and dns-01
7: cert.-rf: "-rf" cannot be the name of a target
-> use a-z 0-9 . _ - and begin with a letter or digit; the names to certify stand in http-01 and dns-01
9: cert."": "" cannot be the name of a target
-> use a-z 0-9 . _ - and begin with a letter or digit; the names to certify stand in http-01 and dns-01
`},
	{"string for the names", `[cert.a]
http-01 = "example.org"`, `
2: cert.a.http-01: is a string, not a list
-> write a list: ["...", "..."]
`},
	{"names that are none", `[cert.a]
http-01 = [
  "https://example.org/",
  "ann@example.org",
  "example.org:443",
  "1.2.3",
  "fe80::1%em0",
  "192.0.2.0/24",
  "",
]`, `
2: cert.a.http-01: "https://example.org/" is a URL
-> write the name alone: example.org
2: cert.a.http-01: "ann@example.org" is a mail address
-> write what follows the @
2: cert.a.http-01: "example.org:443" has a port
-> write "example.org" without ":443"
2: cert.a.http-01: "1.2.3" ends in a number, as no DNS name does
-> write a whole IP address or a DNS name
2: cert.a.http-01: "fe80::1%em0" has a zone
-> leave out what follows the %: CAs certify global addresses only
2: cert.a.http-01: "192.0.2.0/24" is a path or a network
-> write the name or address alone: example.org
2: cert.a.http-01: "" is empty
-> write a name such as example.org, or leave it out
`},
	{"names that public CAs do not certify", `[cert.a]
http-01 = ["intranet", "10.0.0.1", "::1", "192.0.2.1", "2001:DB8::1"]
[identity.lan]
host = "server"
components = ["conference"]
dns = "persist"`, `
2: cert.a.http-01: "10.0.0.1" is a private address, which public CAs do not certify
-> write a public address; for a CA of your own add a table [ca.NAME] and name it in sign_with
2: cert.a.http-01: "::1" is a private address, which public CAs do not certify
-> write a public address; for a CA of your own add a table [ca.NAME] and name it in sign_with
2: cert.a.http-01: "intranet" has one label, which public CAs do not certify
-> write the full name, with its domain; for a CA of your own add a table [ca.NAME] and name it in sign_with
3: identity.lan: "lan" has one label, which public CAs do not certify
-> write the full name, with its domain; for a CA of your own add a table [ca.NAME] and name it in sign_with
4: identity.lan.host: "server" has one label, which public CAs do not certify
-> write the full name, with its domain; for a CA of your own add a table [ca.NAME] and name it in sign_with
5: identity.lan.components: "conference" has one label, which public CAs do not certify
-> write the full name, with its domain; for a CA of your own add a table [ca.NAME] and name it in sign_with
`},
	{"wildcard and what it covers", `[cert.a]
dns-persist-01 = ["*.example.org", "example.org", "www.example.org", "a.www.example.org"]`, `
2: cert.a.dns-persist-01: "www.example.org" and "*.example.org" stand on one certificate, which CAs refuse as redundant
-> leave one of them out
`},
	{"CA of its own that requires an external account", `[cert.a]
http-01 = ["a.example.org"]
sign_with = ["letsencrypt", "google"]`, `
3: cert.a.sign_with: google requires an external account
-> add [ca.google] with eab_kid and eab_hmac_file, from gcloud publicca external-account-keys create
`},
}

// What an identity may offer is what can be discovered.
func TestServicesCanBeDiscovered(t *testing.T) {
	if got, want := slices.Sorted(slices.Values(Services)), discover.Services(); !slices.Equal(got, want) {
		t.Errorf("services = %q, want %q", got, want)
	}
}
