package main

// temporary stand-in until the configuration is written

import (
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/BurntSushi/toml"
)

type Duration struct{ time.Duration }

func (d *Duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(b))
	return err
}

type DNSConfig struct {
	Provider    string
	Env         map[string]string
	Resolvers   []string
	Propagation Duration
	User        string
}
type CAConfig struct {
	Directory, Roots, EABKid, EABHmacFile string
}
type DeployConfig struct {
	Preset, Chain, Key, Combined, Owner, Group, Socket string
	ChainMode, KeyMode                                 string
	Check, Reload, Verify                              []string
	Timeout                                            Duration
}
type IdentityConfig struct {
	Host           string
	DNS            string
	Deploy         []string
	OneCertificate bool `toml:"one_certificate"`
}
type Config struct {
	Email, State string
	SignWith     []string `toml:"sign_with"`
	Key          string
	Profile      string
	Parallel     int
	CA           map[string]CAConfig
	HTTP01       struct{ Listen, Webroot string } `toml:"http-01"`
	DNS          map[string]DNSConfig
	Identity     map[string]IdentityConfig
	Deploy       map[string]DeployConfig
}
type Mistake struct {
	File                 string
	Line                 int
	Key, Problem, Remedy string
}

func (m Mistake) Error() string { return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Key, m.Problem) }

type Mistakes []Mistake

func (m Mistakes) Error() string { return fmt.Sprintf("%d mistakes", len(m)) }

type NameProof struct{ Name, Type, Account string }
type TargetConfig struct {
	Name                         string
	Proofs                       []NameProof
	Key, Profile, PreferredChain string
	SignWith, Deploy             []string
	Identity                     string
	Services                     []string
}

func LoadConfig(path string, env func(string) string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{Key: "ec256", Parallel: 8, SignWith: []string{"letsencrypt"}}
	c.HTTP01.Listen = ":80"
	if err := toml.Unmarshal(data, c); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) Targets() []TargetConfig {
	var ts []TargetConfig
	for name, id := range c.Identity {
		ts = append(ts, TargetConfig{Name: name, Proofs: []NameProof{{name, "dns-01", id.DNS}}, Key: c.Key, SignWith: c.SignWith, Deploy: id.Deploy})
		ts = append(ts, TargetConfig{Name: id.Host, Proofs: []NameProof{{id.Host, "http-01", ""}}, Key: c.Key, SignWith: c.SignWith, Deploy: id.Deploy})
	}
	sort.Slice(ts, func(i, j int) bool { return ts[i].Name < ts[j].Name })
	return ts
}
