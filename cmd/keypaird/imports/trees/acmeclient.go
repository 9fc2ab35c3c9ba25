package trees

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A clientConf is acme-client.conf(5) as it is parsed.
type clientConf struct {
	*Tree
	macros      map[string]string
	authorities []*authority
	domains     []*clientDomain
}

// An authority is an authority block.
type authority struct {
	name, url, key, contact, file string
	line                          int
	account                       *Account
	asked                         bool
}

// A clientDomain is a domain block.
type clientDomain struct {
	handle, name, key, cert, chain, fullchain, sign, profile, challenges, file string
	alternatives                                                               []string
	rsa                                                                        bool
	line                                                                       int
}

// readAcmeClient reads acme-client.conf(5), which is t.Dir.
func readAcmeClient(_ *root, t *Tree) error {
	c := &clientConf{Tree: t, macros: map[string]string{}}
	t.Back = "remove keypaird's service, then have cron run acme-client again: it finds its files where they were"
	if err := c.parse(t.Dir, 0); err != nil {
		return err
	}
	for _, d := range c.domains {
		c.certificate(d)
	}
	return nil
}

// parse reads a file, and those that it includes.
func (c *clientConf) parse(path string, depth int) error {
	data, err := readPrivate(path)
	if err != nil {
		return err
	}
	list, line, err := syntax.Tokens(string(data))
	if err != nil {
		c.fault("", path, line, err)
		return nil
	}
	p := &clientParser{conf: c, file: path, list: list, depth: depth}
	if line, err := p.run(); err != nil {
		c.fault("", path, line, err)
	}
	return nil
}

// A clientParser goes through the tokens of one file.
type clientParser struct {
	conf  *clientConf
	file  string
	list  []syntax.Token
	at    int
	depth int
}

// next returns the next token; a macro is replaced by its value.
func (p *clientParser) next() syntax.Token {
	if p.at == len(p.list) {
		return syntax.Token{Text: "\n", Line: p.list[len(p.list)-1].Line}
	}
	t := p.list[p.at]
	p.at++
	if name, ok := strings.CutPrefix(t.Text, "$"); ok && t.Word {
		if value, known := p.conf.macros[name]; known {
			t.Text = value
		}
	}
	return t
}

// run reads the grammar.
func (p *clientParser) run() (line int, err error) {
	for p.at < len(p.list) {
		t := p.next()
		switch {
		case t.Text == "\n":
			continue
		case t.Text == "include" && p.depth < 8:
			if err := p.conf.parse(p.next().Text, p.depth+1); err != nil {
				return t.Line, err
			}
		case t.Text == "authority":
			a := &authority{name: p.next().Text, file: p.file, line: t.Line}
			if line, err := p.block(func(words []string, t syntax.Token) error { return a.set(words) }); err != nil {
				return line, err
			}
			p.conf.authorities = append(p.conf.authorities, a)
		case t.Text == "domain":
			d := &clientDomain{handle: p.next().Text, file: p.file, line: t.Line}
			if line, err := p.block(func(words []string, t syntax.Token) error { return d.set(words) }); err != nil {
				return line, err
			}
			p.conf.domains = append(p.conf.domains, d)
		default:
			if sign := p.next(); sign.Text != "=" || !t.Word {
				return t.Line, problem.Newf("correct the line; acme-client -n shows whether it is right", "%.80q is neither a macro nor a block", t.Text)
			}
			p.conf.macros[t.Text] = p.next().Text
		}
	}
	return 0, nil
}

// block reads { ... }, and calls set with the words of each statement.
func (p *clientParser) block(set func([]string, syntax.Token) error) (line int, err error) {
	t := p.next()
	for t.Text == "\n" && p.at < len(p.list) {
		t = p.next()
	}
	if t.Text != "{" {
		return t.Line, problem.Newf("correct the line; acme-client -n shows whether it is right", "has %.80q where { is expected", t.Text)
	}
	var words []string
	for depth := 1; p.at < len(p.list); {
		t := p.next()
		switch {
		case t.Word:
			words = append(words, t.Text)
		case t.Text == "{":
			depth++
		case t.Text == "}" && depth > 1:
			depth--
		case t.Text == "}", t.Text == "\n" && depth == 1:
			if len(words) > 0 {
				if err := set(words, t); err != nil {
					return t.Line, err
				}
			}
			if words = nil; t.Text == "}" {
				return 0, nil
			}
		}
	}
	return p.list[len(p.list)-1].Line, problem.New("has a block without an end", "end it with }")
}

// set reads a statement of an authority block.
func (a *authority) set(words []string) error {
	value := words[len(words)-1]
	switch {
	case slices.Equal(words[:len(words)-1], []string{"api", "url"}):
		a.url = value
	case len(words) >= 3 && words[0] == "account" && words[1] == "key":
		a.key = words[2]
	case words[0] == "contact" && len(words) == 2:
		a.contact = strings.TrimPrefix(value, "mailto:")
	case words[0] != "insecure":
		return problem.Newf("correct the line; acme-client -n shows whether it is right", "has an unknown statement: %.80q", strings.Join(words, " "))
	}
	return nil
}

// set reads a statement of a domain block.
func (d *clientDomain) set(words []string) error {
	value := words[len(words)-1]
	switch text := strings.Join(words, " "); {
	case strings.HasPrefix(text, "domain name ") && len(words) == 3:
		d.name = value
	case strings.HasPrefix(text, "alternative names "):
		d.alternatives = append(d.alternatives, words[2:]...)
	case strings.HasPrefix(text, "domain key ") && len(words) <= 4:
		d.key, d.rsa = words[2], value == "rsa"
	case strings.HasPrefix(text, "domain full chain certificate ") && len(words) == 5:
		d.fullchain = value
	case strings.HasPrefix(text, "domain chain certificate ") && len(words) == 4:
		d.chain = value
	case strings.HasPrefix(text, "domain certificate ") && len(words) == 3:
		d.cert = value
	case strings.HasPrefix(text, "sign with ") && len(words) == 3:
		d.sign = value
	case words[0] == "profile" && len(words) == 2:
		d.profile = value
	case words[0] == "challengedir" && len(words) == 2:
		d.challenges = value
	default:
		return problem.Newf("correct the line; acme-client -n shows whether it is right", "has an unknown statement: %.80q", text)
	}
	return nil
}

// certificate adds the certificate of a domain block.
func (c *clientConf) certificate(d *clientDomain) {
	if len(c.authorities) == 0 {
		c.fault(d.handle, d.file, d.line, problem.New("there is no authority", "add an authority block"))
		return
	}
	a := c.authorities[0]
	for _, other := range c.authorities {
		if d.sign != "" && other.name == d.sign {
			a = other
		}
	}
	if d.sign != "" && a.name != d.sign {
		c.fault(d.handle, d.file, d.line, problem.Newf("name an authority of the file", "signs with %q, which is no authority", d.sign))
		return
	}
	cert := &Certificate{Name: d.handle, Directory: a.url, Account: c.accountOf(a), Profile: d.profile, KeyType: "ec384"}
	if d.rsa {
		cert.KeyType = "rsa4096"
	}
	beside := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(cmp.Or(d.cert, d.key)), path)
	}
	place := Place{Key: d.key, Chain: beside(d.fullchain), Leaf: beside(d.cert), Intermediates: beside(d.chain)}
	if place.Key == "" || place.Chain == "" && (place.Leaf == "" || place.Intermediates == "") {
		c.fault(d.handle, d.file, d.line, problem.New("has no key, or neither a full chain nor both parts of one", "name domain key and domain full chain certificate"))
		return
	}
	first := cmp.Or(place.Chain, place.Leaf)
	if _, err := os.Lstat(first); err == nil {
		if cert.Pair = c.clientPair(d.handle, place); cert.Pair == nil {
			return
		}
	}
	for _, command := range c.Commands { // acme-client NAME && rcctl reload relayd
		if slices.Contains(syntax.Fields(command), d.handle) {
			place.Reload = syntax.After(command)
		}
	}
	cert.Places = []Place{place}
	for _, name := range append([]string{cmp.Or(d.name, d.handle)}, d.alternatives...) {
		cert.Challenges = append(cert.Challenges, Challenge{Name: strings.ToLower(name), Type: "http-01", Webroot: cmp.Or(d.challenges, "/var/www/acme")})
	}
	c.Certificates = append(c.Certificates, cert)
}

// clientPair reads the files of a place.
func (c *clientConf) clientPair(subject string, p Place) *keypair.Pair {
	var parts [][]byte
	chain := []string{p.Chain}
	if p.Chain == "" {
		chain = []string{p.Leaf, p.Intermediates}
	}
	for _, path := range append(chain, p.Key) {
		data, err := readPrivate(path)
		if err != nil {
			c.fault(subject, path, 0, err)
			return nil
		}
		parts = append(parts, data)
	}
	pair, err := keypair.Parse(onlyCertificates(slices.Concat(parts[:len(chain)]...)), parts[len(chain)])
	if err != nil {
		c.fault(subject, chain[0], 0, problem.Newf("restore the pair", "is no pair with %s: %w", p.Key, err))
		return nil
	}
	return pair
}

// accountOf returns the account of an authority; nil if there is none.
func (c *clientConf) accountOf(a *authority) *Account {
	if a.asked {
		return a.account
	}
	a.asked = true
	if _, err := os.Lstat(a.key); err != nil {
		return nil
	}
	account := &Account{ID: a.name, Directory: a.url, Email: a.contact, File: a.key}
	data, err := readPrivate(a.key)
	if err == nil {
		account.Key, err = keypair.ParseKey(data)
	}
	if err != nil {
		c.fault(a.name, a.key, 0, problem.Wrap(durable.Cause(err), problem.Remedy(err)))
		return nil
	}
	a.account = account
	c.Accounts = append(c.Accounts, account)
	return account
}
