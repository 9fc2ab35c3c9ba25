package trees

import (
	"cmp"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// readAcmetool reads the state directory of acmetool. Its certs/ are named after orders
// and keys, so nothing else is put there: servers are to read keypaird's.
func readAcmetool(r *root, t *Tree) error {
	t.Back = "have servers read live/NAME of acmetool again, have cron run acmetool, then remove keypaird's service: its state is as it was"
	desired, err := r.names("desired")
	if err != nil {
		return err
	}
	var seen []string
	for _, file := range desired {
		name := filepath.Join("desired", file)
		data, err := r.read(name, maxFile)
		if err != nil {
			t.fault(file, r.at(name), 0, err)
			continue
		}
		names := yamlNames(string(data))
		if len(names) == 0 {
			names = []string{file}
		}
		id, err := filepath.EvalSymlinks(filepath.Join(r.real, "live", names[0]))
		if err != nil {
			t.note(file, "", "was never issued, and is not taken over")
			continue
		}
		if !slices.Contains(seen, id) {
			seen = append(seen, id)
			acmetoolCertificate(r, t, names[0])
		}
	}
	t.note("", "point the servers at STATE/certs/NAME/live, or set key and chain in a [deploy] table", "live/ of acmetool is not written by keypaird: it has directories of its own for each order")
	return nil
}

// yamlNames returns the names of a target file: the items below names.
func yamlNames(text string) []string {
	var names []string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch item, isItem := strings.CutPrefix(line, "- "); {
		case line == "names:":
			inside = true
		case inside && isItem:
			names = append(names, strings.Trim(strings.TrimSpace(item), `"'`))
		case line != "" && line[0] != '#':
			inside = false
		}
	}
	return names
}

func acmetoolCertificate(r *root, t *Tree, name string) {
	if !filepath.IsLocal(name) || strings.Contains(name, "/") {
		return
	}
	dir := filepath.Join("live", name)
	cert := &Certificate{Name: name, Pair: t.pair(r, name, filepath.Join(dir, "fullchain"), filepath.Join(dir, "privkey"))}
	if cert.Pair == nil {
		return
	}
	if at, err := filepath.EvalSymlinks(filepath.Join(r.real, dir, "account")); err == nil {
		if account, inside := r.rel(at); inside {
			cert.Account = acmetoolAccount(r, t, account)
		}
	}
	if cert.Account != nil {
		cert.Directory = cert.Account.Directory
	}
	conf, _ := r.read(filepath.Join("conf", "target"), maxFile)
	webroot := ""
	for _, line := range strings.Split(string(conf), "\n") {
		if _, path, ok := strings.Cut(line, "- /"); ok && webroot == "" {
			webroot = "/" + strings.TrimSpace(path) // the first of webroot-paths
		}
	}
	for _, n := range cert.Pair.Names() {
		cert.Challenges = append(cert.Challenges, Challenge{Name: n, Type: "http-01", Webroot: cmp.Or(webroot, "")})
	}
	t.Certificates = append(t.Certificates, cert)
}

// acmetoolAccount reads accounts/URL/ID; nil if it cannot be used.
func acmetoolAccount(r *root, t *Tree, dir string) *Account {
	if a := t.account(dir); a != nil {
		return a
	}
	directory, err := url.PathUnescape(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return nil
	}
	a := &Account{ID: dir, Directory: "https://" + directory}
	if !t.key(r, a, filepath.Join(dir, "privkey")) {
		return nil
	}
	t.Accounts = append(t.Accounts, a)
	return a
}
