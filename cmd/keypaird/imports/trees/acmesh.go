package trees

import (
	"cmp"
	"encoding/base64"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
	"keypaird/renew/problem"
)

// An acmesh reads the tree of acme.sh.
type acmesh struct {
	*Tree
	*root
	conf map[string]string // account.conf
}

// readAcmesh reads the home directory of acme.sh.
func readAcmesh(r *root, t *Tree) error {
	a := &acmesh{t, r, map[string]string{}}
	t.Back = "remove keypaird's service, then: acme.sh --install-cronjob; its own copies are those of before, and it renews when it always would"
	if r.has("account.conf") {
		var ok bool
		if a.conf, ok = a.settings("account.conf", "account.conf"); !ok {
			return nil
		}
	}
	if v := a.conf["NOTIFY_HOOK"]; v != "" {
		t.note("", "set [notify] command to a program of yours", "notifications by %q are not carried over", v)
	}
	certs := r
	if home := a.conf["CERT_HOME"]; home != "" && filepath.Clean(home) != filepath.Clean(r.dir) {
		var err error
		if certs, err = open(home, false); err != nil {
			t.fault("", r.at("account.conf"), 0, pathError(home, err))
			return nil
		}
	}
	list, err := certs.names(".")
	if err != nil {
		return err
	}
	for _, dir := range list {
		if certs.isDir(dir) {
			a.certificate(certs, dir)
		}
	}
	return nil
}

// settings reads a file of assignments.
func (a *acmesh) settings(subject, name string) (map[string]string, bool) {
	return a.settingsIn(a.root, subject, name)
}

func (a *acmesh) settingsIn(r *root, subject, name string) (map[string]string, bool) {
	data, err := r.read(name, maxFile)
	if err != nil {
		a.fault(subject, r.at(name), 0, err)
		return nil, false
	}
	values, good := map[string]string{}, true
	for _, v := range syntax.Shell(string(data), map[string]string{}, func(line int, _ string, err error) {
		a.fault(subject, r.at(name), line, err)
		good = false
	}) {
		values[v.Key] = decode64(v.Value)
	}
	return values, good
}

// decode64 decodes a value that acme.sh keeps in base64.
func decode64(value string) string {
	rest, begins := strings.CutPrefix(value, "__ACME_BASE64__START_")
	text, ends := strings.CutSuffix(rest, "__ACME_BASE64__END_")
	if data, err := base64.StdEncoding.DecodeString(text); begins && ends && err == nil {
		return string(data)
	}
	return value
}

// certificate reads a directory, which may be of something else.
func (a *acmesh) certificate(r *root, dir string) {
	domain := strings.TrimSuffix(dir, "_ecc")
	file := func(ending string) string { return filepath.Join(dir, domain+ending) }
	if !r.has(file(".conf")) {
		if r.has(file(".key")) {
			a.note(dir, "remove "+r.at(dir)+" if nothing uses it", "has no %s.conf: acme.sh does not renew it, and it is not taken over", domain)
		}
		return
	}
	conf, ok := a.settingsIn(r, dir, file(".conf"))
	if !ok {
		return
	}
	if conf["Le_LinkCert"] == "" || !r.has(filepath.Join(dir, "fullchain.cer")) {
		a.note(dir, "remove "+r.at(dir)+", or issue it with acme.sh first", "was never issued, and is not taken over")
		return
	}
	cert := &Certificate{
		Name: dir, Directory: cmp.Or(conf["Le_API"], letsEncrypt), Profile: conf["Le_Certificate_Profile"], RootName: conf["Le_Preferred_Chain"],
		Pair: a.pair(r, dir, filepath.Join(dir, "fullchain.cer"), file(".key")), Roots: a.conf["CA_BUNDLE"],
	}
	if cert.Pair == nil {
		return
	}
	if other := dir + "_ecc"; dir == domain && !r.has(filepath.Join(other, domain+".conf")) || dir != domain && !r.has(filepath.Join(domain, domain+".conf")) {
		cert.Name = domain
	}
	cert.Account = a.acmeshAccount(cert.Directory)
	cert.Places = []Place{a.place(r, dir, domain, conf)}
	for _, h := range []struct{ key, kind string }{{"Le_PreHook", "pre-hook"}, {"Le_PostHook", "post-hook"}, {"Le_RenewHook", "renew-hook"}, {"Le_DeployHook", "deploy-hook"}} {
		if text := conf[h.key]; text != "" {
			a.notCarried(cert.Name, h.kind, strings.TrimSuffix(text, ","))
		}
	}
	a.challenges(cert, conf)
	a.Certificates = append(a.Certificates, cert)
}

// place returns where servers read a certificate: the files that --install-cert wrote,
// or those of acme.sh itself.
func (a *acmesh) place(r *root, dir, domain string, conf map[string]string) Place {
	p := Place{Key: conf["Le_RealKeyPath"], Chain: conf["Le_RealFullChainPath"], Leaf: conf["Le_RealCertPath"], Intermediates: conf["Le_RealCACertPath"]}
	if p.Key+p.Chain+p.Leaf+p.Intermediates == "" {
		p = Place{
			Key: r.at(filepath.Join(dir, domain+".key")), Chain: r.at(filepath.Join(dir, "fullchain.cer")),
			Leaf: r.at(filepath.Join(dir, domain+".cer")), Intermediates: r.at(filepath.Join(dir, "ca.cer")),
		}
	}
	if text := conf["Le_ReloadCmd"]; text != "" {
		if p.Reload = syntax.Words(text); p.Reload == nil {
			a.notCarried(dir, "reloadcmd", text)
		}
	}
	return p
}

// challenges sets how the names of a certificate are validated.
func (a *acmesh) challenges(cert *Certificate, conf map[string]string) {
	names := []string{conf["Le_Domain"]}
	if alt := conf["Le_Alt"]; alt != "" && alt != "no" {
		names = append(names, strings.Split(alt, ",")...)
	}
	ways := strings.Split(conf["Le_Webroot"], ",")
	aliases := strings.Split(conf["Le_ChallengeAlias"], ",")
	way := "no"
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if i < len(ways) && ways[i] != "" {
			way = ways[i]
		}
		if i < len(aliases) && aliases[i] != "" && aliases[i] != "no" {
			a.note(cert.Name, "let the account of the [dns] table change that zone",
				"%s is validated in the zone of %q: keypaird follows the CNAME of _acme-challenge.%s by itself", name, strings.TrimPrefix(aliases[i], "="), strings.TrimPrefix(name, "*."))
		}
		ch := a.challenge(cert.Name, name, way)
		if port := conf["Le_HTTPPort"]; ch.Type == "http-01" && ch.Webroot == "" && port != "" && port != "80" {
			ch.Listen = ":" + port
		}
		cert.Challenges = append(cert.Challenges, ch)
	}
}

// challenge returns how one name is validated.
func (a *acmesh) challenge(subject, name, way string) Challenge {
	ch := Challenge{Name: name, Type: "http-01"}
	switch {
	case way == "no":
	case way == "alpn":
		ch.Type = "tls-alpn-01"
	case way == "dns_persist":
		ch.Type = "dns-persist-01"
	case strings.HasPrefix(way, "/"):
		ch.Webroot = filepath.Join(way, below)
	case strings.HasPrefix(way, "dns"):
		known, ok := acmeshAPIs[way]
		if !ok {
			ch.Type = "dns-persist-01"
			a.byHook(subject, name, way)
			return ch
		}
		values := map[string]string{}
		for variable := range known.names {
			values[variable] = cmp.Or(a.conf["SAVED_"+variable], a.conf[variable])
		}
		ch.Type, ch.Account = "dns-01", &DNS{Provider: known.provider, Env: map[string]string{}}
		if known.fill(ch.Account, values); len(ch.Account.Env) == 0 && known.provider != "rfc2136" {
			a.note(subject, "write the variables that keypaird dns "+known.provider+" lists into the [dns] table", "no credentials of %s are in account.conf", way)
		}
	default:
		ch.Unclear, ch.Server = true, way
	}
	return ch
}

// acmeshAccount returns the account at a CA; nil if there is none.
func (a *acmesh) acmeshAccount(directory string) *Account {
	if known := a.account(directory); known != nil {
		return known
	}
	u, err := url.Parse(directory)
	if err != nil || u.Host == "" {
		return nil
	}
	dir := filepath.Join("ca", u.Hostname(), u.Path)
	if !a.has(filepath.Join(dir, "account.key")) {
		dir = filepath.Join("ca", u.Hostname()) // of an older version
	}
	account := &Account{ID: directory, Directory: directory}
	if !a.has(filepath.Join(dir, "account.key")) {
		a.fault(directory, a.at(filepath.Join(dir, "account.key")), 0, problem.Newf("restore it from a backup", "%w", fs.ErrNotExist))
		return nil
	}
	if !a.key(a.root, account, filepath.Join(dir, "account.key")) {
		return nil
	}
	if a.has(filepath.Join(dir, "ca.conf")) {
		conf, ok := a.settings(directory, filepath.Join(dir, "ca.conf"))
		if !ok {
			return nil
		}
		account.URL, account.Email = conf["ACCOUNT_URL"], conf["CA_EMAIL"]
		account.EABKeyID, account.EABHMAC = conf["CA_EAB_KEY_ID"], conf["CA_EAB_HMAC_KEY"]
	}
	account.Email = cmp.Or(account.Email, a.conf["ACCOUNT_EMAIL"])
	a.Accounts = append(a.Accounts, account)
	return account
}
