package tlsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// spki is the public half of a key that stands for a name.
func spki(name string) []byte { return []byte("public key " + name) }

// Which records name a key, and which make peers refuse it.
func TestRefuses(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("certificate"), RawSubjectPublicKeyInfo: spki("k1")}
	short, long := sha256.Sum256(spki("k1")), sha512.Sum512(spki("k1"))
	whole := sha256.Sum256(leaf.Raw)
	other := Record(spki("another"))
	for _, tt := range []struct {
		records []string
		named   bool
		refused bool
	}{
		{nil, false, false},
		{[]string{other}, false, true},
		{[]string{other, Record(spki("k1"))}, true, false},
		{[]string{fmt.Sprintf("3 1 2 %x", long)}, true, false},
		{[]string{fmt.Sprintf("3 1 0 %x", spki("k1"))}, true, false},
		{[]string{fmt.Sprintf("1 1 1 %x", short)}, false, false},       // nothing that SMTP peers go by
		{[]string{fmt.Sprintf("1 1 1 %x", short), other}, false, true}, // but this is
		{[]string{fmt.Sprintf("3 0 1 %x", whole)}, false, false},       // until the next renewal
		{[]string{fmt.Sprintf("3 0 1 %x", short)}, false, true},
		{[]string{fmt.Sprintf("2 1 1 %x", short)}, false, false}, // of a CA, perhaps
		{[]string{fmt.Sprintf("0 0 1 %x", short), other}, false, true},
		{[]string{fmt.Sprintf("3 1 3 %x", short)}, false, false},
		{[]string{fmt.Sprintf("3 2 1 %x", short)}, false, false},
		{[]string{fmt.Sprintf("3 1 2 %x", short)}, false, false},
		{[]string{"3 1 1 abcd", "3 1 1 xy", "3 1 1", "3 1 0 "}, false, false},
	} {
		if got := NamesKey(tt.records, spki("k1")); got != tt.named {
			t.Errorf("%q name the key: %t, want %t", tt.records, got, tt.named)
		}
		if got := Refuses(tt.records, leaf); got != tt.refused {
			t.Errorf("%q refuse it: %t, want %t", tt.records, got, tt.refused)
		}
	}
}

// Every usage, selector and matching type, with the data of a certificate, of its key,
// and with data that no record has: what can be used, and what it is for.
func TestMatches(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("certificate"), RawSubjectPublicKeyInfo: spki("k1")}
	ca := &x509.Certificate{Raw: []byte("certificate of the CA"), RawSubjectPublicKeyInfo: spki("ca")}
	hashes := []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
		func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
	}
	part := func(c *x509.Certificate, selector int) []byte {
		return [][]byte{c.Raw, c.RawSubjectPublicKeyInfo}[selector]
	}
	for usage := range 5 {
		for selector := range 3 {
			for matching := range 4 {
				usable := (usage == 2 || usage == 3) && selector < 2 && matching < 3
				for name, of := range map[string]*x509.Certificate{"leaf": leaf, "CA": ca} {
					r := RR{uint8(usage), uint8(selector), uint8(matching), hashes[matching%3](part(of, selector%2))}
					if got := r.Unusable() == ""; got != usable {
						t.Errorf("%s: usable %t, want %t", r, got, usable)
					}
					if got := r.Matches(of); got != usable {
						t.Errorf("%s of %s: matches %t, want %t", r, name, got, usable)
					}
					for _, c := range []*x509.Certificate{leaf, ca} { // every other part and hash
						for s := range 2 {
							for _, hash := range hashes {
								wrong := r
								wrong.Data = hash(part(c, s))
								if string(wrong.Data) != string(r.Data) && wrong.Matches(of) {
									t.Errorf("%s matches %s", wrong, name)
								}
							}
						}
					}
					again := Parse(r.String())
					if again.String() != r.String() || Usable(r.String()) != usable {
						t.Errorf("%s is read as %s", r, again)
					}
					// With a record for a CA, only the chain shows whether peers refuse.
					if got, want := Refuses([]string{r.String()}, leaf), usage == 3 && usable && of == ca; got != want {
						t.Errorf("%s of %s: refuses the leaf %t, want %t", r, name, got, want)
					}
					if got, want := NamesKey([]string{r.String()}, leaf.RawSubjectPublicKeyInfo), usage == 3 && usable && selector == 1 && of == leaf; got != want {
						t.Errorf("%s of %s: names the key %t, want %t", r, name, got, want)
					}
				}
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	key := hex.EncodeToString(spki("k1"))
	sum := strings.TrimPrefix(Record(spki("k1")), "3 1 1 ")
	for record, usable := range map[string]bool{
		"":                                   false,
		"3":                                  false,
		"3 1 1":                              false,
		"3 1 1 ":                             false,
		"3 1 0":                              false,
		"3 1 1 xy":                           false,
		"3 1 0 xy":                           false,
		"3 1 0 " + key[:1]:                   false,
		"3 1 0 " + key:                       true,
		"3 1 1 " + sum[2:]:                   false,
		"3 1 1 " + sum + "00":                false,
		"3 1 2 " + sum:                       false,
		"3 1 2 " + sum + sum:                 true,
		"x 1 1 " + sum:                       false,
		"-3 1 1 " + sum:                      false,
		"259 1 1 " + sum:                     false, // 3, if cut to eight bits
		"3 257 1 " + sum:                     false,
		"3 1 1 " + strings.ToUpper(sum):      true,
		"3 1 1 " + sum[:20] + " " + sum[20:]: true, // RFC 6698, section 2.2
		"3\t1\t1\t" + sum:                    true,
	} {
		if got := Usable(record); got != usable {
			t.Errorf("%q: usable %t, want %t", record, got, usable)
		}
		if !usable && (NamesKey([]string{record}, spki("k1")) || NamesKey([]string{record}, nil)) {
			t.Errorf("%q names a key", record)
		}
	}
	if Parse("3 1 1").Matches(&x509.Certificate{}) || NamesKey([]string{"3 1 0 "}, nil) {
		t.Error("a record without data matches what has none either")
	}
}
