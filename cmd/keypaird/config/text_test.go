package config

import (
	"os"
	"strings"
	"testing"

	"keypaird/renew"
)

// What a hostile file can have us print.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "/etc/ssl/bücher.pem", "/etc/ssl/bücher.pem"},
		{"escape sequence", "a\x1b[31mb", `a\x1b[31mb`},
		{"escape sequence of one character", "a\u009b31mb", `a\u009b31mb`},
		{"second line", "a\nkeypaird: all is well", `a\nkeypaird: all is well`},
		{"right to left", "a\u202eb", `a\u202eb`},
		{"invisible", "a\u200bb", `a\u200bb`},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"long", strings.Repeat("ü", 20), strings.Repeat("ü", 10) + "..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 1000
			if tt.name == "long" {
				n = 10
			}
			if got := Printable(tt.in, n); got != tt.want {
				t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

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
		if err == nil || Printable(err.Error(), maxMessage) != err.Error() || Printable(renew.Remedy(err), maxMessage) != renew.Remedy(err) {
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
			if len(line) > 6*maxMessage || Printable(strings.TrimSuffix(line, "\n"), len(line)) != strings.TrimSuffix(line, "\n") {
				t.Errorf("%.20q: %d bytes: %.200q", evil, len(line), line)
			}
		}
	}
}
