package engine

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/confine"
)

// Rights returns what the process that holds keys needs for a configuration.
func Rights(cfg *config.Config) confine.Rights {
	var k confine.Rights
	for _, w := range preflight.Writes(cfg) {
		if !slices.Contains(k.Write, w.Dir) {
			k.Write = append(k.Write, w.Dir)
		}
	}
	if socket, ok := strings.CutPrefix(cfg.Status.Listen, "unix:"); ok {
		k.Connect = append(k.Connect, filepath.Dir(socket))
	}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			if socket := cfg.Deployment(name).Socket; socket != "" {
				k.Connect = append(k.Connect, filepath.Dir(socket))
			}
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
