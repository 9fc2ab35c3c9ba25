package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const tenMistakes = `# 1
"email" = """
not
an address"""
'state' = '''
relative'''
http-01.listen = "80"

sign_with = [   # 9
  "letsencrypt",
  "nope",
]

ca.x.directory = """
http"""

[dns]           # 17
ns = { provider = "p q", env = { lower = "x" }, resolvers = [
  "x" ] }

[dns."odd,na\\me"]
provider = "exec"
"k,e\"y" = 1
  [ dns . 'more' ]
  propagation   =   "never"

[identity."example.org"]
host = "-"
dns  = "persist"
components = [ "a b",
  "c d" ]
[identity . "example.org" . unknown]
x = 1

[deploy]
[deploy.x]
[deploy.x.y.z]
w = 1
`

// Ten mistakes in one file, in all the ways that TOML has to write them down.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	_, err := loadText(t, dir, tenMistakes)
	var got []string
	for line := range strings.Lines(tell(t, dir, err)) {
		if !strings.HasPrefix(line, "->") {
			at := strings.SplitN(line, ": ", 3)
			got = append(got, at[0]+" "+at[1])
		}
	}
	want := []string{
		`2 email`, `5 state`, `7 http-01.listen`, `9 sign_with`, `14 ca.x.directory`,
		`18 dns.ns.env.lower`, `18 dns.ns.provider`, `18 dns.ns.resolvers`, `21 dns."odd,na\\me"`, `23 dns."odd,na\\me"."k,e\"y"`, `25 dns.more.propagation`, `24 dns.more.provider`,
		`28 identity."example.org".host`, `30 identity."example.org".components`, `30 identity."example.org".components`, `32 identity."example.org".unknown`,
		`37 deploy.x.y.z`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A mistake in a table that no line of its own begins is told where its first
// key stands.
func TestLinesOfImpliedTables(t *testing.T) {
	dir := t.TempDir()
	_, err := loadText(t, dir, "\n[identity]\n\n[cert]\nx.dns = \"persist\"\nx.dns-01 = []\n\n[deploy.BAD.verify]\n")
	got := tell(t, dir, err)
	for _, want := range []string{"5: cert.x.dns: ", "8: deploy.BAD: "} {
		if !strings.Contains(got, want) {
			t.Errorf("mistakes:\n%s\nwant one at %q", got, want)
		}
	}
}

// What editors of Windows put in front of a text is not counted.
func TestLinesAfterByteOrderMark(t *testing.T) {
	dir := t.TempDir()
	_, err := loadText(t, dir, "\ufeff# x\n\n[staus]\n"+okCert)
	if got, want := tell(t, dir, err), "3: staus: unknown key\n-> did you mean \"status\"?\n"; got != want {
		t.Errorf("mistakes:\n%s\nwant:\n%s", got, want)
	}
}

// Both names of a key that differ in case are found.
func TestLinesOfLookAlikes(t *testing.T) {
	dir := t.TempDir()
	for range 20 { // maps are walked in any order
		_, err := loadText(t, dir, "EMAIL = 1\nemail = \"x\"\nEmail = 2\n"+okCert)
		const want = `1: EMAIL: unknown key
-> did you mean "email"?
2: email: "x" is not a mail address
-> write one address and nothing else: "hostmaster@example.org"
3: Email: unknown key
-> did you mean "email"?
`
		if got := tell(t, dir, err); got != want {
			t.Fatalf("mistakes:\n%s\nwant:\n%s", got, want)
		}
	}
}

// A configuration of ten thousand targets is read at once, and so is one with a
// mistake in each of them.
func BenchmarkLoadConfig(b *testing.B) {
	for _, bm := range []struct{ name, account string }{{"correct", "ns"}, {"mistaken", "sn"}} {
		b.Run(bm.name, func(b *testing.B) {
			var text strings.Builder
			text.WriteString("[dns.ns]\nprovider = \"rfc2136\"\n")
			for i := range 5000 {
				fmt.Fprintf(&text, "[identity.\"example%d.org\"]\nhost = \"www.example%[1]d.org\"\ndns = %q\ndeploy = [\"nginx\"]\n", i, bm.account)
			}
			for b.Loop() {
				cfg, mistakes := Options{}.parse("f", text.String(), 0o600, defaults(noEnv, "linux"))
				if (bm.account == "ns") != (len(mistakes) == 0) {
					b.Fatal(mistakes)
				}
				if n := len(cfg.Targets()); n != 10000 {
					b.Fatalf("%d targets", n)
				}
			}
		})
	}
}
