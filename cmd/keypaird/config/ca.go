package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/acme/authority"
	"keypaird/renew/problem"
)

// checkEAB reports a CA that requires an external account and has none.
func (c *checker) checkEAB(p path, ca string) {
	t := c.cfg.CA[ca]
	if from := authority.ExternalAccount(ca); from != "" && t.EABKid == "" && t.EABHMACFile == "" && t.Directory == "" {
		c.report(p, fmt.Sprintf("add [ca.%s] with eab_kid and eab_hmac_file, from %s", ca, from), "%s requires an external account", ca)
	}
}

func (c *checker) checkCA(name string, ca CA) {
	p := path{"ca", name}
	c.checkTableName(p, name)
	_, known := authority.BuiltIn(name)
	switch {
	case ca.Directory == "" && !known:
		c.report(p.child("directory"), `write the URL of its ACME directory: "https://ca.example.net/acme/directory"`, "is missing")
	case ca.Directory != "" && !authority.IsDirectory(ca.Directory):
		c.report(p.child("directory"), `write it as "https://ca.example.net/acme/directory", without a user name`, "is not the https URL of an ACME directory")
	}
	if ca.Roots != "" && c.checkAbsolute(p.child("roots"), ca.Roots, "write the path from / on") && !c.noSecrets {
		if _, err := authority.ReadRoots(ca.Roots, files.MaxSmall); err != nil {
			c.report(p.child("roots"), cmp.Or(problem.Remedy(err), "name a PEM file with the root certificate of the CA's own TLS"), "%s: %v", ca.Roots, err)
		}
	}
	if ca.Staging != "" {
		c.checkList(p.child("staging"), []string{ca.Staging}, c.authorities(), " (or add a table [ca.NAME])", "no CA is called %q")
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
	if text, ok := c.readSecret(p.child("eab_hmac_file"), ca.EABHMACFile); ok && !authority.IsHMACKey(text) {
		c.report(p.child("eab_hmac_file"), "put the key there as the CA hands it out, in base64, and nothing else", "%s does not hold an HMAC key", ca.EABHMACFile)
	}
}

// Authority returns the CA called name: built in, or of a [ca] table, or built
// in with a table that completes it.
func (c *Config) Authority(name string) (authority.CA, error) {
	ca, _ := authority.BuiltIn(name)
	t := c.CA[name]
	ca.Name, ca.EABKeyID = name, t.EABKid
	ca.Directory, ca.Staging = cmp.Or(t.Directory, ca.Directory), cmp.Or(t.Staging, ca.Staging)
	ca.Test = c.isTest(name)
	if t.Roots != "" {
		var err error
		if ca.Roots, err = authority.ReadRoots(t.Roots, files.MaxSmall); err != nil {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, t.Roots, err)
		}
	}
	if t.EABHMACFile != "" {
		hmac, err := files.ReadSmall(t.EABHMACFile)
		if err != nil {
			return ca, fmt.Errorf("reading eab_hmac_file of [ca.%s]: %s: %w", name, t.EABHMACFile, err)
		}
		ca.EABHMAC = strings.TrimSpace(string(hmac))
	}
	return ca, nil
}

// isTest reports whether clients do not trust what a CA certifies: one for tests that is
// built in, or that a [ca] table names as its twin.
func (c *Config) isTest(name string) bool {
	for _, ca := range c.CA {
		if ca.Staging == name {
			return true
		}
	}
	ca, _ := authority.BuiltIn(name)
	return authority.IsTest(cmp.Or(c.CA[name].Directory, ca.Directory))
}

// checkStaging refuses a target that would be deployed though clients do not trust its CA.
func (c *checker) checkStaging(p path, t Target) {
	test := slices.IndexFunc(t.SignWith, c.cfg.isTest)
	to := slices.IndexFunc(t.Deploy, func(name string) bool { return !c.cfg.Deploy[name].Staging })
	if test < 0 || to < 0 {
		return
	}
	if !c.isSet(p.child("sign_with")) {
		p = nil
	}
	c.report(p.child("sign_with"), "to try what issuing needs: keypaird issue -dry-run; to deploy its pairs nevertheless: staging = true in [deploy."+t.Deploy[to]+"]",
		"clients do not trust what %s certifies, and the target %q is deployed", t.SignWith[test], t.Name)
}

// authorities returns the names of all CAs.
func (c *checker) authorities() []string {
	return append(authority.BuiltInNames(), slices.Sorted(maps.Keys(c.cfg.CA))...)
}
