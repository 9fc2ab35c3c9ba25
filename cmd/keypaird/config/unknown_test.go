package config

import "testing"

func TestUnknownKeys(t *testing.T) { testMistakes(t, unknownMistakes) }

var unknownMistakes = []mistaken{
	{"at the top", `emial = "ann@example.org"
signwith = ["letsencrypt"]
sign-with = ["letsencrypt"]
frobnicate = 1
x = 1`, `
1: emial: unknown key
-> did you mean "email"?
2: signwith: unknown key
-> did you mean "sign_with"?
3: sign-with: unknown key
-> did you mean "sign_with"?
4: frobnicate: unknown key
-> known at the top: ca cert deploy dns email fleet http-01 identity key notify parallel preferred_chain profile schedule sign_with state status tls-alpn window
5: x: unknown key
-> known at the top: ca cert deploy dns email fleet http-01 identity key notify parallel preferred_chain profile schedule sign_with state status tls-alpn window
`},
	{"tables", `[identities."example.org"]
host = "a.example.org"
[certs.a]
[certificate.b]
[deployment.relayd]
[http_01]
[http01]
[http]
[staus]
[notification]
[Identity."example.net"]`, `
1: identities: unknown key
-> did you mean "identity"?
3: certs: unknown key
-> did you mean "cert"?
4: certificate: unknown key
-> did you mean "cert"?
5: deployment: unknown key
-> did you mean "deploy"?
6: http_01: unknown key
-> did you mean "http-01"?
7: http01: unknown key
-> did you mean "http-01"?
8: http: unknown key
-> did you mean "http-01"?
9: staus: unknown key
-> did you mean "status"?
10: notification: unknown key
-> did you mean "notify"?
11: Identity: unknown key
-> did you mean "identity"?
`},
	{"names without a challenge", `[cert.mail]
names = ["mail.example.org"]
[cert.web]
domains = ["www.example.org"]`, `
2: cert.mail.names: unknown key
-> list names by challenge: http-01 = ["mail.example.org"]
4: cert.web.domains: unknown key
-> list names by challenge: http-01 = ["mail.example.org"]
`},
	{"in a CA", `[ca.internal]
directory = "https://ca.example.net/dir"
root = "/x"
eab_hmac = "hunter2"`, `
3: ca.internal.root: unknown key
-> did you mean "roots"?
4: ca.internal.eab_hmac: unknown key
-> did you mean "eab_hmac_file"?
`},
	{"in http-01", `[http-01]
listn = ":80"
web_root = "/x"`, `
2: http-01.listn: unknown key
-> did you mean "listen"?
3: http-01.web_root: unknown key
-> did you mean "webroot"?
`},
	{"in a DNS account", `[dns.ns]
provder = "x"
environment = { TOKEN = "hunter2" }
token = "hunter2"
CF_DNS_API_TOKEN = "hunter2"`, `
2: dns.ns.provder: unknown key
-> did you mean "provider"?
3: dns.ns.environment: unknown key
-> did you mean "env"?
4: dns.ns.token: unknown key
-> known in [dns.ns]: env propagation provider resolvers user
5: dns.ns.CF_DNS_API_TOKEN: unknown key
-> put the provider's variables into env: env = { CF_DNS_API_TOKEN = "..." }
`},
	{"in an identity", `[identity."example.org"]
host = "m.example.org"
dns = "persist"
hosts = ["x"]
one_cert = true
name = "x"`, `
4: identity."example.org".hosts: unknown key
-> did you mean "host"?
5: identity."example.org".one_cert: unknown key
-> did you mean "one_certificate"?
6: identity."example.org".name: unknown key
-> known in [identity."example.org"]: components deploy dns host host_dns key one_certificate preferred_chain profile services sign_with
`},
	{"in a certificate", `[cert.a]
http_01 = ["a.example.org"]
dns01 = ["a.example.org"]
domains = ["a.example.org"]`, `
2: cert.a.http_01: unknown key
-> did you mean "http-01"?
3: cert.a.dns01: unknown key
-> did you mean "dns-01"?
4: cert.a.domains: unknown key
-> list names by challenge: http-01 = ["mail.example.org"]
`},
	{"in a deployment", `[deploy.nginx]
fullchain = "/x"
keymode = "0600"
restart = ["x"]
[deploy.nginx.verify_]
x = 1`, `
2: deploy.nginx.fullchain: unknown key
-> did you mean "chain"?
3: deploy.nginx.keymode: unknown key
-> did you mean "key_mode"?
4: deploy.nginx.restart: unknown key
-> known in [deploy.nginx]: chain chain_mode check combined group intermediates key key_mode leaf nodes owner pkcs12 pkcs12_legacy pkcs12_password_file preset reload socket staging timeout verify
5: deploy.nginx.verify_: unknown key
-> did you mean "verify"?
`},
	{"in notify and status", `[notify]
comand = ["x"]
[status]
address = "x"`, `
2: notify.comand: unknown key
-> did you mean "command"?
4: status.address: unknown key
-> known in [status]: listen names
`},
	{"in the wrong table", `[http-01]
email = "ann@example.org"
host = "x"`, `
2: http-01.email: unknown key
-> its place is at the top of the file, before the first [table]
3: http-01.host: unknown key
-> its place is in [identity.NAME]
`},
	{"at the top, but of a table", `host = "m.example.org"
listen = ":80"
reload = ["x"]
dns = "ns"`, `
1: host: unknown key
-> its place is in [identity.NAME]
2: listen: unknown key
-> its place is in [http-01] or in [status] or in [tls-alpn]
3: reload: unknown key
-> its place is in [deploy.NAME]
4: dns: is a string, not a table
-> give each table a name: [dns.NAME]
`},
	{"that TOML must quote", `[cert.a]
http-01 = ["a.example.org"]
"x,y" = 1
"-" = 2
"" = 3
"back\\slash" = 4
"\u001b[31mred\u202eder\u0085" = 5
'sin"gle' = 6`, `
3: cert.a."x,y": unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
4: cert.a.-: unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
5: cert.a."": unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
6: cert.a."back\\slash": unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
7: cert.a."\u001b[31mred\u202eder\u0085": unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
8: cert.a."sin\"gle": unknown key
-> known in [cert.a]: deploy dns dns-01 dns-persist-01 external http-01 key preferred_chain profile sign_with tls-alpn-01 tlsa
`},
}
