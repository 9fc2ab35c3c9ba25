package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"keypaird/acme"
	"keypaird/renew/keypair"
)

// A checker looks for mistakes in a decoded configuration and brings its values
// into the one form used from here on.
type checker struct {
	*reader
	cfg    *Config
	secret bool // nobody but the owner can read the configuration
}

var (
	keyTypes = []string{"ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"}
	services = []string{"matrix", "xmpp", "mail", "smtp", "imap", "caldav", "sip", "web"}
)

// check looks at everything.
func (c *checker) check() {
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
	c.listeners()
	if len(c.mistakes) == 0 { // else what follows from them would be told twice
		c.together()
	}
}

func (c *checker) top() {
	cfg := c.cfg
	if cfg.Email != "" {
		a, err := mail.ParseAddress(cfg.Email)
		if err != nil || a.Address != cfg.Email {
			c.wrong(path{"email"}, `write "hostmaster@example.org"`, "%q is not a mail address", cfg.Email)
		}
	}
	if !filepath.IsAbs(cfg.State) {
		c.wrong(path{"state"}, "write the path from / on", "%q is not an absolute path", cfg.State)
	}
	cfg.State = filepath.Clean(cfg.State)
	if cfg.Parallel < 1 || cfg.Parallel > 64 {
		c.wrong(path{"parallel"}, "write a number from 1 to 64", "%d is out of range", cfg.Parallel)
	}
	if len(cfg.SignWith) == 0 {
		c.wrong(path{"sign_with"}, `name a CA: ["letsencrypt"]`, "names no CA")
	}
	c.settings(nil, &cfg.Key, cfg.SignWith, cfg.Profile)
	c.cron(path{"schedule"}, cfg.Schedule)
	if cfg.Window != "" {
		if strings.HasPrefix(cfg.Window, "@") {
			c.wrong(path{"window"}, `write the minutes as a cron line: "* 3 * * *"`, "%q names no minutes", cfg.Window)
		} else {
			c.cron(path{"window"}, cfg.Window)
		}
	}
}

// settings checks what may stand at the top and in a target.
func (c *checker) settings(p path, key *string, signWith []string, profile string) {
	if *key != "" && !slices.Contains(keyTypes, *key) {
		c.wrong(p.in("key"), "write one of: "+strings.Join(keyTypes, " "), "%q is not a type of key", *key)
	}
	for _, name := range signWith {
		if _, ok := acme.BuiltIn(name); ok {
			c.external(p.in("sign_with"), name)
			continue
		}
		if _, ok := c.cfg.CA[name]; !ok {
			known := append(acme.BuiltInNames(), slices.Sorted(maps.Keys(c.cfg.CA))...)
			c.wrong(p.in("sign_with"), "write one of: "+strings.Join(known, " ")+"; or add a table [ca."+name+"]", "no CA is called %q", name)
		}
	}
	if !plainToken.MatchString(profile) {
		c.wrong(p.in("profile"), "write the profile's name as the CA lists it", "%q is not a profile", profile)
	}
}

var plainToken = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// needEAB are the built-in CAs that want an external account.
var needEAB = map[string]string{
	"zerossl": "app.zerossl.com/developer",
	"google":  "gcloud publicca external-account-keys create",
	"sslcom":  "the ssl.com account page",
	"actalis": "the actalis.com account page",
}

// external misses the external account of a CA that wants one.
func (c *checker) external(p path, ca string) {
	if from, ok := needEAB[ca]; ok && c.cfg.CA[ca].EABKid == "" {
		c.wrong(p, fmt.Sprintf("add [ca.%s] with eab_kid and eab_hmac_file, from %s", ca, from), "%s wants an external account", ca)
	}
}

// cron refuses schedules that the library panics on, spins on or never fires.
func (c *checker) cron(p path, spec string) {
	remedy := `write a cron line of five fields, or "@every 30m"`
	if strings.Contains(spec, "TZ=") {
		c.wrong(p, "leave the time zone out: local time counts", "%q sets a time zone", spec)
		return
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		c.wrong(p, remedy, "%q is not a schedule: %s", spec, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	if every, ok := strings.CutPrefix(spec, "@every "); ok {
		if d, err := time.ParseDuration(strings.TrimSpace(every)); err != nil || d < time.Minute {
			c.wrong(p, "write at least @every 1m", "%q is too often", spec)
		}
		return
	}
	if s.Next(time.Now()).IsZero() {
		c.wrong(p, remedy, "%q never comes", spec)
	}
}

func (c *checker) ca(name string, ca CAConfig) {
	p := path{"ca", name}
	c.tableName(p, name)
	_, known := acme.BuiltIn(name)
	if ca.Directory == "" && !known {
		c.wrong(p.in("directory"), `write the URL of its ACME directory: "https://ca.example.net/acme/directory"`, "is missing")
	}
	if u, err := url.Parse(ca.Directory); ca.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		c.wrong(p.in("directory"), "write an https URL without a user", "%q cannot be an ACME directory", ca.Directory)
	}
	if ca.Roots != "" {
		if err := hasCertificates(ca.Roots); err != nil {
			c.wrong(p.in("roots"), "name a PEM file with the CA's root certificate", "%s: %v", ca.Roots, err)
		}
	}
	if (ca.EABKid == "") != (ca.EABHMACFile == "") {
		key := "eab_hmac_file"
		if ca.EABKid == "" {
			key = "eab_kid"
		}
		c.wrong(p.in(key), "the CA hands out both, or neither is needed", "is missing beside the other half of the external account")
	}
	if ca.EABHMACFile != "" && c.secretFile(p.in("eab_hmac_file"), ca.EABHMACFile) {
		key, err := os.ReadFile(ca.EABHMACFile)
		if _, derr := base64.RawURLEncoding.DecodeString(strings.TrimRight(string(bytes.TrimSpace(key)), "=")); err != nil || derr != nil || len(key) == 0 {
			c.wrong(p.in("eab_hmac_file"), "put the key there as the CA hands it out, in base64url, and nothing else", "%s does not hold an HMAC key", ca.EABHMACFile)
		}
	}
}

// hasCertificates reports whether a file holds PEM certificates.
func hasCertificates(file string) error {
	if _, err := stat(file); err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return plain(err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err
		}
	}
	return fmt.Errorf("holds no certificate")
}

// secretFile looks at a file that holds a secret.
func (c *checker) secretFile(p path, file string) bool {
	if !filepath.IsAbs(file) {
		c.wrong(p, "write the path from / on", "%q is not an absolute path", file)
		return false
	}
	info, err := stat(file)
	if err != nil {
		c.wrong(p, "put the secret there, readable for keypaird only", "%s: %v", file, err)
		return false
	}
	if info.Mode().Perm()&0o007 != 0 {
		c.wrong(p, "chmod 0600 "+file, "%s can be read by others (mode %04o)", file, info.Mode().Perm())
		return false
	}
	return true
}

// tableName checks a name that becomes a directory or a reference.
func (c *checker) tableName(p path, name string) {
	if err := keypair.CheckName(name); err != nil || strings.HasPrefix(name, "*") {
		c.wrong(p, "use a-z, 0-9, dot, hyphen and underscore", "%q cannot be a name", name)
	}
}

func (c *checker) http01() {
	h := &c.cfg.HTTP01
	if _, ok := strings.CutPrefix(h.Listen, "fd:"); h.Listen != "" && !ok {
		c.listen(path{"http-01", "listen"}, h.Listen)
	} else if h.Listen == "fd:" {
		c.wrong(path{"http-01", "listen"}, `write the socket's name: "fd:http"`, "names no socket")
	}
	if h.Webroot == "" {
		return
	}
	p := path{"http-01", "webroot"}
	info, err := os.Stat(h.Webroot)
	switch {
	case !filepath.IsAbs(h.Webroot):
		c.wrong(p, "write the path from / on", "%q is not an absolute path", h.Webroot)
	case err != nil:
		c.wrong(p, "make the directory, and have the web server show it as /.well-known/acme-challenge/", "%s: %v", h.Webroot, plain(err))
	case !info.IsDir():
		c.wrong(p, "name a directory", "%s is not a directory", h.Webroot)
	}
}

// listen checks "host:port" and ":port".
func (c *checker) listen(p path, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || strings.ContainsAny(host, " /") {
		c.wrong(p, `write "host:port" or ":port"`, "%q is not an address to listen on", addr)
	}
}

// listeners checks [status] and [notify].
func (c *checker) listeners() {
	if l := c.cfg.Status.Listen; l != "" {
		if file, ok := strings.CutPrefix(l, "unix:"); !ok {
			c.listen(path{"status", "listen"}, l)
		} else if !filepath.IsAbs(file) {
			c.wrong(path{"status", "listen"}, `write "unix:/run/keypaird.sock"`, "%q is not an absolute path", file)
		}
	}
	if c.isSet(path{"notify", "command"}) {
		c.program(path{"notify", "command"}, c.cfg.Notify.Command)
	}
}

// program checks an argument list.
func (c *checker) program(p path, argv []string) {
	switch {
	case len(argv) == 0:
	case argv[0] == "" || strings.ContainsAny(argv[0], " \t"):
		c.wrong(p, `write the program and each argument as a string of its own: ["rcctl", "reload", "relayd"]`, "%q is not a program", argv[0])
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		c.wrong(p, "write the path from / on, or the bare name", "%q is neither a bare name nor an absolute path", argv[0])
	}
	for _, arg := range argv {
		if strings.ContainsRune(arg, 0) {
			c.wrong(p, "leave it out", "an argument holds a null character")
		}
	}
}

var (
	variable  = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	secretive = regexp.MustCompile(`SECRET|TOKEN|PASS|KEY|HMAC|CREDENTIAL|_PWD|_PW$`)
	harmless  = regexp.MustCompile(`_ID$|_ALGORITHM$|TSIG_KEY$|_KEY_NAME$|_URL$|_ENDPOINT$`) // TSIG_KEY is the key's name
)

func (c *checker) dns(name string, d DNSConfig) {
	p := path{"dns", name}
	c.tableName(p, name)
	if name == persist {
		c.wrong(p, "call the account something else", `"persist" stands for dns-persist-01`)
	}
	if d.Provider == "" || !plainToken.MatchString(d.Provider) {
		c.wrong(p.in("provider"), "name one of: keypaird dns", "%q is not a provider", d.Provider)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Env)) {
		c.variable(p.in("env", key), key, d.Env[key])
	}
	for i, addr := range d.Resolvers {
		if ip, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
			d.Resolvers[i] = net.JoinHostPort(ip.String(), "53")
		} else if ap, err := netip.ParseAddrPort(addr); err != nil || ap.Port() == 0 {
			c.wrong(p.in("resolvers"), `write addresses: ["192.0.2.53", "[2001:db8::53]:53"]`, "%q is not the address of a resolver", addr)
		}
	}
	if d.Propagation.Duration == 0 {
		d.Propagation.Duration = defaultPropagation
	}
	if d.User != "" {
		if _, err := user.Lookup(d.User); err != nil {
			c.wrong(p.in("user"), "make the user, or leave the key out", "there is no user %q", d.User)
		}
	}
	c.cfg.DNS[name] = d
}

// variable checks one variable of a DNS provider.
func (c *checker) variable(p path, key, value string) {
	switch {
	case !variable.MatchString(key):
		c.wrong(p, "write it as keypaird dns PROVIDER lists it, in capitals", "%q is not the name of a variable", key)
	case strings.HasSuffix(key, "_FILE"):
		c.secretFile(p, value)
	case strings.ContainsRune(value, 0):
		c.wrong(p, "leave it out", "the value holds a null character")
	case value != "" && !c.secret && secretive.MatchString(key) && !harmless.MatchString(key):
		c.wrong(p, fmt.Sprintf("chmod 0600 %s, or put the value in a file and write %s_FILE", c.file, key), "holds a secret that others can read")
	}
}
