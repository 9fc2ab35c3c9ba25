package config

import (
	"testing"
)

func TestExternalMistakes(t *testing.T) { testMistakes(t, externalMistakes) }

const (
	noProof = "remove it: an external certificate has its own names; or remove external, and keypaird obtains one"
	noOrder = "remove it: an external certificate is not ordered"
)

var externalMistakes = []mistaken{
	{"bought and ordered", `[cert.shop]
external = { chain = "/root/shop.pem", key = "/root/shop.key" }
http-01 = ["shop.example.org"]
dns-01 = ["example.org"]
dns-persist-01 = ["example.net"]
dns = "nowhere"
key = "rsa2048"
profile = "shortlived"
sign_with = ["nobody"]
preferred_chain = "Root"
tlsa = ["_25._tcp.shop.example.org"]
deploy = ["nginx"]`, `
3: cert.shop.http-01: cannot be used with external
-> ` + noProof + `
4: cert.shop.dns-01: cannot be used with external
-> ` + noProof + `
5: cert.shop.dns-persist-01: cannot be used with external
-> ` + noProof + `
6: cert.shop.dns: cannot be used with external
-> ` + noOrder + `
7: cert.shop.key: cannot be used with external
-> ` + noOrder + `
8: cert.shop.profile: cannot be used with external
-> ` + noOrder + `
9: cert.shop.sign_with: cannot be used with external
-> ` + noOrder + `
10: cert.shop.preferred_chain: cannot be used with external
-> ` + noOrder + `
11: cert.shop.tlsa: cannot be used with external
-> ` + noOrder + `
`},
	{"nothing", `[cert.shop]
external = {}`, `
2: cert.shop.external.chain: is missing
-> name the file with the certificate and its intermediates: chain = "/root/external/chain.pem"
2: cert.shop.external.key: is missing
-> name the file with its private key: key = "/root/external/key.pem"
`},
	{"half, as a table of its own", `[cert.shop.external]
chain = "/root/shop.pem"`, `
1: cert.shop.external.key: is missing
-> name the file with its private key: key = "/root/external/key.pem"
`},
	{"a string", `[cert.shop]
external = "/root/shop.pem"`, `
2: cert.shop.external: is a string, not a table
-> write [cert.shop.external] and its keys on lines below
`},
	{"the key itself, and a path from nowhere", `[cert.shop]
external = { chain = "shop.pem", key = "-----BEGIN PRIVATE KEY-----hunter2" }`, `
2: cert.shop.external.chain: is not an absolute path
-> write the path of the file from / on
2: cert.shop.external.key: is not an absolute path
-> write the path of the file from / on
`},
	{"one file for both", `[cert.shop]
external = { chain = "/root/shop.pem", key = "/root/./shop.pem" }`, `
2: cert.shop.external.key: is the file of chain, too
-> put key and certificates into files of their own
`},
	{"keypaird's own directory", `state = "/var/lib/keypaird"
[cert.shop]
[cert.shop.external]
chain = "/var/lib/keypaird/certs/shop/live/fullchain.pem"
key = "/var/lib/keypaird/../keypaird/x"`, `
4: cert.shop.external.chain: /var/lib/keypaird/certs/shop/live/fullchain.pem lies in the state directory, which is keypaird's own
-> put the file into another directory: keypaird copies it to where it keeps pairs
5: cert.shop.external.key: /var/lib/keypaird/../keypaird/x lies in the state directory, which is keypaird's own
-> put the file into another directory: keypaird copies it to where it keeps pairs
`},
	{"files that deployments write, of this target and of others", `[deploy.x]
chain = "/etc/ssl/{name}.crt"
key = "/etc/ssl/{name}.key"
[cert.shop]
deploy = ["x"]
[cert.shop.external]
chain = "/etc/ssl/shop.crt"
key = "/etc/ssl/mail.key"
[cert.mail]
http-01 = ["mail.example.org"]
deploy = ["x"]`, `
7: cert.shop.external.chain: /etc/ssl/shop.crt is written by [deploy.x] for the target "shop"
-> keep the external files in another directory: keypaird copies them to where the server reads them
8: cert.shop.external.key: /etc/ssl/mail.key is written by [deploy.x] for the target "mail"
-> keep the external files in another directory: keypaird copies them to where the server reads them
`},
	{"a key that is none, a deployment that is none", `[cert.shop]
external = { chain = "/root/shop.pem", keys = "/root/shop.key" }
deploy = ["ngnix"]`, `
2: cert.shop.external.keys: unknown key
-> did you mean "key"?
3: cert.shop.deploy: there is no deployment "ngnix"
-> did you mean "nginx"? (or add a table [deploy.NAME])
`},
	{"in an identity, where there is no such key", `[identity."example.org"]
host = "matrix.example.org"
dns = "persist"
external = { chain = "/root/shop.pem", key = "/root/shop.key" }`, `
4: identity."example.org".external: unknown key
-> its place is in [cert.NAME]
`},
}

// A bought certificate takes nothing from the top that is about orders, and its
// files need not be there: they may come later.
func TestExternalTarget(t *testing.T) {
	cfg, err := loadText(t, configDir(t), `sign_with = ["letsencrypt"]
[cert.shop]
external = { chain = "/nowhere/shop.pem", key = "/nowhere/shop.key" }
deploy = ["nginx"]
`)
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Targets()
	if len(got) != 1 {
		t.Fatalf("targets = %+v", got)
	}
	x := got[0]
	if x.External != (External{"/nowhere/shop.pem", "/nowhere/shop.key"}) || x.Key != "" || len(x.SignWith)+len(x.Challenges) != 0 || len(x.Deploy) != 1 {
		t.Errorf("target = %+v", x)
	}
}
