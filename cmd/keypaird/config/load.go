package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"

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
	// roots of CAs. Commands that only read the state set it, so that they work
	// for users who cannot read those files, and while one of them is broken.
	NoSecrets bool
}

// Load reads the configuration, checks all of it and brings every value into one
// form. The error is Mistakes if the file can be read and is wrong.
func Load(o Options) (*Config, error) {
	path := o.Path
	if path == "" {
		path = o.Getenv(PathVariable)
	}
	if path == "" {
		path = DefaultPath
	}
	text, mode, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	cfg, mistakes := o.parse(path, text, mode, defaults(o.Getenv, runtime.GOOS))
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
	c := &checker{document: d, cfg: cfg, private: mode&0o077 == 0, noSecrets: o.NoSecrets}
	c.check()
	slices.SortStableFunc(d.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	return cfg, d.mistakes
}

// defaults is the configuration of an empty file.
func defaults(env func(string) string, goos string) *Config {
	state := env("STATE_DIRECTORY")
	switch {
	case state != "":
		state, _, _ = strings.Cut(state, ":") // systemd lists several
	case strings.HasSuffix(goos, "bsd"):
		state = "/var/db/keypaird"
	default:
		state = "/var/lib/keypaird"
	}
	return &Config{
		State: state, SignWith: []string{"letsencrypt"}, Schedule: scheduleDefault, Key: "ec256", Parallel: 8,
		HTTP01: HTTP01{Listen: ":80"},
	}
}

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

// A FileError reports a configuration file that cannot be read or trusted.
type FileError struct {
	Path, Problem, Hint string
}

func (e *FileError) Error() string { return Printable(e.Path, maxMessage) + ": " + e.Problem }

// Remedy says what the operator can do about it.
func (e *FileError) Remedy() string { return Printable(e.Hint, maxMessage) }

// readConfig reads a configuration that nobody else can have written.
func readConfig(path string) (string, fs.FileMode, error) {
	text, info, err := readFile(path, maxConfig)
	if err != nil {
		return "", 0, readError(path, err)
	}
	if err := checkTrusted(path, info); err != nil {
		return "", 0, err
	}
	return string(text), info.Mode().Perm(), nil
}

// readError explains why a configuration cannot be read.
func readError(path string, err error) error {
	hint := "name the configuration with -config or $" + PathVariable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "write a configuration there, or name another file with -config or $" + PathVariable
	case errors.Is(err, fs.ErrPermission):
		hint = "run keypaird as root or as the user it belongs to, or let that user read the file and pass through its directories"
	case errors.Is(err, errTooLong):
		hint = "see that it is the configuration of keypaird, or name another file with -config or $" + PathVariable
	}
	return &FileError{path, withoutPath(err).Error(), hint}
}

// checkTrusted refuses a configuration that others can change: it names commands
// that are run and files that are written. info is of the file that was read.
func checkTrusted(path string, info fs.FileInfo) error {
	if uid, ok := ownedByUs(info); !ok {
		return &FileError{path, fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()), fmt.Sprintf("run this as user %d, or: chown %d %s", uid, os.Geteuid(), path)}
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return &FileError{path, fmt.Sprintf("can be written by others (mode %04o)", perm), "chmod go-w " + path}
	}
	at := path
	for range 40 { // symbolic links
		if err := checkSafeDir(filepath.Dir(at)); err != nil {
			return fmt.Errorf("%s: %w", Printable(path, maxMessage), err)
		}
		link, err := os.Lstat(at)
		if err != nil {
			return readError(path, err)
		}
		if link.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		if uid, ok := ownedByUs(link); !ok {
			return &FileError{path, fmt.Sprintf("is a symbolic link of user %d", uid), "name the file itself with -config or $" + PathVariable}
		}
		to, err := os.Readlink(at)
		if err != nil {
			return readError(path, err)
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		at = to
	}
	return readError(path, syscall.ELOOP)
}

// checkSafeDir refuses a directory in which others could replace a file of ours. In
// /tmp and its like they cannot.
func checkSafeDir(dir string) error {
	err := durable.CheckDir(dir)
	var unsafe *durable.UnsafeError
	if !errors.As(err, &unsafe) {
		return err
	}
	info, serr := os.Stat(dir)
	found, lerr := os.Lstat(unsafe.Path)
	if serr != nil || lerr != nil || !os.SameFile(info, found) || info.Mode()&fs.ModeSticky == 0 {
		return err
	}
	if _, ok := ownedByUs(info); !ok {
		return err
	}
	return nil
}

// ownedByUs reports whether a file belongs to root or to the current user.
func ownedByUs(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	return int(st.Uid), st.Uid == 0 || int(st.Uid) == os.Geteuid()
}
