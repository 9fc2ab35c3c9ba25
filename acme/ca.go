package acme

import (
	"crypto/x509"
	"slices"
)

// A CA is a certificate authority that speaks RFC 8555.
type CA struct {
	Name      string         // as in sign_with; names the account's directory
	Directory string         // https URL of the directory
	Roots     *x509.CertPool // for the CA's own TLS; nil means the system's
	EABKeyID  string         // external account binding, section 7.3.4; "" means none
	EABHMAC   string         // base64url, as the CA hands it out
}

// builtIn are the public CAs that need no table of their own.
var builtIn = map[string]string{
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
	"zerossl":             "https://acme.zerossl.com/v2/DV90",
	"google":              "https://dv.acme-v02.api.pki.goog/directory",
	"buypass-free":        "https://api.buypass.com/acme/directory",
	"sslcom":              "https://acme.ssl.com/sslcom-dv-rsa",
	"actalis":             "https://acme-api.actalis.com/acme/directory",
}

// BuiltIn returns the public CA known by name.
func BuiltIn(name string) (CA, bool) {
	url, ok := builtIn[name]
	return CA{Name: name, Directory: url}, ok
}

// BuiltInNames lists the names BuiltIn knows, sorted.
func BuiltInNames() []string {
	var names []string
	for name := range builtIn {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
