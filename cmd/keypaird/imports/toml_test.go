package imports

import (
	"testing"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

// Whatever a tree has as text is text in the configuration, and nothing else.
func TestHostileText(t *testing.T) {
	p, err := pairtest.Issue([]string{"a.example.org"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	for _, text := range []string{
		`plain`, `"`, `\`, `\"`, "a\nb = 1\n[x]", "\x00\x01\x1b[31m\x7f", "</script>&", "\a\v\t\r", "é\u2028 \U0001F511", `"""`, `'''`, "#",
	} {
		tree := &trees.Tree{Client: "certbot", Dir: "/a\"\n]" + text, Certificates: []*trees.Certificate{{
			Name: "../" + text, Pair: p, Directory: "https://ca.example.org/dir", RootName: text,
			Challenges: []trees.Challenge{{Name: "a.example.org", Type: "http-01"}},
		}}}
		plan, err := New(tree, Options{Config: "/nowhere/keypaird.toml", Getenv: none})
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := plan.Check(config.Options{Getenv: none})
		if err != nil {
			t.Errorf("%q: %v\n%s", text, err, plan.Text())
			continue
		}
		cert, ok := cfg.Cert[plan.targets[0].name]
		if !ok || len(cfg.Cert) != 1 || cert.PreferredChain == nil || *cert.PreferredChain != text {
			t.Errorf("%q became %+v", text, cfg.Cert)
		}
	}
}

// Names of tables are those that a configuration may have, whatever a client calls things.
func TestTableName(t *testing.T) {
	for name, want := range map[string]string{
		"example.org": "example.org", "*.Example.org": "wildcard.example.org", "_.example.org": "example.org", "a b/c": "a-b-c", "..": "imported",
		"": "imported", "-x": "x", "é": "imported", "::1": "1", "a..b": "a-b", "a.": "a",
	} {
		if got := tableName(name); got != want || keypair.CheckName(got) != nil {
			t.Errorf("tableName(%q) = %q, want %q", name, got, want)
		}
	}
}
