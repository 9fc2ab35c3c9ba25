package config

import (
	"path/filepath"
	"strings"
)

// boughtCert checks a [cert] table whose certificate is bought.
func (c *checker) boughtCert(p path, cert Cert) {
	for _, key := range []string{"http-01", "dns-01", "dns-persist-01"} {
		if c.isSet(p.in(key)) {
			c.wrong(p.in(key), "leave it out: a bought certificate says itself what it is for; or leave external out, and keypaird obtains one", "stands beside external")
		}
	}
	for _, key := range []string{"dns", "key", "profile", "sign_with", "preferred_chain", "tlsa"} {
		if c.isSet(p.in(key)) {
			c.wrong(p.in(key), "leave it out: a bought certificate is not ordered", "stands beside external")
		}
	}
	at := p.in("external")
	c.boughtFile(at.in("chain"), cert.External.Chain, `name the file with the certificate and its intermediates: chain = "/root/bought/chain.pem"`)
	c.boughtFile(at.in("key"), cert.External.Key, `name the file with its private key: key = "/root/bought/key.pem"`)
	if x := cert.External; x.Key != "" && filepath.Clean(x.Key) == filepath.Clean(x.Chain) {
		c.wrong(at.in("key"), "put key and certificates into files of their own", "is the file of chain, too")
	}
	c.targetSettings(p, "", nil, nil, cert.Deploy)
}

// boughtFile checks a path. Whether the file can be used shows later: it may
// come and go while other certificates want to be cared for. What is no path may
// be the key itself, and is not repeated.
func (c *checker) boughtFile(p path, file, remedy string) {
	switch {
	case file == "":
		c.wrong(p, remedy, "is missing")
	case !filepath.IsAbs(file) || strings.ContainsRune(file, 0):
		c.wrong(p, "write the path of the file from / on", "is not an absolute path")
	case strings.HasPrefix(filepath.Clean(file), c.cfg.State+"/"):
		c.wrong(p, "put the file elsewhere: keypaird copies it to where it keeps pairs", "%s lies in the state directory, which is keypaird's own", file)
	}
}

// boughtApart refuses files of bought certificates that a deployment writes: the
// next one would never be seen.
func (c *checker) boughtApart(p path, t Target, writers map[string]written) {
	for _, f := range []struct{ key, file string }{{"chain", t.External.Chain}, {"key", t.External.Key}} {
		if by, taken := writers[filepath.Clean(f.file)]; taken && f.file != "" {
			c.wrong(p.in("external", f.key), "keep what you bought elsewhere: it is copied to where the server reads it",
				"%s is written by [deploy.%s] for the target %q", f.file, by.deployment, by.target)
		}
	}
}
