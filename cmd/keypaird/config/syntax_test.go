package config

import (
	"strings"
	"testing"
)

func TestSyntaxMistakes(t *testing.T) {
	dir := configDir(t)
	for _, tt := range syntaxMistakes {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadText(t, dir, tt.text)
			got, _, _ := strings.Cut(tell(t, dir, err), "\n->")
			if got != tt.want {
				t.Errorf("mistake:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

var syntaxMistakes = []mistaken{
	{"text without quotes", "email = hunter2", `1: email: a value that is not TOML`},
	{"secret without quotes", "[dns.ns]\nenv = { TOKEN = hunter2 }", `2: dns.ns.env.TOKEN: a value that is not TOML`},
	{"secret that begins as a number", "[dns.ns]\nenv = { TOKEN = 123hunter2 }", `2: dns.ns.env.TOKEN: a list or inline table with a comma missing or too many, or not closed`},
	{"secret as a huge number", "[dns.ns.env]\nTOKEN = 99999999999999999999", `2: dns.ns.env.TOKEN: a number that is too large`},
	{"secret with a backslash", "[dns.ns.env]\nTOKEN = \"hunter2\\q\"", `2: dns.ns.env.TOKEN: a \ that TOML does not know in "double quotes"`},
	{"secret with half an escape", "[dns.ns.env]\nTOKEN = \"hunter2\\u12\"", `2: dns.ns.env.TOKEN: a \ that TOML does not know in "double quotes"`},
	{"secret with half a character", "[dns.ns.env]\nTOKEN = \"hunter2\\uD800\"", `2: dns.ns.env.TOKEN: a \ that TOML does not know in "double quotes"`},
	{"typographic quotes", "email = “hunter2”", `1: email: a value that is not TOML`},
	{"no value", "x = 1\nemail =\n", `2: email: a value that is not TOML`},
	{"quote not closed", "x = 1\nemail = \"hunter2\ny = 2", `2: email: a string that does not end on its line`},
	{"long string not closed", "x = 1\nemail = \"\"\"\nhunter2\n\n\n", `3: email: the file ends inside a string, list or table`},
	{"list not closed", "sign_with = [\n  \"a\",\r\n\r\n", `2: sign_with: the file ends inside a string, list or table`},
	{"comma missing", "sign_with = [\n  \"a\"\n  \"b\"\n]", `3: sign_with: a list or inline table with a comma missing or too many, or not closed`},
	{"table not closed", "x = 1\n[dns.ns\nprovider = 1", `2: a table name that is not TOML`},
	{"table without a name", "[dns.]", `1: a table without a name`},
	{"list of tables not closed", "[[dns.ns]", `1: a table name that is not closed`},
	{"domain with an umlaut, without quotes", "[identity.bücher.example]", `1: a table name that is not TOML`},
	{"key alone", "email\nx = 1", `1: neither a table nor a key with a value`},
	{"YAML", "email: x", `1: neither a table nor a key with a value`},
	{"JSON", `{"email": "x"}`, `1: neither a table nor a key with a value`},
	{"XML", `<?xml version="1.0"?>`, `1: neither a table nor a key with a value`},
	{"comment of another language", "x = 1\n; no", `2: neither a table nor a key with a value`},
	{"two values", `email = "hunter2" "hunter2"`, `1: something stands behind the value or table`},
	{"value without a key", "= 5", `1: a value without a key`},
	{"permissions without quotes", "[deploy.x]\nkey_mode = 0640", `2: deploy.x.key_mode: a number that begins with 0`},
	{"number with letters", "parallel = 0xg", `1: parallel: a number that is not TOML`},
	{"half a fraction", "parallel = 1.", `1: parallel: a number that is not TOML`},
	{"day that is none", "profile = 2026-13-13", `1: profile: a date that is not TOML`},
	{"key twice", "email = \"x\"\n\nemail = \"y\"", `3: email: stands twice in the file`},
	{"key twice, in another form", "http-01 = { listen = \":80\" }\n[http-01]\nlisten = \":81\"", `2: http-01: stands twice in the file`},
	{"table twice", "[dns.ns]\n[dns.ns]", `2: dns.ns: stands twice in the file`},
	{"table under a value", "dns = 1\n[dns.ns]", `2: dns: stands twice in the file`},
	{"null character", "email = \"x\"\n# \x00\n", `2: not text in UTF-8, or a control character`},
	{"control character", "email = \"\x1b[31m\"", `1: not text in UTF-8, or a control character`},
	{"Latin-1", "\n\n# b\xfccher", `3: not text in UTF-8, or a control character`},
	{"UTF-16", "\xff\xfee\x00m\x00", `1: not text in UTF-8, or a control character`},
	{"lines of a Macintosh", "email = \"x\"\rkey = \"ec256\"", `1: not text in UTF-8, or a control character`},
	{"a program", "\x7fELF\x02\x01", `1: not text in UTF-8, or a control character`},
	{"empty file", "", `no certificate is configured`},
	{"comments only", "# email\n", `no certificate is configured`},
}

// The library's words repeat values and speak of its own affairs: all of those
// that a text can bring about have been put into ours.
func TestSyntaxInOurWords(t *testing.T) {
	for _, text := range []string{
		"a..b = 1", ".a = 1", "a = = 1", "a = 1__0", "a = +0x1", "a = .5", "a = -_1", "a = 1e", "a = 0b2", "a = 0o8",
		"a = inf2", "a = nanx", "a = [1,,2]", "a = {,}", "a = { = 1 }", "a = { b }", "a = \"\"\"\\q\"\"\"", "a = ''''''''", "a = \"\"\"\"\"\"\"\"",
		"a = 12:60:00", "a = 1.e5", "a = 1_.5", "[a]]", "[]", "[ . ]", "[[]]", "[a", "[[a", "a.", "a . = 1", "\"a", "'a", "\"a\\q\" = 1", "a = t", "a = \"\\x1\"",
		"a.b = 1\na = 2", "a = 1\na.b = 2", "[a]\nb = 1\n[a.b]", "a = []\n[[a]]", "[[a]]\n[a]", "a = {b = 1}\n[a.c]", "a = {b = 1}\na.c = 1", "a=\"\\ \"",
	} {
		_, mistakes := Options{}.parse("f", text, 0o600, defaults(noEnv, "linux"))
		if len(mistakes) == 0 {
			t.Errorf("%q: no mistake", text)
			continue
		}
		if m := mistakes[0]; m.Problem == "not TOML" || m.Line == 0 {
			t.Errorf("%q: %v", text, m)
		}
	}
}

func TestSyntaxThatIsFine(t *testing.T) {
	dir := configDir(t)
	for _, tt := range []struct{ name, text string }{
		{"byte order mark", "\ufeffemail = \"ann@example.org\"\n" + okCert},
		{"lines of Windows", strings.ReplaceAll("email = \"ann@example.org\"\n"+okCert, "\n", "\r\n")},
		{"no line end at the end", strings.TrimRight(okCert, "\n")},
		{"tabs", "\temail\t=\t\"ann@example.org\"\t# x\n" + okCert},
		{"replacement character in a comment", "# \ufffd\n" + okCert},
		{"one inline table for all", `cert = { a = { http-01 = [ "a.example.org" ] } }`},
		{"dotted keys", "cert.a.http-01 = [\"a.example.org\"]\ncert.a.key = 'rsa2048'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := loadText(t, dir, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Targets()) != 1 {
				t.Errorf("targets: %v", cfg.Targets())
			}
		})
	}
}
