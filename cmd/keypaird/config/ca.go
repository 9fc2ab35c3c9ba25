package config

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keypaird/acme"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// needEAB has the built-in CAs that require an external account, and where to get
// one.
var needEAB = map[string]string{
	"zerossl": "app.zerossl.com/developer",
	"google":  "gcloud publicca external-account-keys create",
	"sslcom":  "the account page of ssl.com",
	"actalis": "the account page of actalis.com",
}

// checkEAB reports a CA that requires an external account and has none.
func (c *checker) checkEAB(p path, ca string) {
	t := c.cfg.CA[ca]
	if from, ok := needEAB[ca]; ok && t.EABKid == "" && t.EABHMACFile == "" && t.Directory == "" {
		c.report(p, fmt.Sprintf("add [ca.%s] with eab_kid and eab_hmac_file, from %s", ca, from), "%s requires an external account", ca)
	}
}

func (c *checker) checkCA(name string, ca CA) {
	p := path{"ca", name}
	c.checkTableName(p, name)
	_, known := acme.BuiltIn(name)
	switch {
	case ca.Directory == "" && !known:
		c.report(p.child("directory"), `write the URL of its ACME directory: "https://ca.example.net/acme/directory"`, "is missing")
	case ca.Directory != "" && !isDirectory(ca.Directory):
		c.report(p.child("directory"), `write it as "https://ca.example.net/acme/directory", without a user name`, "is not the https URL of an ACME directory")
	}
	if ca.Roots != "" && c.checkAbsolute(p.child("roots"), ca.Roots, "write the path from / on") && !c.noSecrets {
		if _, err := readRoots(ca.Roots); err != nil {
			c.report(p.child("roots"), cmp.Or(problem.Remedy(err), "name a PEM file with the root certificate of the CA's own TLS"), "%s: %v", ca.Roots, err)
		}
	}
	remedy := "set both, as the CA hands them out, or none"
	switch {
	case ca.EABKid == "" && ca.EABHMACFile != "":
		c.report(p.child("eab_kid"), remedy, "is missing beside eab_hmac_file")
	case ca.EABKid != "" && ca.EABHMACFile == "":
		c.report(p.child("eab_hmac_file"), remedy, "is missing beside eab_kid")
	}
	if ca.EABHMACFile == "" || c.noSecrets {
		return
	}
	if text, ok := c.readSecret(p.child("eab_hmac_file"), ca.EABHMACFile); ok && !isHMACKey(text) {
		c.report(p.child("eab_hmac_file"), "put the key there as the CA hands it out, in base64, and nothing else", "%s does not hold an HMAC key", ca.EABHMACFile)
	}
}

// isDirectory reports whether a URL can be that of an ACME directory. It is not
// repeated in messages: a user name may come with a password.
func isDirectory(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// isHMACKey reports whether text is a key in base64, of either alphabet.
func isHMACKey(text []byte) bool {
	s := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	key, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(key) > 0 && !strings.ContainsAny(s, "\r\n")
}

// readRoots reads a PEM file with root certificates.
func readRoots(file string) (*x509.CertPool, error) {
	data, info, err := durable.ReadFile(file, maxSmall, durable.Any)
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

// Authority returns the CA called name: built in, or of a [ca] table, or built
// in with a table that completes it.
func (c *Config) Authority(name string) (acme.CA, error) {
	ca, _ := acme.BuiltIn(name)
	t := c.CA[name]
	ca.Name, ca.EABKeyID = name, t.EABKid
	ca.Directory = cmp.Or(t.Directory, ca.Directory)
	if t.Roots != "" {
		var err error
		if ca.Roots, err = readRoots(t.Roots); err != nil {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, t.Roots, err)
		}
	}
	if t.EABHMACFile != "" {
		hmac, err := ReadFile(t.EABHMACFile)
		if err != nil {
			return ca, fmt.Errorf("reading eab_hmac_file of [ca.%s]: %s: %w", name, t.EABHMACFile, err)
		}
		ca.EABHMAC = strings.TrimSpace(string(hmac))
	}
	return ca, nil
}
