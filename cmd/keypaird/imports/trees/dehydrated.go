package trees

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
	"keypaird/renew/problem"
)

// A dehydrated reads the tree of dehydrated.
type dehydrated struct {
	*Tree
	conf            map[string]string
	certs, accounts *root
	domainConfs     string // DOMAINS_D
}

// dehydratedKeys are the settings that matter here.
var dehydratedKeys = []string{
	"BASEDIR", "CONFIG_D", "CERTDIR", "ACCOUNTDIR", "DOMAINS_TXT", "DOMAINS_D", "CA", "CHALLENGETYPE", "WELLKNOWN", "HOOK", "KEYSIZE", "KEY_ALGO",
	"PREFERRED_CHAIN", "ACME_PROFILE", "CONTACT_EMAIL", "CURL_OPTS",
}

// dehydratedCAs are the words that CA may have.
var dehydratedCAs = map[string]string{
	"":                 letsEncrypt,
	"letsencrypt":      letsEncrypt,
	"letsencrypt-test": "https://acme-staging-v02.api.letsencrypt.org/directory",
	"zerossl":          "https://acme.zerossl.com/v2/DV90",
	"buypass":          "https://api.buypass.com/acme/directory",
	"buypass-test":     "https://api.test4.buypass.no/acme/directory",
	"google":           "https://dv.acme-v02.api.pki.goog/directory",
}

// readDehydrated reads the directory with dehydrated's config.
func readDehydrated(r *root, t *Tree) error {
	t.Back = "remove keypaird's service, then have cron run dehydrated again: certs/ is as keypaird left it, with the newest certificate behind its links"
	d := &dehydrated{Tree: t, conf: map[string]string{"BASEDIR": r.dir}}
	if !d.settings(r, "config", d.conf) {
		return nil
	}
	if dir := d.conf["CONFIG_D"]; dir != "" {
		extra, err := open(dir, false)
		if err != nil {
			t.fault("", r.at("config"), 0, pathError(dir, err))
			return nil
		}
		names, _ := extra.names(".")
		for _, name := range names {
			if strings.HasSuffix(name, ".sh") && !d.settings(extra, name, d.conf) {
				return nil
			}
		}
	}
	base := d.conf["BASEDIR"]
	var err error
	dir := cmp.Or(d.conf["CERTDIR"], filepath.Join(base, "certs"))
	if d.certs, err = open(dir, false); err == nil {
		dir = cmp.Or(d.conf["ACCOUNTDIR"], filepath.Join(base, "accounts"))
		d.accounts, err = open(dir, false)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return problem.Newf("name the directory with its config: -dir", "dehydrated has no directory %s", dir)
	}
	if err != nil {
		return err
	}
	d.domainConfs = d.conf["DOMAINS_D"]
	return d.domains(cmp.Or(d.conf["DOMAINS_TXT"], filepath.Join(base, "domains.txt")))
}

// settings adds the assignments of a file to into.
func (d *dehydrated) settings(r *root, name string, into map[string]string) bool {
	data, err := r.read(name, maxFile)
	if err != nil {
		d.fault("", r.at(name), 0, err)
		return false
	}
	good := true
	syntax.Shell(string(data), into, func(line int, key string, err error) {
		switch {
		case slices.Contains(dehydratedKeys, key):
			d.fault("", r.at(name), line, err)
			good = false
		case key == "":
			d.Notes = append(d.Notes, Note{File: r.at(name), Line: line, Text: err.Error(), Remedy: problem.Remedy(err)})
		}
	})
	return good
}

// domains reads domains.txt, and the files in domains.txt.d.
func (d *dehydrated) domains(file string) error {
	files := []string{file}
	if extra, err := open(file+".d", false); err == nil {
		names, _ := extra.names(".")
		for _, name := range names {
			if strings.HasSuffix(name, ".txt") {
				files = append(files, extra.at(name))
			}
		}
	}
	var listed []string
	for _, path := range files {
		data, err := readPrivate(path)
		if err != nil && path == file && errors.Is(err, fs.ErrNotExist) && len(files) > 1 {
			continue
		}
		if err != nil {
			d.fault("", path, 0, err)
			continue
		}
		for i, line := range strings.Split(string(data), "\n") {
			line, _, _ = strings.Cut(line, "#")
			names, alias, _ := strings.Cut(strings.ToLower(line), ">")
			if list := strings.Fields(names); len(list) > 0 {
				alias = cmp.Or(strings.TrimSpace(alias), list[0])
				listed = append(listed, alias)
				d.certificate(alias, list, path, i+1)
			}
		}
	}
	there, _ := d.certs.names(".")
	for _, name := range there {
		if d.certs.isDir(name) && !slices.Contains(listed, name) {
			d.note(name, "remove "+d.certs.at(name)+" if nothing uses it", "is not in domains.txt: dehydrated does not renew it, and it is not taken over")
		}
	}
	return nil
}

// certificate reads one line of domains.txt.
func (d *dehydrated) certificate(alias string, names []string, file string, line int) {
	if strings.ContainsAny(alias, "/*\x00") || !filepath.IsLocal(alias) {
		d.fault(alias, file, line, problem.Newf("give the line an alias: NAMES > ALIAS", "%q cannot be the name of a directory", alias))
		return
	}
	conf := maps.Clone(d.conf)
	if d.certs.has(filepath.Join(alias, "config")) && !d.settings(d.certs, filepath.Join(alias, "config"), conf) {
		return
	}
	if extra, err := open(d.domainConfs, false); d.domainConfs != "" && err == nil && extra.has(alias) && !d.settings(extra, alias, conf) {
		return
	}
	ca := conf["CA"]
	cert := &Certificate{
		Name: alias, Directory: cmp.Or(dehydratedCAs[ca], ca), Profile: conf["ACME_PROFILE"], RootName: conf["PREFERRED_CHAIN"],
		KeyType: dehydratedKeyType(conf), Roots: dehydratedRoots(conf["CURL_OPTS"]),
	}
	part := func(name string) string { return filepath.Join(alias, name+".pem") }
	if d.certs.has(part("fullchain")) {
		if cert.Pair = d.pair(d.certs, alias, part("fullchain"), part("privkey")); cert.Pair == nil {
			return
		}
		cert.Places = []Place{{Key: d.certs.at(part("privkey")), Chain: d.certs.at(part("fullchain")), Leaf: d.certs.at(part("cert")), Intermediates: d.certs.at(part("chain"))}}
	}
	cert.Account = d.dehydratedAccount(cert.Directory)
	if hook := conf["HOOK"]; hook != "" {
		d.notCarried(alias, "deploy_cert of the hook", hook)
	}
	for _, name := range names {
		ch := Challenge{Name: name, Type: cmp.Or(conf["CHALLENGETYPE"], "http-01")}
		switch {
		case ch.Type == "dns-01":
			ch.Type = "dns-persist-01"
			d.byHook(alias, name, "the hook "+conf["HOOK"])
		case ch.Type == "http-01":
			ch.Webroot = cmp.Or(conf["WELLKNOWN"], "/var/www/dehydrated")
		case ch.Type != "tls-alpn-01":
			d.fault(alias, file, line, problem.Newf("set CHALLENGETYPE", "CHALLENGETYPE is %q", ch.Type))
			return
		}
		cert.Challenges = append(cert.Challenges, ch)
	}
	d.Certificates = append(d.Certificates, cert)
}

// dehydratedKeyType returns the type of the next key.
func dehydratedKeyType(conf map[string]string) string {
	switch conf["KEY_ALGO"] {
	case "rsa":
		return "rsa" + cmp.Or(conf["KEYSIZE"], "4096")
	case "prime256v1":
		return "ec256"
	}
	return "ec384"
}

// dehydratedRoots returns the file that options of curl name.
func dehydratedRoots(options string) string {
	list := strings.Fields(options)
	for i, o := range list {
		if o == "--cacert" && i+1 < len(list) {
			return list[i+1]
		}
	}
	return ""
}

// dehydratedAccount returns the account at a CA; nil if there is none.
func (d *dehydrated) dehydratedAccount(directory string) *Account {
	if a := d.account(directory); a != nil {
		return a
	}
	dir := base64.RawURLEncoding.EncodeToString([]byte(directory + "\n"))
	if !d.accounts.has(dir) || d.accounts.has(filepath.Join(dir, "deactivated")) {
		return nil
	}
	a := &Account{ID: directory, Directory: directory}
	if !d.key(d.accounts, a, filepath.Join(dir, "account_key.pem")) {
		return nil
	}
	var id struct{ URL string }
	if err := d.accounts.readJSON(filepath.Join(dir, "account_id.json"), &id); err == nil {
		a.URL = id.URL
	}
	var info struct{ Contact []string }
	if err := d.accounts.readJSON(filepath.Join(dir, "registration_info.json"), &info); err == nil {
		a.Email = mailOf(info.Contact)
	}
	d.Accounts = append(d.Accounts, a)
	return a
}

// mailOf returns the first mail address of contacts.
func mailOf(contacts []string) string {
	for _, contact := range contacts {
		if mail, ok := strings.CutPrefix(contact, "mailto:"); ok {
			return mail
		}
	}
	return ""
}
