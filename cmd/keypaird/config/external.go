package config

import (
	"path/filepath"
	"strings"
)

// checkExternal checks a [cert] table with an external certificate.
func (c *checker) checkExternal(p path, cert Cert) {
	for _, key := range []string{"http-01", "dns-01", "dns-persist-01"} {
		if c.isSet(p.child(key)) {
			c.report(p.child(key), "remove it: an external certificate has its own names; or remove external, and keypaird obtains one", "cannot be used with external")
		}
	}
	for _, key := range []string{"dns", "key", "profile", "sign_with", "preferred_chain", "tlsa"} {
		if c.isSet(p.child(key)) {
			c.report(p.child(key), "remove it: an external certificate is not ordered", "cannot be used with external")
		}
	}
	at := p.child("external")
	c.checkExternalFile(at.child("chain"), cert.External.Chain, `name the file with the certificate and its intermediates: chain = "/root/external/chain.pem"`)
	c.checkExternalFile(at.child("key"), cert.External.Key, `name the file with its private key: key = "/root/external/key.pem"`)
	if x := cert.External; x.Key != "" && filepath.Clean(x.Key) == filepath.Clean(x.Chain) {
		c.report(at.child("key"), "put key and certificates into files of their own", "is the file of chain, too")
	}
	c.checkTargetSettings(p, "", nil, nil, cert.Deploy)
}

// checkExternalFile checks a path. Whether the file can be used shows later: it may
// come and go while other certificates want to be cared for. What is no path may
// be the key itself, and is not repeated.
func (c *checker) checkExternalFile(p path, file, remedy string) {
	switch {
	case file == "":
		c.report(p, remedy, "is missing")
	case !filepath.IsAbs(file) || strings.ContainsRune(file, 0):
		c.report(p, "write the path of the file from / on", "is not an absolute path")
	case strings.HasPrefix(filepath.Clean(file), c.cfg.State+"/"):
		c.report(p, "put the file into another directory: keypaird copies it to where it keeps pairs", "%s lies in the state directory, which is keypaird's own", file)
	}
}

// checkExternalNotWritten reports external files that a deployment writes: it would
// overwrite the next certificate.
func (c *checker) checkExternalNotWritten(p path, t Target, writers map[string]output) {
	for _, f := range []struct{ key, file string }{{"chain", t.External.Chain}, {"key", t.External.Key}} {
		if by, taken := writers[filepath.Clean(f.file)]; taken && f.file != "" {
			c.report(p.child("external", f.key), "keep the external files in another directory: keypaird copies them to where the server reads them",
				"%s is written by [deploy.%s] for the target %q", f.file, by.deployment, by.target)
		}
	}
}
