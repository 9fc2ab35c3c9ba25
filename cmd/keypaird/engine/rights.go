package engine

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/renew/confine"
)

// Rights returns the rights that the process with keys needs for a configuration.
func Rights(cfg *config.Config) confine.Rights {
	var k confine.Rights
	for _, w := range Writes(cfg) {
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
// to write to some more directories, and returns those that stay.
func GiveUp(cfg *config.Config, log *slog.Logger, more ...string) *confine.Rights {
	k := Rights(cfg)
	k.Write = append(k.Write, more...)
	if err := k.Confine(); err != nil {
		log.Warn("not fully confined", "err", err)
	}
	return &k
}

// A Written is a directory that keypaird writes to.
type Written struct {
	Check, Subject string // of the table that asks for it
	Dir            string
	Link           bool // only a symbolic link is there, which leads to the file
}

// Writes lists the directories that keypaird writes to for a configuration.
func Writes(cfg *config.Config) []Written {
	list := []Written{{Check: "store", Subject: cfg.State, Dir: cfg.State}}
	add := func(w Written) {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	if cfg.HTTP01.Webroot != "" {
		add(Written{Check: "configuration", Subject: "http-01.webroot", Dir: cfg.HTTP01.Webroot})
	}
	if socket, ok := strings.CutPrefix(cfg.Status.Listen, "unix:"); ok {
		add(Written{Check: "configuration", Subject: "status.listen", Dir: filepath.Dir(socket)})
	}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			for _, path := range d.Paths(t.Name) {
				at, real := filepath.Dir(path), filepath.Dir(hooks.ThroughLink(path))
				add(Written{Check: "deploy", Subject: name, Dir: at, Link: at != real})
				add(Written{Check: "deploy", Subject: name, Dir: real})
			}
		}
	}
	for name, d := range cfg.DNS { // a file that a provider keeps is opened for it, and given to its user
		u, err := need.User(d.User)
		if err != nil {
			continue
		}
		keep, _, _ := need.For(d.Provider, d.Env, d.User, u).Files()
		for _, path := range keep.Write {
			add(Written{Check: "dns", Subject: name, Dir: filepath.Dir(path)})
		}
	}
	return list
}
