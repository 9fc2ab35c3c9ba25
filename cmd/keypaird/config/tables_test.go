package config

import (
	"strings"
	"testing"

	"keypaird/renew/launch"
)

func TestTableMistakes(t *testing.T) { testMistakes(t, tablesMistakes) }

var tablesMistakes = []mistaken{
	{"CA without a directory", `[ca.internal]`, `
1: ca.internal.directory: is missing
-> write the URL of its ACME directory: "https://ca.example.net/acme/directory"
`},
	{"CA over http", `[ca.internal]
directory = "http://ca.example.net/dir"`, `
2: ca.internal.directory: is not the https URL of an ACME directory
-> write it as "https://ca.example.net/acme/directory", without a user name
`},
	{"CA with a password, relative roots, half an external account", `[ca.internal]
directory = "https://user:hunter2@ca.example.net/dir"
roots = "root.pem"
eab_kid = "x"`, `
1: ca.internal.eab_hmac_file: is missing beside eab_kid
-> set both, as the CA hands them out, or none
2: ca.internal.directory: is not the https URL of an ACME directory
-> write it as "https://ca.example.net/acme/directory", without a user name
3: ca.internal.roots: "root.pem" is not an absolute path
-> write the path from / on
`},
	{"CA with the HMAC key itself instead of its file, and the other half", `[ca.internal]
directory = "https://ca.example.net/dir"
roots = "/nonexistent/root.pem"
eab_hmac_file = "hunter2"`, `
1: ca.internal.eab_kid: is missing beside eab_hmac_file
-> set both, as the CA hands them out, or none
3: ca.internal.roots: /nonexistent/root.pem: no such file or directory
-> name a PEM file with the root certificate of the CA's own TLS
4: ca.internal.eab_hmac_file: is not an absolute path
-> put the secret in a file, and write the path of the file from / on
`},
	{"CA with roots that are none, HMAC file that others can read", `[ca.internal]
directory = "https://ca.example.net/dir"
roots = "$DIR/hmac"
eab_kid = "x"
eab_hmac_file = "$DIR/open"`, `
3: ca.internal.roots: $DIR/hmac: holds no certificate
-> name a PEM file with the root certificate of the CA's own TLS
5: ca.internal.eab_hmac_file: $DIR/open can be used by others (mode 0644)
-> chmod o= $DIR/open
`},
	{"CA with roots that others can change, HMAC file with something else in it", `[ca.internal]
directory = "https://ca.example.net/dir"
roots = "$DIR/writable.pem"
eab_kid = "x"
eab_hmac_file = "$DIR/secret"`, `
3: ca.internal.roots: $DIR/writable.pem: can be written by others (mode 0666)
-> chmod go-w $DIR/writable.pem
5: ca.internal.eab_hmac_file: $DIR/secret does not hold an HMAC key
-> put the key there as the CA hands it out, in base64, and nothing else
`},
	{"CA with a broken certificate for roots", `[ca.internal]
directory = "https://ca.example.net/dir"
roots = "$DIR/broken.pem"`, `
3: ca.internal.roots: $DIR/broken.pem: holds a certificate that cannot be read
-> name a PEM file with the root certificate of the CA's own TLS
`},
	{"name of a table with capitals and a space", `[ca."My CA"]
directory = "https://ca.example.net/dir"`, `
1: ca."My CA": "My CA" cannot be the name of a table
-> use a-z 0-9 . _ - and begin with a letter or digit
`},
	{"table without a name", `[ca]
directory = "https://ca.example.net/dir"
roots = "/x"`, `
2: ca.directory: stands in [ca] itself
-> give each table a name: [ca.NAME]
`},
	{"http-01 on a bare port, relative webroot", `[http-01]
listen = "80"
webroot = "www"`, `
2: http-01.listen: "80" is not an address to listen on
-> write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses
3: http-01.webroot: "www" is not an absolute path
-> write the path from / on
`},
	{"http-01 as OpenBSD writes addresses, webroot that is missing", `[http-01]
listen = "*:80"
webroot = "$DIR/missing"`, `
2: http-01.listen: "*:80" is not an address to listen on
-> leave the * out: ":80"
3: http-01.webroot: there is no directory "$DIR/missing"
-> make the directory, and have the web server show it as /.well-known/acme-challenge/
`},
	{"http-01 on a socket without a name, webroot that is a file", `[http-01]
listen = "fd:"
webroot = "$DIR/hmac"`, `
2: http-01.listen: "" is not the name of a socket
-> write the name of a socket of the service manager: "fd:http"
3: http-01.webroot: $DIR/hmac is not a directory
-> name the directory that the web server shows as /.well-known/acme-challenge/
`},
	{"http-01 on a named port", `[http-01]
listen = "localhost:http"`, `
2: http-01.listen: "localhost:http" is not an address to listen on
-> write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses
`},
	{"http-01 on a host that is none", `[http-01]
listen = "local host:80"`, `
2: http-01.listen: "local host:80" is not an address to listen on
-> write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses
`},
	{"http-01 as a string", `http-01 = ":80"`, `
1: http-01: is a string, not a table
-> write [http-01] and its keys on lines below
`},
	{"DNS account called as dns-persist-01 is", `[dns.persist]
provider = "rfc2136"`, `
1: dns.persist: "persist" stands for dns-persist-01
-> call the account something else
`},
	{"variables as a string", `[dns.ns]
env = "TOKEN=hunter2"`, `
1: dns.ns.provider: is missing
-> name one of those that keypaird dns lists
2: dns.ns.env: is a string, not a table
-> write env = { VARIABLE = "..." }
`},
	{"every kind of wrong variable on one line", `[dns.ns]
provider = "rfc2136"
env = { NUMBER = 12345, token = "x", X_FILE = "hunter2", Y_FILE = "$DIR/open", Z_FILE = "$DIR/none", Z = "2", W = "a\u0000b" }`, `
3: dns.ns.env.NUMBER: is a number, not a string
-> write it in quotes: "..."
3: dns.ns.env.W: the value holds a null character
-> leave it out
3: dns.ns.env.X_FILE: is not an absolute path
-> put the secret in a file, and write the path of the file from / on
3: dns.ns.env.Y_FILE: $DIR/open can be used by others (mode 0644)
-> chmod o= $DIR/open
3: dns.ns.env.Z_FILE: Z is given twice, as it is and by a file
-> leave one of them out
3: dns.ns.env.token: "token" is not the name of a variable
-> write it in capitals, as keypaird dns lists it for the provider
`},
	{"resolvers by name and without a port, user that is none", `[dns.ns]
provider = "rfc 2136"
resolvers = ["ns1.example.org", "192.0.2.53:0", "[2001:db8::53]", "192.0.2.53"]
user = "nobody-at-all"`, `
2: dns.ns.provider: "rfc 2136" is not a provider
-> name one of those that keypaird dns lists
3: dns.ns.resolvers: "ns1.example.org" is not the address of a resolver
-> write addresses: ["192.0.2.53", "[2001:db8::53]:53"]
3: dns.ns.resolvers: "192.0.2.53:0" is not the address of a resolver
-> write addresses: ["192.0.2.53", "[2001:db8::53]:53"]
4: dns.ns.user: there is no user "nobody-at-all"
-> make it, as root: ` + launch.MakeUser("nobody-at-all") + `; or leave the key out
`},
	{"root as the user of a DNS account", "[dns.ns]\nprovider = \"rfc2136\"\nuser = \"root\"", `
3: dns.ns.user: keypaird-dns must not run as root
-> name another user, or leave the key out: it is then nobody
`},
	{"durations", `[dns.a]
provider = "rfc2136"
propagation = "2"
[dns.b]
provider = 5
propagation = 120
[dns.c]
provider = "rfc2136"
propagation = "0s"
[dns.d]
provider = "rfc2136"
propagation = "48h"`, `
3: dns.a.propagation: "2" is not a duration
-> write a number and a unit: "90s", "2m", "1h30m"
5: dns.b.provider: is a number, not a string
-> write it in quotes: "..."
6: dns.b.propagation: is a number, not a duration in quotes
-> write a number and a unit: "90s", "2m", "1h30m"
9: dns.c.propagation: "0s" is not a positive duration
-> write more than that, or leave the key out for its default
12: dns.d.propagation: "48h" is too long
-> write at most "24h"
`},
	{"list of tables", `[[dns]]
provider = "rfc2136"`, `
1: dns: is a list of tables, not a table
-> give each table a name: [dns.NAME]
`},
	{"command as a string", `[notify]
command = "mail root"`, `
2: notify.command: is a string, not a list
-> write a list: ["...", "..."]
`},
	{"relative command", `[notify]
command = ["bin/mail"]`, `
2: notify.command: "bin/mail" is neither a bare name nor an absolute path
-> write the path from / on, or the bare name
`},
	{"status page on the port of http-01", `[status]
listen = "127.0.0.1:80"`, `
2: status.listen: "127.0.0.1:80" is taken by [http-01], which listens on ":80"
-> choose another port: "127.0.0.1:8403"
`},
	{"status page on a relative socket", `[status]
listen = "unix:run/status"`, `
2: status.listen: "run/status" is not an absolute path
-> write "unix:/run/keypaird.sock"
`},
	{"status page on a socket with a long name", `[status]
listen = "unix:/` + strings.Repeat("x", 103) + `"`, `
2: status.listen: the path of a socket has 103 characters at most
-> choose a shorter one
`},
	{"status page on a socket without a name", `[status]
listen = "fd:"`, `
2: status.listen: "" is not the name of a socket
-> write the name of a socket of the service manager: "fd:status"
`},
	{"status page on the socket of http-01", `[http-01]
listen = "fd:http"
[status]
listen = "fd:http"`, `
4: status.listen: "fd:http" is taken by [http-01], which listens on "fd:http"
-> choose another port: "127.0.0.1:8403"
`},
	{"tls-alpn-01 nowhere", `[tls-alpn]
listen = ""`, `
2: tls-alpn.listen: "" is not an address to listen on
-> write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses
`},
	{"tls-alpn-01 on the port of http-01, status page on it too", `[tls-alpn]
listen = "127.0.0.1:80"
[status]
listen = "127.0.0.1:80"`, `
2: tls-alpn.listen: "127.0.0.1:80" is taken by [http-01], which listens on ":80"
-> choose another port: "127.0.0.1:8404"
4: status.listen: "127.0.0.1:80" is taken by [tls-alpn], which listens on "127.0.0.1:80"
-> choose another port: "127.0.0.1:8403"
4: status.listen: "127.0.0.1:80" is taken by [http-01], which listens on ":80"
-> choose another port: "127.0.0.1:8403"
`},
	{"status page without a port", `[status]
listen = "localhost"`, `
2: status.listen: "localhost" is not an address to listen on
-> write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses
`},
}
