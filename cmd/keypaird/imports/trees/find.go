package trees

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/renew/problem"
)

// A client is one of those that Read knows.
type client struct {
	name   string
	places []string // where it usually is; a leading ~ is the home directory
	marks  []string // one of these is there, if it is
	lax    bool     // it may belong to the user of a server
	read   func(*root, *Tree) error
}

// clients are all of them.
var clients = []client{
	{"certbot", []string{"/etc/letsencrypt", "/usr/local/etc/letsencrypt"}, []string{"renewal"}, false, readCertbot},
	{"acme.sh", []string{"~/.acme.sh", "/etc/acme.sh", "/usr/local/etc/acme.sh"}, []string{"account.conf", "ca"}, false, readAcmesh},
	{"lego", []string{"~/.lego", "/etc/lego", "/var/lib/lego", "/etc/lego/.lego"}, []string{"accounts/*/*/account.json", "certificates/*.issuer.crt"}, false, readLego},
	{"dehydrated", []string{"/etc/dehydrated", "/usr/local/etc/dehydrated"}, []string{"config"}, false, readDehydrated},
	{"acme-client", []string{"/etc/acme-client.conf"}, nil, false, readAcmeClient},
	{"caddy", []string{"/var/lib/caddy/.local/share/caddy", "~/.local/share/caddy", "/var/lib/caddy", "/data/caddy"}, []string{"acme", "certificates/*/*/*.json"}, true, readCaddy},
	{"mod_md", []string{"/etc/apache2/md", "/var/lib/apache2/md", "/etc/httpd/state/md", "/usr/local/apache2/md"}, []string{"md_store.json"}, true, readModMD},
	{"acmetool", []string{"/var/lib/acme", "/var/db/acme"}, []string{"desired"}, false, readAcmetool},
	{"uacme", []string{"/etc/ssl/uacme", "/etc/uacme", "/usr/local/etc/ssl/uacme"}, []string{"private/key.pem"}, false, readUacme},
}

// Clients lists the names of all clients.
func Clients() []string {
	var list []string
	for _, c := range clients {
		list = append(list, c.name)
	}
	return list
}

// A Location is a path at which a client keeps its tree.
type Location struct{ Client, Dir string }

// Find looks for trees in the usual places, of one client or, with "", of all. home is
// the home directory.
func Find(client, home string) []Location {
	var list []Location
	for _, c := range clients {
		if client != "" && c.name != client {
			continue
		}
		for _, place := range c.places {
			if rest, ok := strings.CutPrefix(place, "~"); ok {
				place = home + rest
			}
			if c.in(place) && !slices.ContainsFunc(list, func(l Location) bool { return l.Client == c.name && sameDir(l.Dir, place) }) {
				list = append(list, Location{c.name, place})
			}
		}
	}
	return list
}

// Recognize returns the client with a tree in dir, or "".
func Recognize(dir string) string {
	for _, c := range clients {
		if c.in(dir) {
			return c.name
		}
	}
	return ""
}

// in reports whether the client's tree is in dir.
func (c client) in(dir string) bool {
	if c.marks == nil { // its files are named in one file
		info, err := os.Stat(dir)
		return err == nil && info.Mode().IsRegular() && strings.HasSuffix(dir, ".conf")
	}
	return slices.ContainsFunc(c.marks, func(mark string) bool {
		found, _ := filepath.Glob(filepath.Join(escape(dir), mark))
		return len(found) > 0
	})
}

// escape returns a path as a pattern that matches it alone.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// Read reads the tree of a client. What is wrong with parts of it is in its Faults.
// commands are those that run the client, as far as they are known.
func Read(at Location, commands []string) (*Tree, error) {
	i := slices.IndexFunc(clients, func(c client) bool { return c.name == at.Client })
	if i < 0 {
		return nil, problem.Newf("name one of: "+strings.Join(Clients(), " "), "there is no client %q", at.Client)
	}
	dir, err := filepath.Abs(at.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New("there is no "+dir, "name the directory or the file of "+at.Client+" with -dir")
	}
	t := &Tree{Client: at.Client, Dir: dir, Commands: commands}
	if clients[i].marks == nil {
		dir = "/"
	}
	r, err := open(dir, clients[i].lax)
	if err != nil {
		return nil, err
	}
	if err := clients[i].read(r, t); err != nil {
		return nil, err
	}
	return t, nil
}
