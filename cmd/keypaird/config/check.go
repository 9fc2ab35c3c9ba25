package config

import (
	"fmt"
	"maps"
	"net/mail"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"keypaird/acme"
)

// A checker looks for mistakes in a decoded configuration and brings its values
// into the one form used from here on.
type checker struct {
	*reader
	cfg    *Config
	secret bool // nobody but the owner can read the configuration
	sealed bool // files with secrets, and roots, are not opened

	tableOf map[string]path  // an identity by its normal name, as it is spelt in the file
	unsound map[string]bool  // deployments whose files are not known for sure
	lookups map[string]error // owners and groups looked up
}

var (
	keyTypes = []string{"ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"}
	services = []string{"matrix", "xmpp", "mail", "smtp", "imap", "caldav", "sip", "web"}
)

// check looks at everything.
func (c *checker) check() {
	c.tableOf, c.unsound, c.lookups = map[string]path{}, map[string]bool{}, map[string]error{}
	c.top()
	for _, name := range slices.Sorted(maps.Keys(c.cfg.CA)) {
		c.ca(name, c.cfg.CA[name])
	}
	c.http01()
	for _, name := range slices.Sorted(maps.Keys(c.cfg.DNS)) {
		c.dns(name, c.cfg.DNS[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Deploy)) {
		c.deploy(name, c.cfg.Deploy[name])
	}
	c.identities()
	c.certs()
	c.notify()
	c.status()
	c.together()
	if len(c.cfg.Identity)+len(c.cfg.Cert)+len(c.mistakes) == 0 {
		c.wrong(nil, `add a table [identity."example.org"] or [cert.NAME]; the examples are a start`, "no certificate is configured")
	}
}

func (c *checker) top() {
	cfg := c.cfg
	if cfg.Email != "" && !isMailAddress(cfg.Email) {
		c.wrong(path{"email"}, `write one address and nothing else: "hostmaster@example.org"`, "%q is not a mail address", cfg.Email)
	}
	c.state()
	if cfg.Parallel < 1 || cfg.Parallel > 64 {
		c.wrong(path{"parallel"}, "write a number from 1 to 64", "%d is out of range", cfg.Parallel)
	}
	if len(cfg.SignWith) == 0 {
		c.wrong(path{"sign_with"}, `name a CA: ["letsencrypt"]`, "names no CA")
	}
	if cfg.Key == "" {
		c.wrong(path{"key"}, "write one of: "+strings.Join(keyTypes, " "), "is empty")
	}
	c.settings(nil, cfg.Key, cfg.SignWith, cfg.Profile)
	c.schedules()
}

// isMailAddress tells whether s can stand behind "mailto:" (RFC 8555, section
// 7.3: one address, no header fields).
func isMailAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsAny(s, `?&%,"`) {
		return false
	}
	name, err := NormalName(s[strings.LastIndex(s, "@")+1:])
	return err == nil && !strings.HasPrefix(name, "*")
}

func (c *checker) state() {
	from, remedy := c.cfg.State, "write the path from / on"
	if !c.isSet(path{"state"}) {
		remedy = `$STATE_DIRECTORY says so: correct it, or set state`
	}
	if c.absolute(path{"state"}, from, remedy) && filepath.Clean(from) == "/" {
		c.wrong(path{"state"}, `give keypaird a directory of its own: "/var/lib/keypaird"`, "is the root directory")
	}
	c.cfg.State = filepath.Clean(from)
}

// settings checks what may stand at the top and in a target.
func (c *checker) settings(p path, key string, signWith []string, profile string) {
	if key != "" {
		c.oneOf(p.in("key"), key, keyTypes, "is not a type of key")
	}
	if !plainToken.MatchString(profile) {
		c.wrong(p.in("profile"), "write the profile's name as the CA lists it", "%q is not a profile", profile)
	}
	list := p.in("sign_with")
	known := append(acme.BuiltInNames(), slices.Sorted(maps.Keys(c.cfg.CA))...)
	for i, name := range signWith {
		switch {
		case slices.Contains(signWith[:i], name):
			c.wrong(list, "name it once", "%q stands twice", name)
		case slices.Contains(known, name):
			c.external(list, name)
		default:
			c.wrong(list, suggest(name, known)+" (or add a table [ca.NAME])", "no CA is called %q", name)
		}
	}
}

var plainToken = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// oneOf refuses a word that is not known.
func (c *checker) oneOf(p path, word string, known []string, problem string) {
	if !slices.Contains(known, word) {
		c.wrong(p, suggest(word, known), "%q "+problem, word)
	}
}

// suggest is the remedy for a word that is not known.
func suggest(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of: " + strings.Join(known, " ")
}
