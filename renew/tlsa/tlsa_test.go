package tlsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
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
