package acme

import (
	"crypto/x509"
	"maps"
	"slices"
)

// A CA is a certificate authority that speaks RFC 8555.
type CA struct {
	Name      string         // as in sign_with; names the account's directory
	Directory string         // https URL of the directory
	Roots     *x509.CertPool // for the CA's own TLS; nil means the system's
	EABKeyID  string         // external account binding, section 7.3.4; "" means none
	EABHMAC   string         // base64url, as the CA hands it out
	Orders    int            // allowed to an account in three hours, less a margin; zero means unknown
}

// builtIn are the public CAs that need no table of their own.
var builtIn = map[string]CA{
	"letsencrypt":         {Directory: "https://acme-v02.api.letsencrypt.org/directory", Orders: 280},          // of 300
	"letsencrypt-staging": {Directory: "https://acme-staging-v02.api.letsencrypt.org/directory", Orders: 1400}, // of 1500
	"zerossl":             {Directory: "https://acme.zerossl.com/v2/DV90"},
	"google":              {Directory: "https://dv.acme-v02.api.pki.goog/directory"},
	"buypass-free":        {Directory: "https://api.buypass.com/acme/directory"},
	"sslcom":              {Directory: "https://acme.ssl.com/sslcom-dv-rsa"},
	"actalis":             {Directory: "https://acme-api.actalis.com/acme/directory"},
}

// BuiltIn returns the public CA known by name.
func BuiltIn(name string) (CA, bool) {
	ca, ok := builtIn[name]
	ca.Name = name
	return ca, ok
}

// BuiltInNames lists the names BuiltIn knows, sorted.
func BuiltInNames() []string {
	return slices.Sorted(maps.Keys(builtIn))
}
