package config

import (
	"os"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/renew"
)

// The name of the file itself may come from somebody else, too.
func TestHostileFileName(t *testing.T) {
	file := t.TempDir() + "/\x1b[2J\n.toml"
	for _, text := range []string{"", "email = 5\n" + okCert, okCert} {
		mode := os.FileMode(0o600)
		if text == okCert {
			mode = 0o666
		}
		if text != "" {
			writeFile(t, file, text, mode)
		}
		_, err := Load(Options{Path: file, Getenv: noEnv})
		if err == nil || tomltext.Printable(err.Error(), tomltext.MaxMessage) != err.Error() || tomltext.Printable(renew.Remedy(err), tomltext.MaxMessage) != renew.Remedy(err) {
			t.Errorf("%q, %q", err, renew.Remedy(err))
		}
	}
}

// evilText has EVIL wherever there can be text.
const evilText = `email = "EVIL"
state = "/EVIL"
key = "EVIL"
profile = "EVIL"
sign_with = ["EVIL"]
schedule = "EVIL"
window = "EVIL"
"EVIL" = 1
[ca."EVIL"]
directory = "EVIL"
roots = "/EVIL"
eab_kid = "EVIL"
eab_hmac_file = "/EVIL"
[http-01]
listen = "EVIL:80"
webroot = "/EVIL"
[dns."EVIL"]
provider = "EVIL"
env = { "EVIL" = "EVIL", X_FILE = "/EVIL" }
resolvers = ["EVIL"]
propagation = "EVIL"
user = "EVIL"
[identity."EVIL"]
host = "EVIL"
services = ["EVIL"]
components = ["EVIL", "EVIL.example.org", "-EVIL", "example.org:EVIL"]
dns = "EVIL"
deploy = ["EVIL"]
[identity.example."EVIL"]
[cert."EVIL"]
http-01 = ["EVIL"]
[deploy."EVIL"]
preset = "EVIL"
chain = "/EVIL/../{EVIL}"
combined = "/x/../EVIL"
owner = "EVIL"
key_mode = "EVIL"
check = ["EVIL EVIL"]
reload = ["./EVIL"]
verify = ["EVIL", "EVIL:80"]
timeout = "EVIL"
nodes = ["EVIL"]
[fleet]
engine = ["EVIL", "http://EVIL:1"]
prefix = "EVIL"
tls = { ca = "/EVIL", cert = "/EVIL", key = "/EVIL" }
user = "EVIL"
password_file = "/EVIL"
order = ["EVIL"]
waves = ["EVIL"]
bake = "EVIL"
node = "EVIL"
[fleet.nodes]
"EVIL" = "EVIL"
[notify]
command = ["/EVIL EVIL"]
[status]
listen = "unix:EVIL"
`

// Messages stay short and tame wherever the text of the file gets into them.
func TestHostileText(t *testing.T) {
	dir := configDir(t)
	for _, evil := range []string{`\u001b[2J`, `\u202e`, `\n`, `\u0000`, strings.Repeat("x", 1<<16), strings.Repeat("ü", 1<<16), strings.Repeat(`\u001b`, 1000)} {
		text := strings.ReplaceAll(evilText, "EVIL", evil)
		_, err := loadText(t, dir, text)
		said := tell(t, dir, err)
		if strings.Count(said, "\n") < 60 {
			t.Errorf("%.20q: too little is said:\n%s", evil, said)
		}
		for line := range strings.Lines(said) {
			if len(line) > 6*tomltext.MaxMessage || tomltext.Printable(strings.TrimSuffix(line, "\n"), len(line)) != strings.TrimSuffix(line, "\n") {
				t.Errorf("%.20q: %d bytes: %.200q", evil, len(line), line)
			}
		}
	}
}
