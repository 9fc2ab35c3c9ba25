package probe

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"keypaird/renew/tlsa"
)

// RFC 7672: usage 3 asks for nothing but the key, usage 2 for a CA below which
// all is well, and one record that is satisfied is enough.
func TestJudgeDANE(t *testing.T) {
	root := sign(t, nil, "Root", asCA)
	one := sign(t, root, "One", asCA)
	leaf := sign(t, one, "", forNames("mx.example.org")).Certificate
	stale := sign(t, one, "", both(forNames("mx.example.org"), lasts(-90*testDay, -testDay))).Certificate
	next := sign(t, one, "", forNames("mx.example.org")).Certificate

	rr := func(usage, selector, matching uint8, data []byte) tlsa.RR {
		return tlsa.RR{Usage: usage, Selector: selector, Matching: matching, Data: data}
	}
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	sum512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	mx, other := []string{"mx.example.org", "example.org"}, []string{"mail.example.net"}
	for _, tt := range []struct {
		name    string
		chain   []*x509.Certificate
		records []TLSA
		names   []string
		faults  string
	}{
		{"3 1 1", with(leaf, one), []TLSA{{rr(3, 1, 1, sum(leaf.RawSubjectPublicKeyInfo)), nil}}, nil, ""},
		{"3 1 2", with(leaf, one), []TLSA{{rr(3, 1, 2, sum512(leaf.RawSubjectPublicKeyInfo)), nil}}, nil, ""},
		{"3 0 1", with(leaf, one), []TLSA{{rr(3, 0, 1, sum(leaf.Raw)), nil}}, nil, ""},
		{"3 1 0", with(leaf, one), []TLSA{{rr(3, 1, 0, leaf.RawSubjectPublicKeyInfo), nil}}, nil, ""},
		{"3 1 1, ended, of another name, alone", with(stale), []TLSA{{rr(3, 1, 1, sum(stale.RawSubjectPublicKeyInfo)), nil}}, other, ""},
		{"3 1 1 of another key", with(leaf, one), []TLSA{{rr(3, 1, 1, sum(next.RawSubjectPublicKeyInfo)), nil}}, nil, "dane"},
		{"3 1 1 of the CA's key", with(leaf, one), []TLSA{{rr(3, 1, 1, sum(one.RawSubjectPublicKeyInfo)), nil}}, nil, "dane"},
		{"live and next", with(leaf, one), []TLSA{{rr(3, 1, 1, sum(next.RawSubjectPublicKeyInfo)), nil}, {rr(3, 1, 1, sum(leaf.RawSubjectPublicKeyInfo)), nil}}, nil, ""},
		{"2 1 1", with(leaf, one), []TLSA{{rr(2, 1, 1, sum(one.RawSubjectPublicKeyInfo)), mx}}, nil, ""},
		{"2 0 1 of the root", with(leaf, one, root), []TLSA{{rr(2, 0, 1, sum(root.Raw)), mx}}, nil, ""},
		{"2 0 1 of a root that is not sent", with(leaf, one), []TLSA{{rr(2, 0, 1, sum(root.Raw)), mx}}, nil, "dane"},
		{"2 0 0, the root itself", with(leaf, one), []TLSA{{rr(2, 0, 0, root.Raw), mx}}, nil, ""},
		{"2 1 1, another name", with(leaf, one), []TLSA{{rr(2, 1, 1, sum(one.RawSubjectPublicKeyInfo)), other}}, nil, "name"},
		{"2 1 1, ended", with(stale, one), []TLSA{{rr(2, 1, 1, sum(one.RawSubjectPublicKeyInfo)), mx}}, nil, "expired"},
		{"2 1 1 fails, 3 1 1 does not", with(stale, one), []TLSA{{rr(2, 1, 1, sum(one.RawSubjectPublicKeyInfo)), mx}, {rr(3, 1, 1, sum(stale.RawSubjectPublicKeyInfo)), nil}}, nil, ""},
		{"none usable: as without", with(leaf, one), []TLSA{{rr(1, 1, 1, sum(leaf.RawSubjectPublicKeyInfo)), nil}, {rr(3, 1, 1, []byte{1}), nil}, {rr(3, 2, 1, sum(leaf.Raw)), nil}, {rr(3, 1, 3, sum(leaf.Raw)), nil}}, other, "name untrusted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Check(Result{tt.chain, tls.VersionTLS12}, Expect{Now: noon, Names: tt.names, TLSA: tt.records, Roots: x509.NewCertPool()})
			if faults(got) != tt.faults {
				t.Errorf("Check = %v, want %q", got, tt.faults)
			}
		})
	}
}
