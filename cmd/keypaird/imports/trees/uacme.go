package trees

import (
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/imports/syntax"
)

// readUacme reads the configuration directory of uacme.
func readUacme(r *root, t *Tree) error {
	t.Back = "remove keypaird's service, then have cron run uacme again: its files are as keypaird left them"
	account := &Account{ID: "private"}
	if !t.key(r, account, filepath.Join("private", "key.pem")) {
		return nil
	}
	t.Accounts = append(t.Accounts, account)
	hook := ""
	for _, command := range t.Commands {
		list := strings.Fields(command)
		if i := slices.Index(list, "-h"); i >= 0 && i+1 < len(list) {
			hook = list[i+1]
		}
	}
	names, err := r.names(".")
	if err != nil {
		return err
	}
	for _, id := range names {
		file, key := filepath.Join(id, "cert.pem"), filepath.Join("private", id, "key.pem")
		if id == "private" || !r.has(file) {
			continue
		}
		place := Place{Key: r.at(key), Chain: r.at(file)}
		for _, command := range t.Commands { // uacme issue NAME && rcctl reload relayd
			if slices.Contains(syntax.Fields(command), id) {
				place.Reload = syntax.After(command)
			}
		}
		cert := &Certificate{Name: id, Account: account, Pair: t.pair(r, id, file, key), Places: []Place{place}}
		if cert.Pair == nil {
			continue
		}
		for _, n := range cert.Pair.Names() {
			ch := Challenge{Name: n, Type: "http-01"}
			if strings.HasPrefix(n, "*.") {
				ch.Type = "dns-persist-01"
				t.byHook(id, n, "a hook, "+hook)
			} else {
				ch.Unclear = true
				t.noteName(id, n, "set [http-01] webroot to the directory that the hook writes to, or have the server pass on", "validated by the hook "+hook+", which is not carried over: now under http-01, on port 80")
			}
			cert.Challenges = append(cert.Challenges, ch)
		}
		t.Certificates = append(t.Certificates, cert)
	}
	return nil
}
