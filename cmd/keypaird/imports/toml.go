package imports

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/acme"
	"keypaird/acme/authority"
	"keypaird/acme/dns01/redact"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/hooks/preset"
)

// A writer collects the text of a configuration.
type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// table begins a table.
func (w *writer) table(kind, name string) { w.line("\n[%s.%s]", kind, key(name)) }

// set writes a key unless its value is empty.
func (w *writer) set(name, value string) {
	if value != "" {
		w.line("%s = %s", name, tomltext.Quote(value))
	}
}

// list writes a key unless it has no items.
func (w *writer) list(name string, items []string) {
	if len(items) > 0 {
		w.line("%s = %s", name, tomltext.QuoteAll(items))
	}
}

// key returns the name of a table, in quotes if it needs them.
func key(name string) string {
	if strings.Contains(name, ".") {
		return tomltext.Quote(name)
	}
	return name
}

// Text returns the configuration. Secrets are not in it: they get files of their own.
func (p *Plan) Text() string {
	p.secrets = nil
	w := &writer{}
	w.line("# Written by keypaird import, from %s in %s.", p.Tree.Client, tomltext.Quote(p.Tree.Dir))
	w.set("email", p.email)
	w.list("sign_with", p.signWith())
	if p.http01.Webroot != "" || p.http01.Listen != "" {
		w.line("\n[http-01]")
		w.set("webroot", p.http01.Webroot)
		if p.http01.Listen == preset.ChallengeAddress {
			w.line("# The web server has port 80, and passes /.well-known/acme-challenge/ on.")
		}
		w.set("listen", p.http01.Listen)
	}
	for _, c := range p.cas {
		p.writeCA(w, c)
	}
	for _, d := range p.dns {
		p.writeDNS(w, d)
	}
	for _, t := range p.targets {
		p.writeCert(w, t)
	}
	for _, d := range p.deploys {
		p.writeDeploy(w, d)
	}
	return w.String()
}

// signWith names the CA that most targets have.
func (p *Plan) signWith() []string {
	count, best := map[*ca]int{}, (*ca)(nil)
	for _, t := range p.targets {
		if count[t.ca]++; count[t.ca] > count[best] {
			best = t.ca
		}
	}
	if best == nil {
		return nil
	}
	return []string{best.name}
}

func (p *Plan) writeCA(w *writer, c *ca) {
	known, builtIn := authority.BuiltIn(c.name)
	bound := c.account != nil && c.account.EABKeyID != "" && c.account.EABHMAC != ""
	if builtIn && strings.HasPrefix(c.name, "letsencrypt") && known.Directory == c.directory && !bound {
		return
	}
	w.table("ca", c.name)
	w.set("directory", c.directory)
	w.set("roots", c.roots)
	if bound {
		w.set("eab_kid", c.account.EABKeyID)
		w.set("eab_hmac_file", p.secret("eab-"+c.name, c.account.EABHMAC))
	}
}

func (p *Plan) writeDNS(w *writer, d *dns) {
	w.table("dns", d.name)
	w.set("provider", d.Provider)
	var env []string
	for _, variable := range d.Variables() {
		value := d.Env[variable]
		if redact.IsSecret(variable, value) && !strings.HasSuffix(variable, "_FILE") {
			value = p.secret(d.name+"-"+strings.ToLower(variable), value)
			variable += "_FILE"
		}
		env = append(env, variable+" = "+tomltext.Quote(value))
	}
	if len(env) > 0 {
		w.line("env = { %s }", strings.Join(env, ", "))
	}
}

// secret adds a file for a secret, and returns its path.
func (p *Plan) secret(name, content string) string {
	path := p.beside(name)
	p.secrets = append(p.secrets, secret{path, content})
	return path
}

func (p *Plan) writeCert(w *writer, t *target) {
	w.table("cert", t.name)
	for _, kind := range []string{acme.HTTP01, acme.TLSALPN01, acme.DNS01, acme.DNSPersist01} {
		var names []string
		for _, ch := range t.Challenges {
			if ch.Type == kind {
				names = append(names, ch.Name)
			}
		}
		w.list(kind, names)
	}
	if t.dns != nil {
		w.set("dns", t.dns.name)
	}
	if k := t.keyType(); k != "ec256" {
		w.set("key", k)
	}
	w.set("profile", t.Profile)
	w.set("preferred_chain", t.RootName)
	if !slices.Equal(p.signWith(), []string{t.ca.name}) {
		w.list("sign_with", []string{t.ca.name})
	}
	var deploy []string
	for _, d := range t.deploys {
		deploy = append(deploy, d.name)
	}
	w.list("deploy", deploy)
}

func (p *Plan) writeDeploy(w *writer, d *deploy) {
	w.table("deploy", d.name)
	w.set("preset", d.place.Preset)
	for i, name := range []string{"key", "chain", "combined", "leaf", "intermediates"} {
		w.set(name, d.place.Files()[i])
	}
	w.set("owner", d.owner)
	w.set("group", d.group)
	w.set("key_mode", d.keyMode)
	w.set("chain_mode", d.chainMode)
	w.list("reload", d.place.Reload)
	if d.place.Reload == nil && d.place.Preset == "" {
		w.line(`# reload = ["systemctl", "reload", "nginx"]    # makes the server read a new pair`)
	}
	if len(d.verify) > 0 {
		w.list("verify", d.verify)
	} else {
		w.line(`# verify = ["127.0.0.1:443"]    # where the server is to be seen with it`)
	}
	if slices.ContainsFunc(p.targets, func(t *target) bool { return slices.Contains(t.deploys, d) && authority.IsTest(t.ca.directory) }) {
		w.line("staging = true    # clients do not trust what the CA of its certificates certifies")
	}
}

// live returns the directory of the pair in use.
func live(state, target string) string {
	return filepath.Join(cmp.Or(state, "STATE"), "certs", target, "live")
}
