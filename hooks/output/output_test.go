package output

import (
	"slices"
	"testing"
	"time"

	"keypaird/hooks/standin"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

func issue(t *testing.T) *keypair.Pair {
	t.Helper()
	p, err := pairtest.Issue([]string{"example.org"}, time.Now().Add(-time.Hour), 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each kind of file holds the pair that it was made for, and no other.
func TestHolds(t *testing.T) {
	p, other := issue(t), issue(t)
	for _, purpose := range []string{"key", "chain", "combined", "leaf", "pkcs12"} {
		k := Kind{Purpose: purpose}
		data, err := k.Data(p, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if !k.Holds(data, p) || k.Holds(data, other) || k.Holds(nil, p) || k.Holds(data[:len(data)/2], other) {
			t.Errorf("%s does not hold its pair, or another", purpose)
		}
	}
}

// A PKCS#12 file is known by the pairs that it may hold, and by the files beside it.
func TestPairOfPKCS12(t *testing.T) {
	p, other := issue(t), issue(t)
	self, err := standin.New(t.Context(), []string{"example.org"}, "ec256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		purposes []string
		holds    []*keypair.Pair // by purpose
		password string          // that it was made with
		known    []*keypair.Pair
		want     *keypair.Pair
	}{
		{"the one that should be there", []string{"pkcs12"}, []*keypair.Pair{p}, "secret", []*keypair.Pair{p, nil}, p},
		{"the previous one", []string{"pkcs12"}, []*keypair.Pair{p}, "secret", []*keypair.Pair{other, p}, p},
		{"a stranger", []string{"pkcs12"}, []*keypair.Pair{p}, "secret", []*keypair.Pair{other, nil}, nil},
		{"another password", []string{"pkcs12"}, []*keypair.Pair{p}, "before", []*keypair.Pair{p}, nil},
		{"a stand-in", []string{"pkcs12"}, []*keypair.Pair{self}, "secret", []*keypair.Pair{self}, nil},
		{"beside key and chain", []string{"key", "chain", "pkcs12"}, []*keypair.Pair{p, p, p}, "secret", nil, p},
		{"beside those of another", []string{"key", "chain", "pkcs12"}, []*keypair.Pair{p, p, other}, "secret", []*keypair.Pair{other, p}, nil},
		{"beside the leaf", []string{"leaf", "pkcs12"}, []*keypair.Pair{p, p}, "secret", []*keypair.Pair{p}, p},
		{"beside another leaf", []string{"leaf", "pkcs12"}, []*keypair.Pair{other, p}, "secret", []*keypair.Pair{p}, nil},
	} {
		var kinds []Kind
		var contents [][]byte
		for i, purpose := range tt.purposes {
			k := Kind{Purpose: purpose}
			data, err := k.Data(tt.holds[i], tt.password)
			if err != nil {
				t.Fatal(err)
			}
			kinds, contents = append(kinds, k), append(contents, slices.Clone(data))
		}
		got := Pair(kinds, contents, "secret", tt.known...)
		if (got == nil) != (tt.want == nil) || got != nil && got.Fingerprint() != tt.want.Fingerprint() {
			t.Errorf("%s: Pair = %v, want %v", tt.name, got, tt.want)
		}
	}
}
