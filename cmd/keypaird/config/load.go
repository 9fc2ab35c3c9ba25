package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"keypaird/renew/durable"
)

const (
	PathVariable    = "KEYPAIRD_CONFIG"
	DefaultPath     = "/etc/keypaird/keypaird.toml"
	scheduleDefault = "@every 30m"
	maxConfig       = 16 << 20 // some 100,000 targets
)

// Options name the file to load and say how much of it to check.
type Options struct {
	Path   string              // "" means $KEYPAIRD_CONFIG, and DefaultPath if that is not set
	Getenv func(string) string // required; os.Getenv
	// NoSecrets leaves unread the files that only issuing needs: secrets and
	// roots of CAs. Commands that order nothing set it, so that they work for users
	// who cannot read those files, and while one is broken.
	NoSecrets bool
	// HasProvider asks keypaird-dns, which may be newer, whether it has a DNS provider
	// that this version does not know; nil: it has not.
	HasProvider func(code string) bool
}

// File returns the path of the file to load.
func (o Options) File() string { return cmp.Or(o.Path, o.Getenv(PathVariable), DefaultPath) }

// Load reads the configuration, checks all of it and brings every value into one
// form. The error is Mistakes if the file can be read and is wrong.
func Load(o Options) (*Config, error) {
	path := o.File()
	text, mode, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	return o.Parse(path, text, mode)
}

// Parse is Load for the text of a file that may not be there yet, and its permissions.
func (o Options) Parse(file, text string, mode fs.FileMode) (*Config, error) {
	cfg, mistakes := o.parse(file, text, mode, defaults(o.Getenv, runtime.GOOS))
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// parse reads the text of a file into cfg, which holds the defaults, and checks
// the result. mode is the file's permissions.
func (o Options) parse(file, text string, mode fs.FileMode, cfg *Config) (*Config, Mistakes) {
	d := &document{file: file, text: text}
	if !d.parse() {
		return nil, d.mistakes
	}
	d.decodeStruct(nil, reflect.ValueOf(cfg).Elem())
	c := &checker{document: d, cfg: cfg, private: mode&0o077 == 0, noSecrets: o.NoSecrets, hasProvider: o.HasProvider}
	c.check()
	slices.SortStableFunc(d.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	return cfg, d.mistakes
}

// defaults is the configuration of an empty file.
func defaults(env func(string) string, goos string) *Config {
	state, _, _ := strings.Cut(env("STATE_DIRECTORY"), ":") // systemd lists several
	usual := "/var/lib/keypaird"
	if strings.HasSuffix(goos, "bsd") {
		usual = "/var/db/keypaird"
	}
	return &Config{
		State: cmp.Or(state, usual), SignWith: []string{"letsencrypt"}, Schedule: scheduleDefault, Key: "ec256", Parallel: 8,
		HTTP01: HTTP01{Listen: ":80", SelfTest: true}, TLSALPN: TLSALPN{Listen: ":443", SelfTest: true},
	}
}

// check looks at everything.
func (c *checker) check() {
	cfg := c.cfg
	c.identityPaths, c.badDeploys, c.lookups = map[string]path{}, map[string]bool{}, map[string]error{}
	c.checkTop()
	each(cfg.CA, c.checkCA)
	c.checkHTTP01()
	each(cfg.DNS, c.checkDNS)
	each(cfg.Deploy, c.checkDeploy)
	identities, certs := cfg.Identity, cfg.Cert
	cfg.Identity, cfg.Cert = map[string]Identity{}, map[string]Cert{}
	each(identities, c.checkIdentity)
	each(certs, c.checkCert)
	c.checkProgram(path{"notify", "command"}, cfg.Notify.Command)
	c.checkStatus()
	c.checkTargets()
	c.reportIf(len(cfg.Identity)+len(cfg.Cert)+len(c.mistakes) == 0, nil, `add a table [identity."example.org"] or [cert.NAME]; the examples are a start`, "no certificate is configured")
}

// each checks the tables of a kind by their names.
func each[T any](tables map[string]T, check func(name string, table T)) {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		check(name, tables[name])
	}
}

// A FileError reports a configuration file that cannot be read or trusted.
type FileError struct{ Path, Problem, Hint string }

func (e *FileError) Error() string { return Printable(e.Path, maxMessage) + ": " + e.Problem }

// Remedy says what the operator can do about it.
func (e *FileError) Remedy() string { return Printable(e.Hint, maxMessage) }

// readConfig reads a configuration that others cannot change: it names commands
// that are run and files that are written.
func readConfig(path string) (string, fs.FileMode, error) {
	text, info, err := durable.ReadFile(path, maxConfig, durable.Any)
	if err != nil {
		return "", 0, readError(path, err)
	}
	mode := info.Mode().Perm()
	if uid, ours := durable.Owner(info); !ours {
		return "", 0, &FileError{path, fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()), fmt.Sprintf("run this as user %d, or: chown %d %s", uid, os.Geteuid(), path)}
	}
	if mode&0o022 != 0 {
		return "", 0, &FileError{path, fmt.Sprintf("can be written by others (mode %04o)", mode), "chmod go-w " + path}
	}
	if _, err = durable.CheckFile(path); err != nil && !isSticky(err) {
		return "", 0, readError(path, err)
	}
	return string(text), mode, nil
}

// isSticky reports whether err is about a directory like /tmp, in which others cannot
// replace files of root or of this user.
func isSticky(err error) bool {
	unsafe, ok := errors.AsType[*durable.UnsafeError](err)
	if !ok {
		return false
	}
	info, err := os.Lstat(unsafe.Path)
	if err != nil || !info.IsDir() || info.Mode()&fs.ModeSticky == 0 {
		return false
	}
	_, ours := durable.Owner(info)
	return ours
}

// readError explains why a configuration cannot be read or trusted.
func readError(path string, err error) error {
	const another = "name another file with -config or $" + PathVariable
	hint := "name the configuration with -config or $" + PathVariable
	unsafe, isUnsafe := errors.AsType[*durable.UnsafeError](err)
	_, isBroken := errors.AsType[*durable.BrokenError](err)
	switch {
	case isUnsafe:
		hint = unsafe.Remedy()
	case isBroken:
		hint = "see that it is the configuration of keypaird, or " + another
	case errors.Is(err, fs.ErrNotExist):
		hint = "keypaird init writes one; or " + another
	case errors.Is(err, fs.ErrPermission):
		hint = "run keypaird as root or as the user it belongs to, or let that user read the file and pass through its directories"
	}
	problem := strings.TrimPrefix(durable.Cause(err).Error(), path+" ")
	return &FileError{path, Printable(problem, maxMessage), hint}
}
