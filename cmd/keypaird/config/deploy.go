package config

import (
	"cmp"
	"io/fs"
	"os/user"
	"strconv"

	"keypaird/cmd/keypaird/config/filerule"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/hooks"
	"keypaird/hooks/expect"
	"keypaird/hooks/preset"
	"keypaird/hooks/probe"
	"keypaird/renew/keypair/pkcs12"
	"keypaird/renew/problem"
)

// checkDeploy checks a [deploy] table.
func (c *checker) checkDeploy(name string, d Deploy) {
	p := path{"deploy", name}
	c.checkTableName(p, name)
	if d.Preset != "" {
		c.checkOneOf(p.child("preset"), d.Preset, preset.Names(), "is not a preset")
	}
	for _, f := range []struct {
		key      string
		template *string
	}{{"chain", d.Chain}, {"key", d.Key}, {"combined", d.Combined}, {"leaf", d.Leaf}, {"intermediates", d.Intermediates}, {"pkcs12", d.PKCS12}, {"socket", d.Socket}} {
		if f.template != nil && *f.template != "" {
			if at := p.child(f.key); c.checkAbsolute(at, *f.template, "write the path from / on") {
				c.reportError(at, filerule.Template(*f.template, f.key != "socket"))
			}
		}
	}
	c.badDeploys[name] = c.reportedUnder(p)
	if d.ChainMode != nil {
		c.reportError(p.child("chain_mode"), filerule.Mode(*d.ChainMode, 0o004))
	}
	if d.KeyMode != nil {
		c.reportError(p.child("key_mode"), filerule.Mode(*d.KeyMode, 0))
	}
	if d.Check != nil {
		c.checkProgram(p.child("check"), *d.Check)
	}
	if d.Reload != nil {
		c.checkProgram(p.child("reload"), *d.Reload)
	}
	for _, e := range d.Verify {
		c.checkEndpoint(p.child("verify"), e)
	}
	c.checkDeployNodes(p.child("nodes"), d.Nodes)
	c.checkComplete(p, c.cfg.Deployment(name))
}

// checkEndpoint checks an item of verify and brings its names into their normal form.
func (c *checker) checkEndpoint(p path, e Endpoint) {
	if _, err := probe.ParseEndpoint(e.Endpoint); err != nil {
		c.report(p, `write "[proto:]host:port": "127.0.0.1:443", "xmpp-server:127.0.0.1:5269"`, "%v", err)
	}
	c.reportIf(e.Names != nil && len(e.Names) == 0, p, "name some, or leave names out for those of the protocol", "names of %q is empty", e.Endpoint)
	for i, s := range e.Names {
		name, err := hostname.Normal(s)
		if err != nil {
			c.report(p, problem.Remedy(err), "the name %.*q %v", maxShown, s, err)
			continue
		}
		e.Names[i] = name
	}
}

// checkComplete checks the deployment that a table and its preset make together.
func (c *checker) checkComplete(p path, d hooks.Deployment) {
	c.checkOwners(p.child("owner"), p.child("group"), d)
	switch {
	case c.reportedUnder(p):
	case len(d.Outputs()) == 0 && len(d.Check)+len(d.Reload)+len(d.Verify) == 0:
		c.report(p, "set chain and key, or combined, or pkcs12, or reload, or preset", "does nothing")
	case d.Socket != "" && d.Combined == "":
		c.report(p.child("socket"), "set combined: haproxy knows a certificate by that file", "needs combined")
	}
	c.checkPassword(p, d)
}

// checkPassword checks what goes with pkcs12.
func (c *checker) checkPassword(p path, d hooks.Deployment) {
	file := p.child("pkcs12_password_file")
	switch {
	case d.PKCS12 == "":
		c.reportIf(d.PasswordFile != "", file, "set pkcs12, or leave this out", "is without pkcs12")
		c.reportIf(d.PKCS12Encoding == pkcs12.Legacy, p.child("pkcs12_legacy"), "set pkcs12, or leave this out", "is without pkcs12")
	case d.PasswordFile == "":
		c.report(p.child("pkcs12"), "write a password to a file for the user who runs keypaird alone, and name it as pkcs12_password_file", "has no pkcs12_password_file")
	default:
		text, ok := c.readSecret(file, d.PasswordFile)
		if !ok || c.noSecrets {
			return
		}
		if _, err := pkcs12.ParsePassword(text); err != nil {
			c.report(file, problem.Remedy(err), "%s %v", d.PasswordFile, err)
		}
	}
}

// checkOwners looks owner and group up, where the deployment is on this machine.
func (c *checker) checkOwners(owner, group path, d hooks.Deployment) {
	if !c.cfg.DeploysHere(d.Name) {
		return
	}
	hint := "in [" + path{"deploy", d.Name}.String() + "], by name or number"
	c.reportIf(!c.accountExists("user", d.Owner), owner, "set owner "+hint, "there is no user %q", d.Owner)
	c.reportIf(!c.accountExists("group", d.Group), group, "set group "+hint, "there is no group %q", d.Group)
}

// accountExists reports whether there is such a user or group. Each is looked up once.
func (c *checker) accountExists(what, name string) bool {
	if _, err := strconv.ParseUint(name, 10, 31); name == "" || err == nil {
		return true
	}
	err, known := c.lookups[what+" "+name]
	if !known {
		if what == "user" {
			_, err = user.Lookup(name)
		} else {
			_, err = user.LookupGroup(name)
		}
		c.lookups[what+" "+name] = err
	}
	return err == nil
}

// setMode sets permissions that have been checked, if a table has them.
func setMode(dst *fs.FileMode, s *string) {
	if s != nil {
		m, _ := strconv.ParseUint(*s, 8, 16)
		*dst = fs.FileMode(m)
	}
}

// Sets reports whether the table gives the command called key itself; else it is
// a preset's.
func (d Deploy) Sets(key string) bool {
	return key == "check" && d.Check != nil || key == "reload" && d.Reload != nil
}

// Deployment returns the deployment called name: a preset, a table, or a preset
// of which a table overrides some fields.
func (c *Config) Deployment(name string) hooks.Deployment {
	t := c.Deploy[name]
	d, _ := preset.Lookup(cmp.Or(t.Preset, name))
	d.Name = name
	for dst, v := range map[*string]*string{
		&d.Chain: t.Chain, &d.Key: t.Key, &d.Combined: t.Combined, &d.Leaf: t.Leaf, &d.Intermediates: t.Intermediates,
		&d.PKCS12: t.PKCS12, &d.PasswordFile: t.PKCS12PasswordFile, &d.Owner: t.Owner, &d.Group: t.Group, &d.Socket: t.Socket,
	} {
		setIfGiven(dst, v)
	}
	d.PKCS12Encoding = pkcs12.Encryption(t.PKCS12Legacy)
	setIfGiven(&d.Check, t.Check)
	setIfGiven(&d.Reload, t.Reload)
	if t.Reload != nil {
		d.Reloads, d.Restart = 0, nil // they are about the preset's
	}
	setMode(&d.ChainMode, t.ChainMode)
	setMode(&d.KeyMode, t.KeyMode)
	for _, v := range t.Verify {
		if e, err := probe.ParseEndpoint(v.Endpoint); err == nil { // checked when it was loaded
			d.Verify = append(d.Verify, expect.Endpoint{Endpoint: e, Names: v.Names})
		}
	}
	d.Timeout = cmp.Or(t.Timeout.Duration, d.Timeout)
	return d
}

// setIfGiven sets dst to the value of a table, if it has one.
func setIfGiven[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}
