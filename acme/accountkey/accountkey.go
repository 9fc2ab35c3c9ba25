// Package accountkey knows the keys that sign the requests of an ACME account: which
// kinds there are, which of them a CA takes, and how an account is bound to one that
// the CA has outside of ACME (RFC 8555, section 7.3.4).
package accountkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
)

// Default is the type of a key that is made before the CA said which it takes.
const Default = "ec256"

// kinds are the types of keys by their signature algorithm (RFC 7518, section 3.1), the
// preferred ones first.
var kinds = []struct{ algorithm, keyType string }{
	{"ES256", Default}, {"ES384", "ec384"}, {"RS256", "rsa3072"},
}

// TypeFor returns the type of a key for one of the algorithms that a CA takes; ""
// if there is none. A CA that names none and refuses the default takes RS256, as all
// do that are older than ES256.
func TypeFor(algorithms []string) string {
	for _, k := range kinds {
		if slices.Contains(algorithms, k.algorithm) || len(algorithms) == 0 && k.algorithm == "RS256" {
			return k.keyType
		}
	}
	return ""
}

// Signs reports whether requests can be signed by key.
func Signs(key crypto.Signer) bool {
	_, err := publicJWK(key.Public())
	return err == nil
}

// MAC reads the key of an external account. CAs use several variants of base64.
func MAC(text string) ([]byte, error) {
	key, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(text)))
	if err != nil || len(key) == 0 {
		return nil, errors.New("the external account key is not base64url")
	}
	return key, nil
}

// Bind returns the externalAccountBinding of a newAccount request to url: the public
// part of key, signed by the key of the external account. That may be shorter than
// HS256 asks for (RFC 7518, section 3.2), since some CAs hand out such keys.
func Bind(key crypto.Signer, url, keyID string, mac []byte) ([]byte, error) {
	jwk, err := publicJWK(key.Public())
	if err != nil {
		return nil, err
	}
	protected, err := json.Marshal(map[string]string{"alg": "HS256", "kid": keyID, "url": url})
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(jwk)
	if err != nil {
		return nil, err
	}
	signed := encode(protected) + "." + encode(payload)
	h := hmac.New(sha256.New, mac)
	h.Write([]byte(signed))
	return json.Marshal(map[string]string{"protected": encode(protected), "payload": encode(payload), "signature": encode(h.Sum(nil))})
}

// publicJWK returns a public key as RFC 7518, section 6, has it.
func publicJWK(public crypto.PublicKey) (map[string]string, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			break
		}
		point, err := k.Bytes() // 4, then both coordinates
		if err != nil {
			return nil, err
		}
		half := len(point) / 2
		return map[string]string{"kty": "EC", "crv": k.Params().Name, "x": encode(point[1 : 1+half]), "y": encode(point[1+half:])}, nil
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}, nil
	}
	return nil, errors.New("not of a kind that signs requests here: P-256, P-384 or RSA")
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
