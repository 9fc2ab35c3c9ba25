package config

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keypaird/acme"
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
		c.checkRoots(p.child("roots"), ca.Roots)
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

// checkRoots looks for certificates in a PEM file.
func (c *checker) checkRoots(p path, file string) {
	remedy := "name a PEM file with the root certificate of the CA's own TLS"
	data, info, err := readFile(file, maxSmall)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		err, remedy = fmt.Errorf("can be written by others (mode %04o)", info.Mode().Perm()), "chmod go-w "+file
	}
	if err == nil {
		err = hasCertificate(data)
	}
	if err != nil {
		c.report(p, remedy, "%s: %v", file, err)
	}
}

func hasCertificate(data []byte) error {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return errors.New("holds a certificate that cannot be read")
		}
		return nil
	}
	return errors.New("holds no certificate")
}

// Authority returns the CA called name: built in, or of a [ca] table, or built
// in with a table that completes it.
func (c *Config) Authority(name string) (acme.CA, error) {
	ca, _ := acme.BuiltIn(name)
	t := c.CA[name]
	ca.Name, ca.EABKeyID = name, t.EABKid
	if t.Directory != "" {
		ca.Directory = t.Directory
	}
	if t.Roots != "" {
		pem, err := ReadFile(t.Roots)
		if err != nil {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, t.Roots, err)
		}
		ca.Roots = x509.NewCertPool()
		if !ca.Roots.AppendCertsFromPEM(pem) {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: no certificate in it", name, t.Roots)
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
