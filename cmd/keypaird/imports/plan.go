package imports

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/authority"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/hooks/preset"
	"keypaird/renew/keypair"
	"keypaird/renew/lifetime"
	"keypaird/renew/problem"
)

// Options say what to plan.
type Options struct {
	Config string              // path of the configuration that is written, absolute
	Getenv func(string) string // required
	CA     string              // URL of the CA's directory where the client does not keep it; "" means Let's Encrypt
	Roots  string              // PEM file for the own TLS of private CAs; "" means as the other client has it
	Skip   []string            // certificates that are left out
}

// A Plan is the configuration that takes over a tree.
type Plan struct {
	Tree  *trees.Tree
	Notes []trees.Note // those of the tree, and what does not fit into one configuration

	options Options
	email   string
	cas     []*ca
	http01  trees.Challenge // where challenges are answered
	dns     []*dns
	targets []*target
	deploys []*deploy
	secrets []secret
	confine bool     // as in [Import]
	passing []string // the lines by which a web server passes challenges on to http01
}

// A ca is a CA with one account.
type ca struct {
	name, directory, roots string
	account                *trees.Account // nil: one is registered at the first order
}

// A dns is a [dns] table.
type dns struct {
	name string
	*trees.DNS
}

// A target is a [cert] table.
type target struct {
	*trees.Certificate
	name    string
	ca      *ca
	dns     *dns
	deploys []*deploy
}

// A secret is a file that is written beside the configuration.
type secret struct{ path, content string }

// New plans the configuration for a tree. It fails if there is nothing to take over.
func New(t *trees.Tree, o Options) (*Plan, error) {
	p := &Plan{Tree: t, options: o, Notes: slices.Clone(t.Notes)}
	if err := checkSkip(t, o.Skip); err != nil {
		return nil, err
	}
	for _, c := range t.Certificates {
		if slices.Contains(o.Skip, c.Name) {
			continue
		}
		one := &target{Certificate: c}
		for i, ch := range c.Challenges {
			if name, err := hostname.Normal(ch.Name); err == nil { // else the configuration is refused
				c.Challenges[i].Name = name
			}
		}
		one.name = unique(tableName(c.Name), func(name string) bool {
			return slices.ContainsFunc(p.targets, func(other *target) bool { return other.name == name })
		})
		p.targets = append(p.targets, one)
	}
	t.Faults = slices.DeleteFunc(t.Faults, func(n trees.Note) bool { return n.Subject != "" && slices.Contains(o.Skip, n.Subject) })
	if len(p.targets) == 0 && len(t.Faults) == 0 {
		return nil, problem.Newf("name another directory with -dir", "%s in %s renews no certificate", t.Client, t.Dir)
	}
	for _, t := range p.targets {
		p.setCA(t)
		p.setDNS(t)
		p.setDeploys(t)
		p.noteAge(t)
	}
	p.nameCAs()
	p.setEmail()
	p.setHTTP01()
	return p, nil
}

// checkSkip refuses names to leave out that nothing has.
func checkSkip(t *trees.Tree, skip []string) error {
	var known []string
	for _, c := range t.Certificates {
		known = append(known, c.Name)
	}
	for _, n := range t.Faults {
		known = append(known, n.Subject)
	}
	for _, name := range skip {
		if name == "" || !slices.Contains(known, name) {
			return problem.Newf("leave out one of: "+strings.Join(known, " "), "nothing in %s is called %q", t.Dir, name)
		}
	}
	return nil
}

// note adds a note of the plan.
func (p *Plan) note(subject, remedy, format string, args ...any) {
	n := trees.Note{Subject: subject, Text: fmt.Sprintf(format, args...), Remedy: remedy}
	if !slices.Contains(p.Notes, n) {
		p.Notes = append(p.Notes, n)
	}
}

// unique returns name, or name with a number behind it if it is taken.
func unique(name string, taken func(string) bool) string {
	for n, base := 2, name; taken(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// tableName returns the name of a table for what another client calls name.
func tableName(name string) string {
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name = "wildcard." + rest
	}
	name = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c) {
			return c
		}
		return '-'
	}, name)
	name = strings.TrimLeft(strings.ReplaceAll(name, "..", "-"), "._-")
	name = strings.TrimRight(name[:min(len(name), 200)], ".")
	if keypair.CheckName(name) != nil {
		return "imported"
	}
	return name
}

// setCA finds the CA of a target, or adds it.
func (p *Plan) setCA(t *target) {
	directory := p.directory(t)
	for _, c := range p.cas {
		if c.directory == directory && c.account == t.Account {
			t.ca = c
			return
		}
	}
	t.ca = &ca{directory: directory, account: t.Account}
	if _, builtIn := caName(directory); !builtIn {
		t.ca.roots = cmp.Or(p.options.Roots, t.Roots, p.options.Getenv("REQUESTS_CA_BUNDLE"), p.options.Getenv("LEGO_CA_CERTIFICATES"))
	}
	p.cas = append(p.cas, t.ca)
}

// nameCAs names the CAs, those of most targets first: an account beside another one at
// the same CA has a number.
func (p *Plan) nameCAs() {
	count := map[*ca]int{}
	for _, t := range p.targets {
		count[t.ca]++
	}
	slices.SortStableFunc(p.cas, func(a, b *ca) int { return count[b] - count[a] })
	for _, c := range p.cas {
		name, _ := caName(c.directory)
		c.name = unique(name, func(name string) bool {
			return slices.ContainsFunc(p.cas, func(c *ca) bool { return c.name == name })
		})
		if c.account == nil {
			p.note(c.name, "", "no account is taken over: keypaird registers one at the first order")
		}
	}
}

// directory returns the URL of the directory of a target's CA.
func (p *Plan) directory(t *target) string {
	if t.Directory != "" {
		return t.Directory
	}
	for _, name := range authority.BuiltInNames() {
		if known, _ := authority.BuiltIn(name); t.Host != "" && hostOf(known.Directory) == t.Host {
			return known.Directory
		}
	}
	switch {
	case p.options.CA == "" && t.Host == "":
		p.note(t.name, "if it is another, name its directory with -ca", "the files do not say which CA it is from: Let's Encrypt is supposed")
		return letsEncrypt
	case p.options.CA == "" || t.Host != "" && hostOf(p.options.CA) != t.Host:
		p.Tree.Faults = append(p.Tree.Faults, trees.Note{
			Subject: t.Name, Text: "the URL of the directory of its CA is not in the files, only the host " + t.Host, Remedy: "name it: -ca https://" + t.Host + "/...",
		})
	}
	return p.options.CA
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// caName returns a name for the CA with a directory.
func caName(directory string) (name string, builtIn bool) {
	for _, name := range authority.BuiltInNames() {
		if known, _ := authority.BuiltIn(name); known.Directory == directory {
			return name, true
		}
	}
	if u, err := url.Parse(directory); err == nil && u.Hostname() != "" {
		return tableName(u.Hostname()), false
	}
	return "ca", false
}

// setEmail takes the address of the accounts if all have the same: another one would
// change the others' at the CA.
func (p *Plan) setEmail() {
	for i, c := range p.cas {
		switch {
		case c.account == nil:
		case i > 0 && c.account.Email != p.email:
			p.email = ""
			return
		default:
			p.email = c.account.Email
		}
	}
}

// setHTTP01 decides where http-01 is answered: a configuration has one way.
func (p *Plan) setHTTP01() {
	type way struct{ webroot, listen string }
	count := map[way]int{}
	var best way
	for _, t := range p.targets {
		for _, ch := range t.Challenges {
			w := way{ch.Webroot, ch.Listen}
			if ch.Type != acme.HTTP01 || ch.Unclear {
				continue
			}
			if count[w]++; count[w] > count[best] || count[w] == count[best] && best.webroot == "" {
				best = w
			}
		}
	}
	p.http01 = trees.Challenge{Webroot: best.webroot, Listen: best.listen}
	p.setServers(len(count) > 0)
	for _, t := range p.targets {
		for _, ch := range t.Challenges {
			if w := (way{ch.Webroot, ch.Listen}); ch.Type == acme.HTTP01 && !ch.Unclear && w != best {
				p.note(t.name, "serve "+ch.Name+" from there, too, before the certificate is due",
					"%s is validated by http-01 %s; [http-01] has one way for all: %s", ch.Name, wayText(ch), wayText(p.http01))
			}
		}
	}
}

// setServers decides how names are validated for which the other client configures a
// server. Unless there is another way already, that server passes challenges on.
func (p *Plan) setServers(another bool) {
	for _, t := range p.targets {
		names := map[string][]string{}
		for _, ch := range t.Challenges {
			if ch.Server != "" {
				names[ch.Server] = append(names[ch.Server], ch.Name)
			}
		}
		for _, server := range slices.Sorted(maps.Keys(names)) {
			known := webServer(server)
			lines, _ := preset.ChallengeFor(known, preset.ChallengeAddress)
			remedy := "have the server pass /.well-known/acme-challenge/ on (see examples), and set [http-01] listen; or set webroot"
			switch {
			case p.http01.Webroot != "":
				remedy = "have " + cmp.Or(known, "the server") + " serve that directory for them as /.well-known/acme-challenge/, before the certificate is due"
			case !another && len(lines) > 0:
				p.http01.Listen = preset.ChallengeAddress
				p.passing = append(p.passing, lines...)
				if slices.Contains(p.passing[:len(p.passing)-len(lines)], lines[0]) {
					p.passing = p.passing[:len(p.passing)-len(lines)]
				}
				remedy = "add the lines below to the configuration of " + known + ", before the certificate is due"
			}
			p.note(t.name, remedy, "%s: validated by %s, which is not carried over: now under http-01, %s", strings.Join(names[server], " "), server, wayText(p.http01))
		}
	}
}

// webServer returns the preset of the server that a client calls name, or "".
func webServer(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ":") // acme.sh: nginx:FILE
	if name == "mod_md" {
		return "apache"
	}
	return name
}

func wayText(ch trees.Challenge) string {
	if ch.Webroot != "" {
		return "in " + ch.Webroot
	}
	return "on " + cmp.Or(ch.Listen, "port 80")
}

// setDNS finds the [dns] table of a target, or adds it.
func (p *Plan) setDNS(t *target) {
	for i, ch := range t.Challenges {
		if ch.Account == nil {
			continue
		}
		if t.dns != nil && !t.dns.Equal(ch.Account) {
			p.note(t.name, "split the certificate, or let the account of [dns."+t.dns.name+"] change the zone",
				"%s is validated with another DNS account (%s), and a [cert] table has one", ch.Name, ch.Account.Provider)
			continue
		}
		if t.dns == nil {
			t.dns = p.dnsTable(t.Challenges[i].Account)
		}
	}
}

func (p *Plan) dnsTable(account *trees.DNS) *dns {
	for _, d := range p.dns {
		if d.Equal(account) {
			return d
		}
	}
	d := &dns{DNS: account, name: unique(account.Provider, func(name string) bool {
		return slices.ContainsFunc(p.dns, func(d *dns) bool { return d.name == name })
	})}
	p.dns = append(p.dns, d)
	return d
}

// keyType returns the type of key that a target is configured with: that of its pair, so
// that nothing is ordered.
func (t *target) keyType() string {
	have := ""
	if t.Pair != nil {
		have = t.Pair.KeyType()
	}
	return cmp.Or(have, t.KeyType, "ec256")
}

// noteAge notes what leads to an order at the next pass.
func (p *Plan) noteAge(t *target) {
	now := time.Now()
	switch {
	case t.Pair == nil:
		p.note(t.name, "", "there is no certificate yet: the next keypaird issue orders one")
	case t.Pair.KeyType() == "":
		p.note(t.name, "set key if another type than "+t.keyType()+" is wanted", "its key is of a type that keypaird does not order: the next keypaird issue orders another")
	case !slices.Equal(keypair.CanonicalNames(t.Certificate.Names()), t.Pair.Names()):
		p.note(t.name, "", "its certificate is for other names (%s) than are configured: the next keypaird issue orders another", strings.Join(t.Pair.Names(), " "))
	case !now.Before(t.Pair.Leaf.NotAfter):
		p.note(t.name, "", "its certificate has ended: the next keypaird issue orders another")
	case !now.Before(lifetime.Due(t.Pair.Leaf)):
		p.note(t.name, "", "its certificate is due: the next keypaird issue orders another")
	}
}

// beside returns the path of a file beside the configuration.
func (p *Plan) beside(name string) string { return filepath.Join(filepath.Dir(p.options.Config), name) }
