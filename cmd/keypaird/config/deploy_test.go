package config

import (
	"os"
	"strings"
	"testing"
)

func TestDeploymentMistakes(t *testing.T) { testMistakes(t, deployMistakes) }

// Two targets whose paths differ write one file all the same.
func TestOneFileByALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	text := "[deploy.x]\nchain = \"$DIR/{name}.pem\"\n[deploy.y]\nchain = \"$DIR/link/a.pem\"\n" +
		"[cert.a]\nhttp-01 = [\"a.example.org\"]\ndeploy = [\"x\"]\n[cert.b]\nhttp-01 = [\"b.example.org\"]\ndeploy = [\"y\"]\n"
	_, err := loadText(t, dir, text)
	if err == nil || !strings.Contains(err.Error(), dir+"/link/a.pem, which is "+dir+"/a.pem, would be written for the targets \"a\" and \"b\"") {
		t.Errorf("error = %v", err)
	}
}

var deployMistakes = []mistaken{
	{"deployment that does nothing", `[deploy.x]`, `
1: deploy.x: does nothing
-> set chain and key, or combined, or pkcs12, or reload, or preset
`},
	{"pkcs12 without password", `[deploy.x]
pkcs12 = "/a/{name}.p12"
[deploy.y]
pkcs12_password_file = "$DIR/secret"
pkcs12_legacy = true
reload = ["true"]
[deploy.z]
pkcs12 = "b.p12"
pkcs12_password_file = "hunter2"`, `
2: deploy.x.pkcs12: has no pkcs12_password_file
-> write a password to a file for the user who runs keypaird alone, and name it as pkcs12_password_file
4: deploy.y.pkcs12_password_file: is without pkcs12
-> set pkcs12, or leave this out
5: deploy.y.pkcs12_legacy: is without pkcs12
-> set pkcs12, or leave this out
8: deploy.z.pkcs12: "b.p12" is not an absolute path
-> write the path from / on
9: deploy.z.pkcs12_password_file: is not an absolute path
-> put the secret in a file, and write the path of the file from / on
`},
	{"password of pkcs12 unfit", `[deploy.x]
pkcs12 = "/a/{name}.p12"
pkcs12_password_file = "$DIR/open"
[deploy.y]
pkcs12 = "/b/{name}.p12"
pkcs12_password_file = "$DIR/missing"`, `
3: deploy.x.pkcs12_password_file: $DIR/open can be used by others (mode 0644)
-> chmod o= $DIR/open
6: deploy.y.pkcs12_password_file: $DIR/missing: no such file or directory
-> put the secret there, readable only for the user who runs keypaird
`},
	{"preset misspelt", `[deploy.x]
preset = "ngnix"`, `
2: deploy.x.preset: "ngnix" is not a preset
-> did you mean "nginx"?
`},
	{"everything wrong with a deployment", `[deploy.x]
chain = "a"
key = "/etc/{nam}.key"
combined = "/etc/../x.pem"
socket = "/run/{name}"
owner = "nobody-at-all"
group = "nobody-at-all"
chain_mode = "0666"
key_mode = "0644"
check = "nginx -t"
reload = ["curl -H hunter2"]
verify = ["imap:localhost", "https://x.org"]
timeout = "x"`, `
2: deploy.x.chain: "a" is not an absolute path
-> write the path from / on
3: deploy.x.key: "/etc/{nam}.key" holds an unknown placeholder
-> {name}, the target's name, is the only one there is
4: deploy.x.combined: "/etc/../x.pem" is not in its shortest form
-> write it as /x.pem
5: deploy.x.socket: "/run/{name}" differs by target
-> write the path of the one socket
6: deploy.x.owner: there is no user "nobody-at-all"
-> set owner in [deploy.x], by name or number
7: deploy.x.group: there is no group "nobody-at-all"
-> set group in [deploy.x], by name or number
8: deploy.x.chain_mode: "0666" lets others write
-> write "0644", or less
9: deploy.x.key_mode: "0644" lets everybody read a private key
-> write "0600", or "0640" for the server's group
10: deploy.x.check: is a string, not a list
-> write a list: ["...", "..."]
11: deploy.x.reload: "curl" and its arguments are in one string
-> write the program and each argument as a string of its own: ["rcctl", "reload", "relayd"]
12: deploy.x.verify: endpoint "imap:localhost": no port: write "imap:localhost:143"
-> write "[proto:]host:port": "127.0.0.1:443", "xmpp-server:127.0.0.1:5269"
12: deploy.x.verify: endpoint "https://x.org": a URL, not an endpoint: write "https:x.org:443"
-> write "[proto:]host:port": "127.0.0.1:443", "xmpp-server:127.0.0.1:5269"
13: deploy.x.timeout: "x" is not a duration
-> write a number and a unit: "90s", "2m", "1h30m"
`},
	{"everything wrong with an endpoint", `[identity."example.org"]
host = "matrix.example.org"
dns = "persist"
components = ["conference.example.org"]
deploy = ["x"]
[deploy.x]
reload = ["true"]
verify = [
	{ endpoint = "127.0.0.1:5269", names = ["conferense.example.org", "EXAMPLE.org.", "a b"] },
	{ endpiont = "127.0.0.1:443" },
	{ endpoint = "127.0.0.1:443", names = "example.org" },
	{ names = [1] },
	{ endpoint = "127.0.0.1:443", names = [] },
	{},
	443,
]`, `
8: deploy.x.verify: item 2: unknown key "endpiont"
-> did you mean "endpoint"?
8: deploy.x.verify: item 3: names is empty or of the wrong type
-> write "host:port" or { endpoint = "host:port", names = ["..."] }
8: deploy.x.verify: item 4: names is empty or of the wrong type
-> write "host:port" or { endpoint = "host:port", names = ["..."] }
8: deploy.x.verify: item 7 is a number, not an endpoint
-> write "host:port" or { endpoint = "host:port", names = ["..."] }
8: deploy.x.verify: the name "a b" is not a DNS name: it contains a space
-> use letters, digits and inner hyphens, at most 63 to a label and 253 in all
8: deploy.x.verify: names of "127.0.0.1:443" is empty
-> name some, or leave names out for those of the protocol
8: deploy.x.verify: endpoint "": no port: write "host:443"
-> write "[proto:]host:port": "127.0.0.1:443", "xmpp-server:127.0.0.1:5269"
8: deploy.x.verify: no certificate that is deployed there is for "conferense.example.org"
-> did you mean "conference.example.org"?
`},
	{"modes", `[deploy.a]
chain = "/a/"
chain_mode = "755"
key_mode = "660"
[deploy.b]
key = "/b"
chain_mode = 640
key_mode = "0o640"
[deploy.c]
key = "/c"
chain_mode = "644 "
key_mode = "0200"
[deploy.d]
key = "/d"
chain_mode = "4644"
key_mode = "0604"`, `
2: deploy.a.chain: "/a/" is a directory
-> write the path of a file: /a/{name}.pem
3: deploy.a.chain_mode: "755" has execute or special bits
-> write "0644", or less
4: deploy.a.key_mode: "660" lets others write
-> write "0600", or "0640" for the server's group
7: deploy.b.chain_mode: is a number, not a string
-> write it in quotes: "..."
8: deploy.b.key_mode: "0o640" is not a file mode in octal
-> write "0600", or "0640" for the server's group
11: deploy.c.chain_mode: "644 " is not a file mode in octal
-> write "0644", or less
12: deploy.c.key_mode: "0200" keeps the owner from reading
-> write "0600", or "0640" for the server's group
15: deploy.d.chain_mode: "4644" has execute or special bits
-> write "0644", or less
16: deploy.d.key_mode: "0604" lets everybody read a private key
-> write "0600", or "0640" for the server's group
`},
	{"commands", `[deploy.a]
check = [""]
reload = ["echo", "{name}"]
[deploy.b]
check = ["a\u0000"]
reload = ["./reload"]`, `
2: deploy.a.check: the program is empty
-> name a program
3: deploy.a.reload: {name} is not filled in here
-> have the program read $KEYPAIRD_NAMES: it runs once for all targets
5: deploy.b.check: an argument holds a null character
-> leave it out
6: deploy.b.reload: "./reload" is neither a bare name nor an absolute path
-> write the path from / on, or the bare name
`},
	{"socket without the file it is about", `[deploy.x]
socket = "/run/haproxy.sock"
reload = ["true"]`, `
2: deploy.x.socket: needs combined
-> set combined: haproxy knows a certificate by that file
`},
	{"chain and key in one file", `[deploy.x]
chain = "/a/c.pem"
key = "/a//c.pem"
[deploy.y]
chain = "/b/c.pem"
key = "/b/c.pem"
[cert.a]
http-01 = ["a.example.org"]
deploy = ["x", "y"]`, `
3: deploy.x.key: "/a//c.pem" is not in its shortest form
-> write it as /a/c.pem
5: deploy.y.chain: /b/c.pem would hold both key and chain
-> give each a file of its own, or use combined for key and chain in one
`},
	{"three targets in one file", `[deploy.x]
chain = "/a/c.pem"
key = "/a/k.pem"
[cert.a]
http-01 = ["a.example.org"]
deploy = ["x"]
[cert.b]
http-01 = ["b.example.org"]
deploy = ["x"]
[cert.c]
http-01 = ["c.example.org"]
deploy = ["x"]`, `
2: deploy.x.chain: /a/c.pem would be written for the targets "a" and "b"
-> put {name} into the path: each target needs a file of its own
3: deploy.x.key: /a/k.pem would be written for the targets "a" and "b"
-> put {name} into the path: each target needs a file of its own
`},
	{"two deployments in one file", `[deploy.x]
chain = "/a/{name}.pem"
[deploy.y]
key = "/a/{name}.pem"
[cert.a]
http-01 = ["a.example.org"]
deploy = ["x", "y"]`, `
4: deploy.y.key: /a/a.pem would be written for [deploy.x] and [deploy.y]
-> give each deployment files of its own
`},
	{"two targets in one file by way of two deployments", `[deploy.x]
chain = "/a/{name}.pem"
[deploy.y]
chain = "/a/a.pem"
[cert.a]
http-01 = ["a.example.org"]
deploy = ["x"]
[cert.b]
http-01 = ["b.example.org"]
deploy = ["y"]`, `
4: deploy.y.chain: /a/a.pem would be written for the targets "a" and "b"
-> put {name} into the path: each target needs a file of its own
`},
	{"a table and the preset under it in one file", `[deploy.web]
preset = "haproxy"
owner = ""
group = ""
[deploy.haproxy]
owner = ""
group = ""
[cert.a]
http-01 = ["a.example.org"]
deploy = ["web", "haproxy"]`, `
5: deploy.haproxy: /etc/haproxy/certs/a.pem would be written for [deploy.web] and [deploy.haproxy]
-> give each deployment files of its own
`},
	{"files of keypaird's own", `state = "$DIR/state"
[deploy.x]
chain = "$DIR/state/{name}.pem"
key = "$DIR/keypaird.toml"
[cert.a]
http-01 = ["a.example.org"]
deploy = ["x"]`, `
3: deploy.x.chain: $DIR/state/a.pem lies in the state directory, which is keypaird's own
-> choose another directory, or let the server read $DIR/state/certs/a/live
4: deploy.x.key: $DIR/keypaird.toml is the configuration itself
-> choose another file
`},
}
