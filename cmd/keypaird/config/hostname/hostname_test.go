package hostname

import (
	"strings"
	"testing"
	"unicode"

	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

func TestNormalName(t *testing.T) {
	long := strings.Repeat("a", 63)
	longest := long + "." + long + "." + long + "." + strings.Repeat("b", 61) // 253
	for _, tt := range []struct{ name, in, want string }{
		{"as it should be", "example.org", "example.org"},
		{"capitals", "Matrix.Example.ORG", "matrix.example.org"},
		{"final dot", "example.org.", "example.org"},
		{"spaces around", "  example.org\t", "example.org"},
		{"umlaut", "bücher.example", "xn--bcher-kva.example"},
		{"capital umlaut", "BÜCHER.example", "xn--bcher-kva.example"},
		{"umlaut of two characters", "bu\u0308cher.example", "xn--bcher-kva.example"},
		{"encoded", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"encoded in capitals", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"sharp s, which is not ss", "faß.example", "xn--fa-hia.example"},
		{"final sigma", "ας.example", "xn--mxa8a.example"},
		{"full-width dot", "example。org", "example.org"},
		{"full-width final dot", "example.org。", "example.org"},
		{"full-width letters", "ｅｘａｍｐｌｅ.org", "example.org"},
		{"umlaut in the top", "example.österreich", "example.xn--sterreich-z7a"},
		{"Arabic", "مثال.example", "xn--mgbh0fb.example"},
		{"wildcard", "*.Bücher.example", "*.xn--bcher-kva.example"},
		{"one label", "intranet", "intranet"},
		{"digits", "4.example.org", "4.example.org"},
		{"longest label", long + ".org", long + ".org"},
		{"longest name", longest, longest},
		{"longest name with final dot", longest + ".", longest},
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv6", "2001:DB8:0:0::1", "2001:db8::1"},
		{"IPv6 in brackets", "[2001:db8::1]", "2001:db8::1"},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Normal(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("normalName(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestRefusedNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "is empty"},
		{"spaces", " \t", "is empty"},
		{"URL", "https://example.org/", "is a URL"},
		{"mail address", "ann@example.org", "is a mail address"},
		{"path", "../example.org", "is a path or a network"},
		{"path of Windows", `a\b`, "is a path or a network"},
		{"network", "192.0.2.0/24", "is a path or a network"},
		{"port", "example.org:443", "has a port"},
		{"address with a port", "192.0.2.1:443", "has a port"},
		{"IPv6 address with a port", "[2001:db8::1]:443", "has a port"},
		{"zone", "fe80::1%em0", "has a zone"},
		{"one bracket", "[192.0.2.1", "is not a DNS name: disallowed rune U+005B"},
		{"root", ".", "is not a DNS name: it has an empty label"},
		{"dot in front", ".example.org", "is not a DNS name: it has an empty label"},
		{"two dots", "example..org", "is not a DNS name: it has an empty label"},
		{"two dots behind", "example.org..", "is not a DNS name: it has an empty label"},
		{"two dots behind, one full-width", "example.org.。", "is not a DNS name: it has an empty label"},
		{"dot of a soft hyphen", "\u00ad.example.org", "is not a DNS name: invalid label \".example.org\""},
		{"space", "exa mple.org", "is not a DNS name: it contains a space"},
		{"line end", "example.org\nexample.net", "is not a DNS name: it contains a space"},
		{"null character", "example\x00.org", "is not a DNS name: disallowed rune U+0000"},
		{"not UTF-8", "ex\xffample.org", "has a character that is not valid UTF-8"},
		{"underscore", "_dmarc.example.org", "is not a DNS name: it contains an underscore"},
		{"hyphen in front", "-a.example.org", `is not a DNS name: label "-a" begins or ends with a hyphen`},
		{"hyphen behind", "a-.example.org", `is not a DNS name: label "a-" begins or ends with a hyphen`},
		{"hyphens of an encoded name", "ab--c.example.org", `is not a DNS name: label "ab--c" has hyphens in third and fourth place, which only encoded names have`},
		{"not encoded", "xn--a.example.org", `is not a DNS name: label "xn--a" is not valid Punycode; write the Unicode name`},
		{"encoded for nothing", "xn--example-.org", `is not a DNS name: label "xn--example-" begins or ends with a hyphen`},
		{"two directions", "aمثال.example", "is not a DNS name: invalid label \"aمثال.example\""},
		{"label too long", long + "a.org", "is not a DNS name: a label is longer than 63 characters, encoded"},
		{"umlauts too long", strings.Repeat("ü", 63) + ".org", "is not a DNS name: a label is longer than 63 characters, encoded"},
		{"name too long", long + "." + long + "." + long + "." + strings.Repeat("b", 62), "is not a DNS name: it is longer than 253 characters"},
		{"wildcard too long", "*." + long + "." + long + "." + long + "." + strings.Repeat("b", 61), "is longer than 253 characters"},
		{"name far too long", strings.Repeat("a.", 1<<20), "is longer than 253 characters"},
		{"part of an address", "1.2.3", "ends in a number, as no DNS name does"},
		{"address with a final dot", "192.0.2.1.", "ends in a number, as no DNS name does"},
		{"full-width address", "１９２.0.2.1", "ends in a number, as no DNS name does"},
		{"number", "42", "ends in a number, as no DNS name does"},
		{"two wildcards", "*.*.example.org", "has a * that is not its whole first label"},
		{"wildcard inside", "a.*.example.org", "has a * that is not its whole first label"},
		{"wildcard of a part", "a*.example.org", "has a * that is not its whole first label"},
		{"wildcard of everything", "*", "has a * that is not its whole first label"},
		{"wildcard of nothing", "*.", "is not a DNS name: it has an empty label"},
		{"wildcard of an address", "*.192.0.2.1", "ends in a number, as no DNS name does"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Normal(tt.in)
			if err == nil || err.Error() != tt.want {
				t.Errorf("normalName(%.80q) = %q, %v, want %s", tt.in, got, err, tt.want)
			}
			if problem.Remedy(err) == "" {
				t.Error("no remedy")
			}
		})
	}
}

func FuzzNormalName(f *testing.F) {
	for _, seed := range []string{
		"example.org", "*.Bücher.example.", "faß.de", "example。org", "[2001:DB8::1]", "::ffff:1.2.3.4", "xn--bcher-kva.example", "xn--a",
		"a\u200db.org", "\u00ad.org", "१२.example", "a..b", "-", "*.", "1.2.3", "\xff.org", "ab--c.org", "K.org", "ǅ.org", "ⅷ.org",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Normal(s)
		if err != nil {
			if problem.Remedy(err) == "" || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("normalName(%q): %q, remedy %q", s, err, problem.Remedy(err))
			}
			return
		}
		if again, err := Normal(name); again != name || err != nil {
			t.Errorf("normalName(%q) = %q, of which it makes %q, %v", s, name, again, err)
		}
		if name != strings.ToLower(name) || strings.TrimLeft(name, "*.:-abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("normalName(%q) = %q", s, name)
		}
		if err := keypair.CheckName(name); err != nil && !IsAddress(name) && len(name) < 246 {
			t.Errorf("normalName(%q) = %q: %v", s, name, err)
		}
	})
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		certified, name string
		noWildcard      bool
		want            bool
	}{
		{"example.org", "example.org", true, true},
		{"example.org", "matrix.example.org", false, false},
		{"*.example.org", "matrix.example.org", false, true},
		{"*.example.org", "matrix.example.org", true, false},
		{"*.example.org", "example.org", false, false},
		{"*.example.org", "a.b.example.org", false, false},
	} {
		if got := Covers(tt.certified, tt.name, tt.noWildcard); got != tt.want {
			t.Errorf("covers(%s, %s, %v) = %v", tt.certified, tt.name, tt.noWildcard, got)
		}
	}
}
