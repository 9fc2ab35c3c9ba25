package trees

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
)

// A lego reads the tree of lego.
type lego struct {
	*Tree
	*root
	options legoOptions
}

// legoOptions are what the command line says that runs lego: the files do not.
type legoOptions struct {
	dns, webroot, listen, server string
	http, tls, known             bool
	reload                       []string
}

// readLego reads the directory of lego, of version 4 or 5.
func readLego(r *root, t *Tree) error {
	t.Back = "remove keypaird's service, then have cron run lego again: certificates/ is as keypaird left it"
	l := &lego{t, r, parseLego(t.Commands)}
	if !l.options.known {
		t.note("", "see how lego is run, and correct [cert] and [http-01]", "how names are validated is in the command that runs lego, and none was found: http-01 is supposed")
	}
	hosts, err := r.names("accounts")
	if err != nil {
		return err
	}
	for _, host := range hosts {
		l.accountsAt(host)
	}
	files, err := r.names("certificates")
	if err != nil {
		return err
	}
	for _, file := range files {
		if name, ok := strings.CutSuffix(file, ".json"); ok {
			l.certificate(name)
		}
	}
	return nil
}

// accountsAt reads the accounts at one host.
func (l *lego) accountsAt(host string) {
	ids, _ := l.names(filepath.Join("accounts", host))
	for _, id := range ids {
		dir := filepath.Join("accounts", host, id)
		if !l.has(filepath.Join(dir, "account.json")) {
			continue
		}
		var info struct {
			Email, Server string
			Registration  struct {
				URI        string `json:"uri"`
				AccountURL string `json:"accountURL"`
				Location   string `json:"location"`
			}
		}
		a := &Account{ID: dir, File: l.at(dir)}
		if err := l.readJSON(filepath.Join(dir, "account.json"), &info); err != nil {
			l.fault(dir, l.at(filepath.Join(dir, "account.json")), 0, err)
			continue
		}
		key := filepath.Join(dir, "keys", id+".key")
		if !l.has(key) {
			key = filepath.Join(dir, id+".key") // of version 5
		}
		if !l.key(l.root, a, key) {
			continue
		}
		a.URL, a.Directory = cmp.Or(info.Registration.URI, info.Registration.AccountURL, info.Registration.Location), info.Server
		if a.Email = info.Email; a.Email == "noemail@example.com" {
			a.Email = ""
		}
		a.Host = strings.Replace(host, "_", ":", 1)
		l.Accounts = append(l.Accounts, a)
	}
}

// certificate reads one certificate.
func (l *lego) certificate(name string) {
	file := func(ending string) string { return filepath.Join("certificates", name+ending) }
	var info struct {
		CertURL string   `json:"certUrl"`
		Domains []string `json:"domains"`
		Profile string   `json:"profile"`
	}
	if err := l.readJSON(file(".json"), &info); err != nil {
		l.fault(name, l.at(file(".json")), 0, err)
		return
	}
	if !l.has(file(".crt")) || !l.has(file(".key")) {
		l.note(name, "remove "+l.at(file(".json"))+" if nothing uses it", "has no certificate or no key, and is not taken over")
		return
	}
	cert := &Certificate{Name: name, Pair: l.pair(l.root, name, file(".crt"), file(".key")), Profile: info.Profile, Host: hostOf(info.CertURL), Directory: l.options.server}
	if cert.Pair == nil {
		return
	}
	var own []*Account
	for _, a := range l.Accounts {
		if a.Host == cert.Host {
			own = append(own, a)
		}
	}
	if len(own) > 0 {
		cert.Account = own[0]
		cert.Directory = cmp.Or(cert.Directory, own[0].Directory)
	}
	if len(own) > 1 {
		l.note(name, "if CAA records name another account, move that one's directory away for the import",
			"which of the accounts at %s it belongs to is not in lego's files: %s is taken", cert.Host, cmp.Or(own[0].URL, own[0].File))
	}
	place := Place{Key: l.at(file(".key")), Chain: l.at(file(".crt")), Reload: l.options.reload}
	if l.has(file(".issuer.crt")) {
		place.Intermediates = l.at(file(".issuer.crt"))
	}
	if l.has(file(".pem")) {
		place.Combined = l.at(file(".pem"))
	}
	if l.has(file(".pfx")) {
		l.note(name, "have the server read another of the files, or set pkcs12 and pkcs12_password_file of its deployment", "%s is not carried over: its password is not known", l.at(file(".pfx")))
	}
	cert.Places = []Place{place}
	for _, n := range cert.Pair.Names() {
		cert.Challenges = append(cert.Challenges, l.challenge(name, n))
	}
	l.Certificates = append(l.Certificates, cert)
}

// challenge returns how a name is validated.
func (l *lego) challenge(subject, name string) Challenge {
	o := l.options
	switch {
	case o.dns != "":
		l.note(subject, "write the variables that lego is run with into [dns], each secret as VARIABLE_FILE: keypaird dns "+o.dns,
			"the variables of %s are in the environment of lego, and are not carried over", o.dns)
		return Challenge{Name: name, Type: "dns-01", Account: &DNS{Provider: o.dns}}
	case strings.HasPrefix(name, "*."):
		l.byHook(subject, name, "a provider that is not known")
		return Challenge{Name: name, Type: "dns-persist-01"}
	case o.tls && !o.http:
		return Challenge{Name: name, Type: "tls-alpn-01"}
	}
	ch := Challenge{Name: name, Type: "http-01", Listen: o.listen, Unclear: !o.known}
	if o.webroot != "" {
		ch.Webroot = filepath.Join(o.webroot, below)
	}
	return ch
}

// parseLego reads the options of commands that run lego.
func parseLego(commands []string) legoOptions {
	var o legoOptions
	for _, command := range commands {
		var list []string
		for _, field := range syntax.Fields(command) {
			if option, value, ok := strings.Cut(field, "="); ok && strings.HasPrefix(option, "-") {
				list = append(list, option, value)
			} else {
				list = append(list, field)
			}
		}
		i := slices.IndexFunc(list, func(w string) bool { return filepath.Base(w) == "lego" })
		for o.known = o.known || i >= 0; i >= 0 && i < len(list); i++ {
			value := ""
			if i+1 < len(list) {
				value = list[i+1]
			}
			switch strings.TrimLeft(list[i], "-") {
			case "dns":
				o.dns = value
			case "http":
				o.http = true
			case "tls":
				o.tls = true
			case "renew-hook", "deploy-hook":
				o.reload = syntax.Words(value)
			case "http.webroot":
				o.http, o.webroot = true, value
			case "http.port":
				if o.http = true; value != ":80" {
					o.listen = value
				}
			case "server", "s":
				if strings.HasPrefix(value, "https://") {
					o.server = value
				}
			}
		}
	}
	return o
}

// hostOf returns the host of a URL, with its port.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
