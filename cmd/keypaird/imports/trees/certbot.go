package trees

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
	"keypaird/renew/problem"
)

const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// A certbot reads the tree of certbot.
type certbot struct {
	*Tree
	*root
	reload []string // of the hooks for every certificate; nil if there is none that can be carried over
	cli    syntax.Section
}

// below a web root is where clients put the responses of http-01.
const below = ".well-known/acme-challenge"

// readCertbot reads the configuration directory of certbot.
func readCertbot(r *root, t *Tree) error {
	c := &certbot{Tree: t, root: r}
	t.Back = "remove keypaird's service, then enable what runs certbot again: its files are as keypaird left them, with the newest certificate behind live/"
	confs, err := r.names("renewal")
	if err != nil {
		return err
	}
	if data, err := r.read("cli.ini", maxFile); err == nil {
		if sections, line, err := syntax.ConfigObj(string(data)); err == nil {
			c.cli = sections[""]
		} else {
			t.fault("cli.ini", r.at("cli.ini"), line, err)
		}
	}
	c.hooks()
	var renewed []string
	for _, file := range confs {
		if name, ok := strings.CutSuffix(file, ".conf"); ok {
			renewed = append(renewed, name)
			c.lineage(name)
		}
	}
	live, err := r.names("live")
	if err != nil {
		return err
	}
	for _, name := range live {
		if r.isDir(filepath.Join("live", name)) && !slices.Contains(renewed, name) {
			t.note(name, "certbot delete --cert-name "+name+" if nothing uses it", "has no renewal/%s.conf: certbot does not renew it, and it is not taken over", name)
		}
	}
	return nil
}

// hooks reads the programs that certbot runs for every certificate.
func (c *certbot) hooks() {
	for _, kind := range []string{"deploy", "pre", "post"} {
		list, _ := c.names(filepath.Join("renewal-hooks", kind))
		for _, name := range list {
			name = filepath.Join("renewal-hooks", kind, name)
			data, err := c.read(name, maxFile)
			if err == nil && kind == "deploy" && c.reload == nil && !strings.Contains(string(data), "RENEWED_") {
				c.reload = []string{c.at(name)}
				continue
			}
			c.notCarried("", kind+"-hook", c.at(name))
		}
	}
	for _, kind := range []string{"deploy", "renew", "pre", "post"} {
		text := strings.Join(c.cli.Values[kind+"-hook"], ", ")
		if argv := syntax.Words(text); argv != nil && c.reload == nil && (kind == "deploy" || kind == "renew") {
			c.reload = argv
		} else if text != "" {
			c.notCarried("", kind+"-hook", text)
		}
	}
}

// notCarried notes a hook.
func (t *Tree) notCarried(subject, kind, text string) {
	remedy := "see whether it is still needed; if it frees port 80, have the server there pass /.well-known/acme-challenge/ on, and set [http-01] listen"
	if strings.HasPrefix(kind, "deploy") || strings.HasPrefix(kind, "renew") || kind == "reloadcmd" {
		remedy = "set reload of the [deploy] table to a program that makes the server read the new files; it has $KEYPAIRD_NAMES"
	}
	t.note(subject, remedy, "the %s %q is not carried over", kind, text)
}

// lineage reads one certificate.
func (c *certbot) lineage(name string) {
	file := filepath.Join("renewal", name+".conf")
	data, err := c.read(file, maxFile)
	if err != nil {
		c.fault(name, c.at(file), 0, err)
		return
	}
	sections, line, err := syntax.ConfigObj(string(data))
	if err != nil {
		c.fault(name, c.at(file), line, err)
		return
	}
	params := sections["renewalparams"]
	switch strings.ToLower(params.Get("autorenew")) {
	case "false", "no", "off", "0":
		c.note(name, "add a [cert] table if keypaird is to renew it", "has autorenew = False, and is not taken over")
		return
	}
	live := func(part string) string { return filepath.Join("live", name, part+".pem") }
	pair := c.pair(c.root, name, live("fullchain"), live("privkey"))
	if pair == nil {
		return
	}
	cert := &Certificate{
		Name: name, Pair: pair, Directory: cmp.Or(params.Get("server"), letsEncrypt), RootName: params.Get("preferred_chain"),
		Profile: cmp.Or(params.Get("required_profile"), params.Get("preferred_profile")),
	}
	if id := params.Get("account"); id != "" {
		cert.Account = c.certbotAccount(cert.Directory, id)
	}
	place := Place{
		Key: c.at(live("privkey")), Chain: c.at(live("fullchain")), Leaf: c.at(live("cert")), Intermediates: c.at(live("chain")),
		Reload: c.reload,
	}
	if i := params.Get("installer"); i == "nginx" || i == "apache" {
		place.Preset = i
	}
	if hook := cmp.Or(params.Get("renew_hook"), params.Get("deploy_hook")); hook != "" {
		if argv := syntax.Words(hook); argv != nil {
			place.Reload = argv
		} else {
			c.notCarried(name, "deploy hook", hook)
		}
	}
	for _, kind := range []string{"pre_hook", "post_hook"} {
		if hook := params.Get(kind); hook != "" {
			c.notCarried(name, kind, hook)
		}
	}
	if strings.EqualFold(params.Get("reuse_key"), "true") {
		c.note(name, "set tlsa if peers know the key by TLSA records", "has reuse_key: keypaird makes a new key for each certificate")
	}
	cert.Places = []Place{place}
	c.challenges(cert, params, sections["webroot_map"], file)
	c.Certificates = append(c.Certificates, cert)
}

// challenges sets how the names of a certificate are validated.
func (c *certbot) challenges(cert *Certificate, params, webroots syntax.Section, file string) {
	authenticator := params.Get("authenticator")
	plugin, isDNS := strings.CutPrefix(authenticator, "dns-")
	var dns *DNS
	if isDNS {
		dns = c.plugin(cert.Name, plugin, params, file)
	}
	how := "a hook, " + cmp.Or(params.Get("manual_auth_hook"), "at a terminal")
	if isDNS {
		how = "the plugin " + authenticator
	}
	byDNS := isDNS || slices.ContainsFunc(params.Values["pref_challs"], func(s string) bool { return strings.HasPrefix(s, "dns") })
	for _, name := range cert.Pair.Names() {
		ch := Challenge{Name: name, Type: "http-01"}
		switch {
		case authenticator == "webroot":
			if path := cmp.Or(webroots.Get(name), params.Get("webroot_path")); path != "" {
				ch.Webroot = filepath.Join(path, below)
			}
		case authenticator == "standalone":
			if port := params.Get("http01_port"); port != "" && port != "80" {
				ch.Listen = params.Get("http01_address") + ":" + port
			}
		case dns != nil:
			ch.Type, ch.Account = "dns-01", dns
		case byDNS || strings.HasPrefix(name, "*."):
			ch.Type = "dns-persist-01"
			c.byHook(cert.Name, name, how)
		default:
			ch.Unclear, ch.Server = true, authenticator
		}
		cert.Challenges = append(cert.Challenges, ch)
	}
}

// byHook notes a name that is validated by DNS with a program or plugin that keypaird
// does not have.
func (t *Tree) byHook(subject, name, how string) {
	t.noteName(subject, name, "publish once the record that keypaird check -live shows, or add a [dns] table and move the name to dns-01, before the certificate is due",
		fmt.Sprintf("validated by %s, which is not carried over: now under dns-persist-01", how))
}

// plugin returns the account of a DNS plugin; nil if keypaird cannot have it.
func (c *certbot) plugin(subject, plugin string, params syntax.Section, file string) *DNS {
	known, ok := certbotPlugins[plugin]
	if !ok {
		return nil
	}
	key := "dns_" + strings.ReplaceAll(plugin, "-", "_") + "_"
	path := params.Get(key + "credentials")
	d := &DNS{Provider: known.provider, Env: map[string]string{}}
	switch {
	case path == "":
		c.note(subject, "write the variables that keypaird dns "+d.Provider+" lists into the [dns] table", "no credentials of %s are in certbot's files", d.Provider)
		return d
	case known.file != "":
		d.Env[known.file] = path
		return d
	}
	data, err := readPrivate(path)
	line := 0
	var sections map[string]syntax.Section
	if err == nil {
		sections, line, err = syntax.ConfigObj(string(data))
	} else {
		path, line = c.at(file), params.Lines[key+"credentials"]
	}
	if err != nil {
		c.fault(subject, path, line, err)
		return d
	}
	values := map[string]string{}
	for k := range sections[""].Values {
		values[strings.TrimPrefix(k, key)] = sections[""].Get(k)
	}
	known.fill(d, values)
	return d
}

// certbotAccount returns the account called id at a CA.
func (c *certbot) certbotAccount(server, id string) *Account {
	_, at, _ := strings.Cut(server, "://")
	dir := filepath.Join("accounts", strings.TrimSuffix(at, "/"), id)
	if a := c.account(dir); a != nil {
		return a
	}
	a := &Account{ID: dir, Directory: server, File: c.at(filepath.Join(dir, "private_key.json"))}
	var regr struct {
		URI  string `json:"uri"`
		Body struct {
			Contact []string `json:"contact"`
		} `json:"body"`
	}
	var key jwk
	err := c.readJSON(filepath.Join(dir, "regr.json"), &regr)
	if err == nil {
		err = c.readJSON(filepath.Join(dir, "private_key.json"), &key)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = problem.Newf("restore it from a backup", "the account is missing or incomplete in %s", c.at(dir))
	}
	if err == nil {
		a.Key, err = key.private()
	}
	if err != nil {
		c.fault(id, a.File, 0, err)
		return nil
	}
	a.URL = regr.URI
	for _, contact := range regr.Body.Contact {
		if mail, ok := strings.CutPrefix(contact, "mailto:"); ok {
			a.Email = cmp.Or(a.Email, mail)
		}
	}
	a.Email = cmp.Or(a.Email, c.cli.Get("email"))
	c.Accounts = append(c.Accounts, a)
	return a
}

// A jwk is a private key as RFC 7517 and RFC 7518 write it.
type jwk struct {
	Kty, Crv            string
	X, Y, D, N, E, P, Q string
}

// private returns the key.
func (k jwk) private() (crypto.Signer, error) {
	number := func(s string) *big.Int {
		data, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		return new(big.Int).SetBytes(data)
	}
	bad := problem.New("is not a private key (JWK) of a kind that signs requests here: P-256, P-384 or RSA", "restore it from a backup")
	switch k.Kty {
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[k.Crv]
		if curve == nil {
			return nil, bad
		}
		d := number(k.D)
		if d.BitLen() > curve.Params().BitSize {
			return nil, bad
		}
		key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, (curve.Params().BitSize+7)/8)))
		if err != nil {
			return nil, fmt.Errorf("is not a private key: %w", err)
		}
		return key, nil
	case "RSA":
		e := number(k.E)
		if !e.IsInt64() || number(k.N).BitLen() > 8192 {
			return nil, bad
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: number(k.N), E: int(e.Int64())}, D: number(k.D), Primes: []*big.Int{number(k.P), number(k.Q)},
		}
		if err := key.Validate(); err != nil {
			return nil, fmt.Errorf("is not a private key: %w", err)
		}
		key.Precompute()
		return key, nil
	}
	return nil, bad
}
