package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/renew/keypair"
)

// A checker looks for mistakes in a decoded configuration and brings its values
// into the one form used from here on.
type checker struct {
	*reader
	cfg       *Config
	private   bool // only the owner can read the configuration
	noSecrets bool // as in Options

	identityPaths map[string]path  // an identity by its normal name, as it is spelt in the file
	badDeploys    map[string]bool  // deployments with a mistake in what they write
	lookups       map[string]error // owners and groups looked up
}

var (
	keyTypes = []string{"ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"}
	services = []string{"matrix", "xmpp", "mail", "smtp", "imap", "caldav", "sip", "web"}
)

// check looks at everything.
func (c *checker) check() {
	c.identityPaths, c.badDeploys, c.lookups = map[string]path{}, map[string]bool{}, map[string]error{}
	c.checkTop()
	for _, name := range slices.Sorted(maps.Keys(c.cfg.CA)) {
		c.checkCA(name, c.cfg.CA[name])
	}
	c.checkHTTP01()
	for _, name := range slices.Sorted(maps.Keys(c.cfg.DNS)) {
		c.checkDNS(name, c.cfg.DNS[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Deploy)) {
		c.checkDeploy(name, c.cfg.Deploy[name])
	}
	c.checkIdentities()
	c.checkCerts()
	c.checkNotify()
	c.checkStatus()
	c.checkTargets()
	if len(c.cfg.Identity)+len(c.cfg.Cert)+len(c.mistakes) == 0 {
		c.report(nil, `add a table [identity."example.org"] or [cert.NAME]; the examples are a start`, "no certificate is configured")
	}
}

func (c *checker) checkTop() {
	cfg := c.cfg
	if cfg.Email != "" && !isMailAddress(cfg.Email) {
		c.report(path{"email"}, `write one address and nothing else: "hostmaster@example.org"`, "%q is not a mail address", cfg.Email)
	}
	c.checkState()
	if cfg.Parallel < 1 || cfg.Parallel > 64 {
		c.report(path{"parallel"}, "write a number from 1 to 64", "%d is out of range", cfg.Parallel)
	}
	if len(cfg.SignWith) == 0 {
		c.report(path{"sign_with"}, `name a CA: ["letsencrypt"]`, "names no CA")
	}
	if cfg.Key == "" {
		c.report(path{"key"}, "write one of: "+strings.Join(keyTypes, " "), "is empty")
	}
	c.checkSettings(nil, cfg.Key, cfg.SignWith, cfg.Profile)
	c.checkSchedules()
}

// isMailAddress reports whether s can stand behind "mailto:" (RFC 8555, section
// 7.3: one address, no header fields).
func isMailAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsAny(s, `?&%,"`) {
		return false
	}
	name, err := NormalName(s[strings.LastIndex(s, "@")+1:])
	return err == nil && !strings.HasPrefix(name, "*")
}

func (c *checker) checkState() {
	from, remedy := c.cfg.State, "write the path from / on"
	if !c.isSet(path{"state"}) {
		remedy = `$STATE_DIRECTORY says so: correct it, or set state`
	}
	if c.checkAbsolute(path{"state"}, from, remedy) && filepath.Clean(from) == "/" {
		c.report(path{"state"}, `give keypaird a directory of its own: "/var/lib/keypaird"`, "is the root directory")
	}
	c.cfg.State = filepath.Clean(from)
}

// checkSettings checks what may stand at the top and in a target.
func (c *checker) checkSettings(p path, key string, signWith []string, profile string) {
	if key != "" {
		c.checkOneOf(p.child("key"), key, keyTypes, "is not a type of key")
	}
	if !plainToken.MatchString(profile) {
		c.report(p.child("profile"), "write the profile's name as the CA lists it", "%q is not a profile", profile)
	}
	list := p.child("sign_with")
	known := append(acme.BuiltInNames(), slices.Sorted(maps.Keys(c.cfg.CA))...)
	for i, name := range signWith {
		switch {
		case slices.Contains(signWith[:i], name):
			c.report(list, "name it once", "%q stands twice", name)
		case slices.Contains(known, name):
			c.checkEAB(list, name)
		default:
			c.report(list, suggest(name, known)+" (or add a table [ca.NAME])", "no CA is called %q", name)
		}
	}
}

var plainToken = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// checkOneOf refuses a word that is not known.
func (c *checker) checkOneOf(p path, word string, known []string, problem string) {
	if !slices.Contains(known, word) {
		c.report(p, suggest(word, known), "%q "+problem, word)
	}
}

// suggest is the remedy for a word that is not known.
func suggest(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of: " + strings.Join(known, " ")
}

func (c *checker) checkHTTP01() {
	h := c.cfg.HTTP01
	if h.Listen != "" {
		c.checkSocket(path{"http-01", "listen"}, h.Listen, "fd:http")
	}
	p := path{"http-01", "webroot"}
	if h.Webroot == "" || !c.checkAbsolute(p, h.Webroot, "write the path from / on") {
		return
	}
	info, err := os.Stat(h.Webroot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.report(p, "make the directory, and have the web server show it as /.well-known/acme-challenge/", "there is no directory %q", h.Webroot)
	case err != nil:
		c.report(p, "let the user who runs keypaird enter its directories", "%s: %v", h.Webroot, withoutPath(err))
	case !info.IsDir():
		c.report(p, "name the directory that the web server shows as /.well-known/acme-challenge/", "%s is not a directory", h.Webroot)
	}
}

func (c *checker) checkNotify() { c.checkProgram(path{"notify", "command"}, c.cfg.Notify.Command) }

// maxSocket is how long the path of a unix socket may be, everywhere.
const maxSocket = 103

func (c *checker) checkStatus() {
	addr, p := c.cfg.Status.Listen, path{"status", "listen"}
	if addr == "" {
		return
	}
	if file, ok := strings.CutPrefix(addr, "unix:"); ok {
		if c.checkAbsolute(p, file, `write "unix:/run/keypaird.sock"`) && len(file) > maxSocket {
			c.report(p, "choose a shorter one", "the path of a socket has %d characters at most", maxSocket)
		}
		return
	}
	c.checkSocket(p, addr, "fd:status")
	if c.cfg.HTTP01.Webroot == "" && (sameListener(addr, c.cfg.HTTP01.Listen) || addr == c.cfg.HTTP01.Listen) {
		c.report(p, `choose another port: "127.0.0.1:8403"`, "%q is taken by [http-01], which listens on %q", addr, c.cfg.HTTP01.Listen)
	}
}

// checkSocket checks "host:port", ":port" and "fd:NAME".
func (c *checker) checkSocket(p path, addr, example string) {
	name, inherited := strings.CutPrefix(addr, "fd:")
	switch {
	case !inherited:
		c.checkListen(p, addr)
	case name == "" || !plainToken.MatchString(name):
		c.report(p, "write the name of a socket of the service manager: "+strconv.Quote(example), "%q is not the name of a socket", name)
	}
}

// checkListen checks "host:port" and ":port".
func (c *checker) checkListen(p path, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err == nil && perr == nil && n > 0 && isHost(host) {
		return
	}
	remedy := `write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses`
	if strings.HasPrefix(addr, "*:") {
		remedy = "leave the * out: " + strconv.Quote(addr[1:])
	}
	c.report(p, remedy, "%q is not an address to listen on", addr)
}

// isHost reports whether a server can be found by s: "" is every address.
func isHost(s string) bool {
	if s == "" {
		return true
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	name, err := NormalName(s)
	return err == nil && !strings.HasPrefix(name, "*") && !IsAddress(name)
}

// sameListener reports whether two addresses cannot both be listened on.
func sameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && (hostA == hostB || hostA == "" || hostB == "")
}

// checkAbsolute reports whether a path is one from the root on, and records a mistake if it is not.
func (c *checker) checkAbsolute(p path, file, remedy string) bool {
	switch {
	case !filepath.IsAbs(file):
		c.report(p, remedy, "%q is not an absolute path", file)
	case strings.ContainsRune(file, 0):
		c.report(p, "leave it out", "%q holds a null character", file)
	default:
		return true
	}
	return false
}

// readSecret reads a file that holds a secret. What is no path may be the secret
// itself, and is not repeated.
func (c *checker) readSecret(p path, file string) ([]byte, bool) {
	if !filepath.IsAbs(file) || strings.ContainsRune(file, 0) {
		c.report(p, "put the secret in a file, and write the path of the file from / on", "is not an absolute path")
		return nil, false
	}
	if c.noSecrets {
		return nil, true
	}
	data, info, err := readFile(file, maxSmall)
	if err != nil {
		c.report(p, secretRemedy(err), "%s: %v", file, err)
		return nil, false
	}
	if perm := info.Mode().Perm(); perm&0o007 != 0 {
		c.report(p, "chmod o= "+file, "%s can be used by others (mode %04o)", file, perm)
		return nil, false
	}
	return data, true
}

// secretRemedy is for a file with a secret that cannot be read.
func secretRemedy(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run this as root or the user keypaird runs as, or let that user read the file, by its group (mode 0640), and pass through its directories"
	}
	return "put the secret there, readable only for the user who runs keypaird"
}

const nameRemedy = "use a-z 0-9 . _ - and begin with a letter or digit"

// checkTableName checks a name that becomes a directory or a reference.
func (c *checker) checkTableName(p path, name string) {
	if !isTableName(name) || strings.HasPrefix(name, "*") {
		c.report(p, nameRemedy, "%q cannot be the name of a table", name)
	}
}

// isTableName reports whether a name can be part of a path, and whether programs
// will take that for a path.
func isTableName(name string) bool {
	return keypair.CheckName(name) == nil && !strings.HasPrefix(name, "-")
}

// checkProgram checks an argument list. Arguments may hold secrets, and so may a
// whole command line that was written as one string.
func (c *checker) checkProgram(p path, argv []string) {
	if len(argv) == 0 {
		return
	}
	name := strings.Fields(argv[0] + " ")
	switch {
	case len(name) == 0:
		c.report(p, "name a program", "the program is empty")
	case strings.ContainsAny(argv[0], " \t\n"):
		c.report(p, `write the program and each argument as a string of its own: ["rcctl", "reload", "relayd"]`, "%q and what follows it stand in one string", name[0])
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		c.report(p, "write the path from / on, or the bare name", "%q is neither a bare name nor an absolute path", argv[0])
	}
	for _, arg := range argv {
		switch {
		case strings.ContainsRune(arg, 0):
			c.report(p, "leave it out", "an argument holds a null character")
		case strings.Contains(arg, "{name}"):
			c.report(p, "have the program read $KEYPAIRD_NAMES: it runs once for all targets", "{name} is not filled in here")
		}
	}
}
