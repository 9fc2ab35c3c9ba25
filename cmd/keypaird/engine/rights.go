package engine

import (
	"log/slog"
	"path/filepath"
	"strings"

	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/renew/confine"
)

// Rights returns what the process that holds keys needs for a configuration.
func Rights(cfg *config.Config) confine.Rights {
	k := confine.Rights{Write: []string{cfg.State}}
	if cfg.HTTP01.Webroot != "" {
		k.Write = append(k.Write, cfg.HTTP01.Webroot)
	}
	if socket, ok := strings.CutPrefix(cfg.Status.Listen, "unix:"); ok {
		k.Write, k.Connect = append(k.Write, filepath.Dir(socket)), append(k.Connect, filepath.Dir(socket))
	}
	seen := map[string]bool{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			for _, path := range d.Paths(t.Name) {
				for _, dir := range []string{filepath.Dir(path), filepath.Dir(hooks.ThroughLink(path))} {
					if !seen[dir] {
						seen[dir] = true
						k.Write = append(k.Write, dir)
					}
				}
			}
			if d.Socket != "" {
				k.Connect = append(k.Connect, filepath.Dir(d.Socket))
			}
		}
	}
	for _, d := range cfg.DNS { // a file that a provider keeps is opened for it, and given to its user
		u, err := need.User(d.User)
		if err != nil {
			continue
		}
		keep, _, _ := need.For(d.Provider, d.Env, d.User, u).Files()
		for _, path := range keep.Write {
			k.Write = append(k.Write, filepath.Dir(path))
		}
	}
	return k
}

// GiveUp takes from this process all rights that the configuration does not need, but
// for writing to some more directories, and returns those that stay.
func GiveUp(cfg *config.Config, log *slog.Logger, more ...string) *confine.Rights {
	k := Rights(cfg)
	k.Write = append(k.Write, more...)
	if err := k.Confine(); err != nil {
		log.Warn("not fully confined", "err", err)
	}
	return &k
}
