package accountkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"

	"keypaird/renew/keypair"
)

// A binding is signed by keys of any length.
func TestBind(t *testing.T) {
	for _, keyType := range []string{"ec256", "ec384", "rsa2048"} {
		for _, mac := range []string{"k", "sixteen octets..", "thirty-two octets and some more ....."} {
			key, err := keypair.NewKey(t.Context(), keyType)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Bind(key, "https://ca.test/account", "kid-1", []byte(mac))
			if err != nil {
				t.Fatal(err)
			}
			var jws struct{ Protected, Payload, Signature string }
			if err := json.Unmarshal(out, &jws); err != nil {
				t.Fatal(err)
			}
			h := hmac.New(sha256.New, []byte(mac))
			h.Write([]byte(jws.Protected + "." + jws.Payload))
			if got, _ := base64.RawURLEncoding.DecodeString(jws.Signature); !hmac.Equal(got, h.Sum(nil)) {
				t.Errorf("%s, a key of %d octets: wrong signature", keyType, len(mac))
			}
			head, _ := base64.RawURLEncoding.DecodeString(jws.Protected)
			if want := `{"alg":"HS256","kid":"kid-1","url":"https://ca.test/account"}`; string(head) != want {
				t.Errorf("protected %s, want %s", head, want)
			}
		}
	}
}

func TestTypeFor(t *testing.T) {
	for _, tt := range []struct {
		algorithms []string
		want       string
	}{
		{[]string{"RS256"}, "rsa3072"}, {[]string{"RS512", "ES384", "RS256"}, "ec384"}, {[]string{"ES256", "RS256"}, "ec256"},
		{nil, "rsa3072"}, {[]string{"EdDSA", "PS256"}, ""},
	} {
		if got := TypeFor(tt.algorithms); got != tt.want {
			t.Errorf("TypeFor(%v) = %q, want %q", tt.algorithms, got, tt.want)
		}
	}
}
