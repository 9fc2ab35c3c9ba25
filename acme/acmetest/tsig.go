package acmetest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/miekg/dns"
)

// A TSIGKey signs updates (RFC 8945).
type TSIGKey struct {
	Name      string   // of the key, such as "keypaird"
	Algorithm string   // such as "hmac-sha256"
	Secret    string   // base64
	Names     []string // names it may change, each exactly as given; empty means every name
}

// NewTSIGKey makes an hmac-sha256 key that may change names, or every name if
// none is given.
func NewTSIGKey(name string, names ...string) TSIGKey {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: crypto/rand ends the program instead
	return TSIGKey{
		Name:      name,
		Algorithm: "hmac-sha256",
		Secret:    base64.StdEncoding.EncodeToString(secret),
		Names:     names,
	}
}

// WriteTSIGFile writes the key as tsig-keygen(8) prints it, which BIND includes
// and lego reads (RFC2136_TSIG_FILE), readable by the owner only.
func (k TSIGKey) WriteTSIGFile(path string) error {
	text := fmt.Sprintf("key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", k.Name, k.Algorithm, k.Secret)
	return os.WriteFile(path, []byte(text), 0o600)
}

// mayChange reports whether the key may change name, given in canonical form.
func (k TSIGKey) mayChange(name string) bool {
	for _, n := range k.Names {
		if dns.CanonicalName(n) == name {
			return true
		}
	}
	return len(k.Names) == 0
}
