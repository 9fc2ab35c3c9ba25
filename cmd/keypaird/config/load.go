package config

import (
	"errors"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

const (
	PathVariable    = "KEYPAIRD_CONFIG"
	DefaultPath     = "/etc/keypaird/keypaird.toml"
	scheduleDefault = "@every 30m"
	maxConfig       = 16 << 20 // some 100,000 targets
)

// Load reads the configuration: path, or else what $KEYPAIRD_CONFIG
// names, or else /etc/keypaird/keypaird.toml. Everything in it is checked and
// normalised. The error is Mistakes if it can be read and is wrong.
func Load(path string, env func(string) string) (*Config, error) {
	return load(path, env, decode)
}

// LoadWithoutSecrets is Load for those who only look at the state: what the
// configuration names for issuing alone, secrets and the roots of CAs, is not
// opened. Whoever may not read it, or broke it, can look nevertheless.
func LoadWithoutSecrets(path string, env func(string) string) (*Config, error) {
	return load(path, env, decodeSealed)
}

func load(path string, env func(string) string, decode decoder) (*Config, error) {
	if path == "" {
		path = env(PathVariable)
	}
	if path == "" {
		path = DefaultPath
	}
	text, mode, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	cfg, mistakes := decode(path, text, mode, defaults(env, runtime.GOOS))
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// A decoder takes the text of the file over into cfg and checks the outcome. mode
// says who can read the file.
type decoder func(file, text string, mode fs.FileMode, cfg *Config) (*Config, Mistakes)

// decode is the decoder that checks everything.
func decode(file, text string, mode fs.FileMode, cfg *Config) (*Config, Mistakes) {
	return (&checker{cfg: cfg, secret: mode&0o077 == 0}).take(file, text)
}

// decodeSealed is the decoder that opens no secrets.
func decodeSealed(file, text string, mode fs.FileMode, cfg *Config) (*Config, Mistakes) {
	return (&checker{cfg: cfg, secret: mode&0o077 == 0, sealed: true}).take(file, text)
}

// take reads the text into the checker's configuration and checks that.
func (c *checker) take(file, text string) (*Config, Mistakes) {
	r := &reader{file: file, text: text}
	if !r.parse() {
		return nil, r.mistakes
	}
	r.takeStruct(nil, r.values, reflect.ValueOf(c.cfg).Elem())
	c.reader = r
	c.check()
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	return c.cfg, r.mistakes
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
		return "", 0, unreadable(path, err)
	}
	if err := trusted(path, info); err != nil {
		return "", 0, err
	}
	return string(text), info.Mode().Perm(), nil
}

// unreadable says why a configuration cannot be read.
func unreadable(path string, err error) error {
	hint := "name the configuration with -config or $" + PathVariable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "write a configuration there, or name another file with -config or $" + PathVariable
	case errors.Is(err, fs.ErrPermission):
		hint = "run keypaird as root or as the user it belongs to, or let that user read the file and pass through its directories"
	case errors.Is(err, errTooLong):
		hint = "see that it is the configuration of keypaird, or name another file with -config or $" + PathVariable
	}
	return &FileError{path, plain(err).Error(), hint}
}
