// Package accountkey knows the keys that sign the requests of an ACME account: which
// kinds there are, which of them a CA takes, how they sign, and how an account is bound to one that
// the CA has outside of ACME (RFC 8555, section 7.3.4).
package accountkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
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
	_, err := PublicJWK(key.Public())
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
	payload, err := PublicJWK(key.Public())
	if err != nil {
		return nil, err
	}
	protected, err := json.Marshal(map[string]string{"alg": "HS256", "kid": keyID, "url": url})
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, mac)
	h.Write([]byte(encode(protected) + "." + encode(payload)))
	return flattened(protected, payload, h.Sum(nil))
}

// Sign signs payload by key, as a JWS of one signature (RFC 7515, section 7.2.2). The
// header gets the algorithm and, unless it has a kid, the public key.
func Sign(key crypto.Signer, header map[string]any, payload []byte) ([]byte, error) {
	algorithm, hash := algorithmOf(key.Public())
	public, err := PublicJWK(key.Public())
	if err != nil {
		return nil, err
	}
	header = maps.Clone(header)
	header["alg"] = algorithm
	if header["kid"] == nil {
		header["jwk"] = public
	}
	protected, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	digest := hash.New()
	digest.Write([]byte(encode(protected) + "." + encode(payload)))
	signature, err := key.Sign(rand.Reader, digest.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	if k, ok := key.Public().(*ecdsa.PublicKey); ok {
		if signature, err = joined(signature, (k.Params().BitSize+7)/8); err != nil {
			return nil, err
		}
	}
	return flattened(protected, payload, signature)
}

// Change returns what asks for another key of an account (RFC 8555, section 7.3.5): the
// inner request to url, signed by the new key.
func Change(url, account string, old crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	jwk, err := PublicJWK(old)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(map[string]any{"account": account, "oldKey": jwk})
	if err != nil {
		return nil, err
	}
	return Sign(key, map[string]any{"url": url}, payload)
}

// algorithmOf returns the algorithm (RFC 7518, section 3.1) and the hash of signatures
// by a key.
func algorithmOf(public crypto.PublicKey) (string, crypto.Hash) {
	k, ok := public.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return "RS256", crypto.SHA256
	case k.Curve == elliptic.P384():
		return "ES384", crypto.SHA384
	}
	return "ES256", crypto.SHA256
}

// joined returns a signature of ECDSA as JWS has it: two numbers of size octets
// (RFC 7518, section 3.4).
func joined(der []byte, size int) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &numbers); err != nil {
		return nil, err
	}
	out := make([]byte, 2*size)
	numbers.R.FillBytes(out[:size])
	numbers.S.FillBytes(out[size:])
	return out, nil
}

func flattened(protected, payload, signature []byte) ([]byte, error) {
	return json.Marshal(map[string]string{"protected": encode(protected), "payload": encode(payload), "signature": encode(signature)})
}

// A jwk has the members of a key in the order in which lego sends them: some CAs compare
// the text of keys.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// PublicJWK returns a public key as RFC 7518, section 6, has it.
func PublicJWK(public crypto.PublicKey) (json.RawMessage, error) {
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
		return json.Marshal(jwk{Kty: "EC", Crv: k.Params().Name, X: encode(point[1 : 1+half]), Y: encode(point[1+half:])})
	case *rsa.PublicKey:
		return json.Marshal(jwk{Kty: "RSA", N: encode(k.N.Bytes()), E: encode(big.NewInt(int64(k.E)).Bytes())})
	}
	return nil, errors.New("not of a kind that signs requests here: P-256, P-384 or RSA")
}

// Thumbprint returns the thumbprint of a key (RFC 7638), as key authorizations have it.
func Thumbprint(public crypto.PublicKey) string {
	text, err := PublicJWK(public)
	if err != nil {
		return ""
	}
	var members map[string]string // the required ones
	if err := json.Unmarshal(text, &members); err != nil {
		return ""
	}
	if text, err = json.Marshal(members); err != nil { // they are sorted
		return ""
	}
	sum := sha256.Sum256(text)
	return encode(sum[:])
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
