// Package authority knows the CAs that keypaird can order from: the public ones by name,
// what each needs, and which of them certify for tests only.
package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A CA is a certificate authority that speaks RFC 8555.
type CA struct {
	Name      string         // as in sign_with; names the account's directory
	Directory string         // https URL of the directory
	Roots     *x509.CertPool // for the CA's own TLS; nil means the system's
	EABKeyID  string         // external account binding, section 7.3.4; "" means none
	EABHMAC   string         // base64url, as the CA hands it out
	Orders    int            // allowed to an account in three hours, less a margin; zero means unknown
	Staging   string         // name of its twin for tests; "" means none
	Test      bool           // clients do not trust what it certifies
}

// builtIn are the public CAs that need no table of their own.
var builtIn = map[string]CA{
	"letsencrypt":          {Directory: "https://acme-v02.api.letsencrypt.org/directory", Orders: 280, Staging: "letsencrypt-staging"}, // of 300
	"letsencrypt-staging":  {Directory: "https://acme-staging-v02.api.letsencrypt.org/directory", Orders: 1400, Test: true},            // of 1500
	"zerossl":              {Directory: "https://acme.zerossl.com/v2/DV90"},
	"google":               {Directory: "https://dv.acme-v02.api.pki.goog/directory", Staging: "google-staging"},
	"google-staging":       {Directory: "https://dv.acme-v02.test-api.pki.goog/directory", Test: true},
	"buypass-free":         {Directory: "https://api.buypass.com/acme/directory", Staging: "buypass-free-staging"},
	"buypass-free-staging": {Directory: "https://api.test4.buypass.no/acme/directory", Test: true},
	"sslcom":               {Directory: "https://acme.ssl.com/sslcom-dv-rsa"},
	"actalis":              {Directory: "https://acme-api.actalis.com/acme/directory"},
}

// externalAccount has the built-in CAs that require an external account, and where to get
// one.
var externalAccount = map[string]string{
	"zerossl":        "app.zerossl.com/developer",
	"google":         "gcloud publicca external-account-keys create",
	"google-staging": "gcloud publicca external-account-keys create, with the endpoint of the test environment",
	"sslcom":         "the account page of ssl.com",
	"actalis":        "the account page of actalis.com",
}

// ExternalAccount returns where the external account that a built-in CA requires comes
// from; "": it requires none.
func ExternalAccount(name string) string { return externalAccount[name] }

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

// IsTest reports whether a directory is that of a public CA for tests.
func IsTest(directory string) bool {
	for _, ca := range builtIn {
		if ca.Test && ca.Directory == directory {
			return true
		}
	}
	return false
}

// IsDirectory reports whether a URL can be that of an ACME directory. It is not
// repeated in messages: a user name may come with a password.
func IsDirectory(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// IsHMACKey reports whether text is a key in base64, of either alphabet.
func IsHMACKey(text []byte) bool {
	s := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	key, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(key) > 0 && !strings.ContainsAny(s, "\r\n")
}

// ReadRoots reads a PEM file with root certificates, of that many bytes at most.
func ReadRoots(file string, limit int) (*x509.CertPool, error) {
	data, info, err := durable.ReadFile(file, limit, durable.Any)
	if err != nil {
		return nil, durable.Cause(err)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return nil, problem.Newf("chmod go-w "+file, "can be written by others (mode %04o)", perm)
	}
	roots := x509.NewCertPool()
	switch {
	case roots.AppendCertsFromPEM(data):
		return roots, nil
	case bytes.Contains(data, []byte("BEGIN CERTIFICATE")):
		return nil, errors.New("holds a certificate that cannot be read")
	}
	return nil, errors.New("holds no certificate")
}
