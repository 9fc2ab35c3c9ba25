package preset

import (
	"cmp"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"time"

	"keypaird/hooks"
)

// A Server describes one kind of server: its preset, its set-up and its pitfalls.
type Server struct {
	Name       string           // of the preset
	Deployment hooks.Deployment // the defaults on this system; Verify is not set

	Verify []string // where it usually listens, for verify

	// Lines of the server's own configuration that make it use the files. NAME
	// is a target's name, STATE keypaird's state directory.
	Setup []string
	// Pitfalls that an operator should know, a sentence or two each.
	Notes []string
}

// Servers returns all servers with a preset, by name.
func Servers() []Server { return servers(runtime.GOOS) }

// Names returns the names of all presets, sorted.
func Names() []string {
	var names []string
	for _, table := range tables() {
		for i := range table {
			names = append(names, table[i].name)
		}
	}
	slices.Sort(names)
	return names
}

// Lookup returns the preset called name with the defaults of this system, and
// reports whether there is one. Verify is left to the caller: it depends on
// where the server listens.
func Lookup(name string) (hooks.Deployment, bool) { return lookup(name, runtime.GOOS) }

// Files describes the files that are written, in that order: purpose, path,
// owner and mode of each. A server without files reads the store itself.
func (s Server) Files() []string {
	var list []string
	for _, o := range s.Deployment.Outputs() {
		list = append(list, fmt.Sprintf("%s %s %s:%s %04o", o.Purpose, o.Template, s.Deployment.Owner, s.Deployment.Group, o.Mode))
	}
	return list
}

// A row is a server in the tables; its fields are those of [hooks.Deployment]. In
// files and commands, "{etc}" is the directory in which the packages of a system keep
// configurations.
type row struct {
	name                 string
	chain, key, combined string
	group                bySystem[string] // of the files; their owner is root; empty: group 0
	keyMode              fs.FileMode
	check                bySystem[[]string]
	reload               bySystem[[]string]
	restart              bySystem[[]string]
	single               bool
	scans, reloads       int
	patience             time.Duration
	setup, notes         []string
	verify               []string         // endpoints at which it usually serves them
	process              bySystem[string] // name of its process, where it does not start without files; "": it does, or that is not known
	root                 bool             // check and reload need root
	finds                string           // see Finds
	effective            effective
}

// bySystem is a value by GOOS; "" is the default.
type bySystem[T any] map[string]T

func (b bySystem[T]) on(goos string) T {
	if v, ok := b[goos]; ok {
		return v
	}
	return b[""]
}

// always returns the same command on every system.
func always(argv ...string) bySystem[[]string] { return bySystem[[]string]{"": argv} }

// service returns the command that has a system's service manager do verb with a
// service. macOS has no such command: the operator must configure one.
func service(verb, name string) bySystem[[]string] {
	return bySystem[[]string]{
		"linux":   {"systemctl", verb, name},
		"openbsd": {"rcctl", verb, name},
		"freebsd": {"service", name, verb},
		"netbsd":  {"service", name, verb},
	}
}

// override returns b with other commands on some systems.
func override(b, others bySystem[[]string]) bySystem[[]string] {
	for goos, argv := range others {
		b[goos] = argv
	}
	return b
}

// tables hold all servers.
func tables() [][]row { return [][]row{webServers, chatServers, mailServers, voiceServers} }

// servers returns Servers for any system.
func servers(goos string) []Server {
	var list []Server
	for _, r := range slices.Concat(tables()...) {
		list = append(list, Server{Name: r.name, Deployment: r.deployment(goos), Verify: slices.Clone(r.verify), Setup: r.lines(r.setup, goos), Notes: slices.Clone(r.notes)})
	}
	slices.SortFunc(list, func(a, b Server) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// lookup is Lookup for any system. It is called for every target, and there may
// be thousands.
func lookup(name, goos string) (hooks.Deployment, bool) {
	if r := find(name); r != nil {
		return r.deployment(goos), true
	}
	return hooks.Deployment{}, false
}

// find returns the row of a server, or nil.
func find(name string) *row {
	for _, table := range tables() {
		for i := range table {
			if table[i].name == name {
				return &table[i]
			}
		}
	}
	return nil
}

// deployment returns the preset of r for a system.
func (r *row) deployment(goos string) hooks.Deployment {
	d := hooks.Deployment{
		Name:  r.name,
		Chain: in(r.chain, goos), Key: in(r.key, goos), Combined: in(r.combined, goos),
		Check:   r.lines(r.check.on(goos), goos),
		Reload:  r.lines(r.reload.on(goos), goos),
		Restart: r.lines(r.restart.on(goos), goos),
		Single:  r.single, Scans: r.scans, Reloads: r.reloads, Patience: r.patience,
	}
	if len(d.Outputs()) == 0 {
		return d
	}
	d.Owner, d.Group = "root", r.group.on(goos)
	if d.Group == "" {
		d.Group = rootGroup(goos)
	}
	d.KeyMode = r.keyMode
	if d.Chain != "" {
		d.ChainMode = 0o644
	}
	return d
}

// lines returns list with the places of a system filled in.
func (r *row) lines(list []string, goos string) []string {
	var out []string
	for _, s := range list {
		out = append(out, in(s, goos))
	}
	return out
}

// in fills in the places of a system.
func in(s, goos string) string {
	etc := "/etc"
	switch goos {
	case "freebsd", "darwin":
		etc = "/usr/local/etc"
	case "netbsd":
		etc = "/usr/pkg/etc"
	}
	return strings.ReplaceAll(s, "{etc}", etc)
}

// rootGroup returns the name of group 0.
func rootGroup(goos string) string {
	if goos == "linux" {
		return "root"
	}
	return "wheel"
}

// NeedsRoot reports whether check and reload of a preset need root.
func NeedsRoot(preset string) bool {
	r := find(preset)
	return r != nil && r.root
}

// Finds returns the setting of a preset's server that says where it finds its files, as
// NAME = "VALUE". With that value, which is the default, no lines have to be added; ""
// means that they have to be. Such a server starts without files, and finds them when
// it is reloaded.
func Finds(preset string) string {
	if r := find(preset); r != nil {
		return r.finds
	}
	return ""
}

// UsualEndpoints returns where the server of a preset usually listens.
func UsualEndpoints(preset string) []string {
	if r := find(preset); r != nil {
		return slices.Clone(r.verify)
	}
	return nil
}
