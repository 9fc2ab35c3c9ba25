package config

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config/file"
)

const (
	PathVariable    = file.PathVariable
	DefaultPath     = "/etc/keypaird/keypaird.toml"
	scheduleDefault = "@every 30m"
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
	Hostname    func() (string, error) // nil: os.Hostname
	// OnlyState leaves mistakes out that are not about the state directory.
	OnlyState bool
}

// File returns the path of the file to load.
func (o Options) File() string { return cmp.Or(o.Path, o.Getenv(PathVariable), DefaultPath) }

// Load reads the configuration, checks all of it and brings every value into one
// form. The error is Mistakes if the file can be read and is wrong.
func Load(o Options) (*Config, error) {
	path := o.File()
	text, mode, err := file.Read(path)
	if err != nil {
		return nil, err
	}
	return o.Parse(path, text, mode)
}

// Parse is Load for the text of a file that may not be there yet, and its permissions.
func (o Options) Parse(path, text string, mode fs.FileMode) (*Config, error) {
	cfg, mistakes := o.parse(path, text, mode, defaults(o.Getenv, runtime.GOOS))
	if o.OnlyState && cfg != nil {
		mistakes = slices.DeleteFunc(mistakes, func(m Mistake) bool { return m.Key != "state" })
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// parse reads the text of a file into cfg, which holds the defaults, and checks
// the result. mode is the file's permissions.
func (o Options) parse(path, text string, mode fs.FileMode, cfg *Config) (*Config, Mistakes) {
	d := &document{file: path, text: text}
	if !d.parse() {
		return nil, d.mistakes
	}
	d.decodeStruct(nil, reflect.ValueOf(cfg).Elem())
	c := &checker{document: d, cfg: cfg, private: mode&0o077 == 0, noSecrets: o.NoSecrets, hasProvider: o.HasProvider, hostname: o.Hostname}
	if c.hostname == nil {
		c.hostname = os.Hostname
	}
	c.check()
	slices.SortStableFunc(d.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	return cfg, d.mistakes
}

// defaults returns the configuration of an empty file.
func defaults(env func(string) string, goos string) *Config {
	state, _, _ := strings.Cut(env("STATE_DIRECTORY"), ":") // systemd lists several
	usual := "/var/lib/keypaird"
	if strings.HasSuffix(goos, "bsd") {
		usual = "/var/db/keypaird"
	}
	return &Config{
		State: cmp.Or(state, usual), SignWith: []string{"letsencrypt"}, Schedule: scheduleDefault, Key: "ec256", Parallel: 8,
		HTTP01: HTTP01{Listen: ":80", SelfTest: true}, TLSALPN: TLSALPN{Listen: ":443", SelfTest: true},
		Fleet: Fleet{Prefix: "/keypaird/", Waves: []string{"1", "25%", "100%"}},
	}
}

// check looks at everything.
func (c *checker) check() {
	cfg := c.cfg
	c.identityPaths, c.badDeploys, c.lookups = map[string]path{}, map[string]bool{}, map[string]error{}
	c.checkTop()
	c.checkFleet()
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
	c.checkIdleNodes()
}

// each checks the tables of a kind by their names.
func each[T any](tables map[string]T, check func(name string, table T)) {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		check(name, tables[name])
	}
}
