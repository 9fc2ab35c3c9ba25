package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
	"keypaird/renew/confine"
	"keypaird/renew/durable"
)

// Configuration checks the programs, files and DNS providers that a configuration
// names on this machine. It makes no network requests. The result is not nil: its JSON is
// an array.
func Configuration(ctx context.Context, cfg *config.Config) Findings {
	return slices.Concat(Findings{}, checkStateDir(cfg), checkPage(cfg), checkConfinement(), checkNotify(cfg), checkExternal(cfg, false), checkProviders(ctx, cfg), checkFiles(ctx, cfg), checkReloads(ctx, cfg), Sandbox(ctx, cfg), checkState(cfg))
}

// checkPage warns of a status page that other machines can read: it holds no
// secrets, but helps attackers.
func checkPage(cfg *config.Config) []Finding {
	addr := cfg.Status.Listen
	if file, ok := strings.CutPrefix(addr, "unix:"); ok {
		return checkPageDir(filepath.Dir(file))
	}
	if onLoopback(addr) {
		return nil
	}
	return []Finding{{
		Check: "configuration", Subject: "status.listen", Result: Warning, Detail: fmt.Sprintf("%q is reachable from other machines without authentication", addr),
		Remedy: `set "127.0.0.1:8403", behind a web server that asks for a password`,
	}}
}

// checkConfinement warns of what this system does not enforce.
func checkConfinement() []Finding {
	missing := confine.Missing()
	if len(missing) == 0 {
		return nil
	}
	return []Finding{{
		Check: "configuration", Subject: "keypaird", Result: Warning, Detail: "its processes are not fully confined: " + strings.Join(missing, "; "),
		Remedy: "use a kernel that has it; let keypaird run as a user of its own, and its DNS helpers as another (user in each [dns] table), who may read no file that holds a key",
	}}
}

// checkPageDir reports a directory in which the daemon will not make its socket. It says
// nothing of one that is not there yet, or that belongs to the daemon's user, if this is
// another.
func checkPageDir(dir string) []Finding {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	if _, ours := durable.Owner(info); !ours {
		return nil
	}
	err = durable.CheckDir(dir)
	if _, unsafe := errors.AsType[*durable.UnsafeError](err); !unsafe {
		return nil
	}
	return []Finding{finding("configuration", "status.listen", "", err)}
}

// checkPrograms reports what a deployment needs that this machine does not have. set
// reports whether the configuration sets a setting of it: the remedy is then to
// correct it.
func checkPrograms(name string, d *hooks.Deployment, set func(setting string) bool) []Finding {
	var found []Finding
	for _, err := range preset.Missing(d, set) {
		found = append(found, finding("deploy", name, "", err))
	}
	if err := d.Runnable(); err != nil && len(found) == 0 {
		found = append(found, finding("deploy", name, "", err))
	}
	return found
}

// checkFiles warns of files beside ours that a server would prefer, and of servers
// that present one certificate but are to get several.
func checkFiles(ctx context.Context, cfg *config.Config) []Finding {
	var found []Finding
	targets := map[string][]string{} // by deployment
	warnings := map[string]func(target string) []string{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			if targets[name] == nil {
				if unsafe := checkDirs(ctx, cfg, &d, t.Name); unsafe != nil {
					found = append(found, unsafe...)
				} else {
					found = append(found, checkPrograms(name, &d, cfg.Deploy[name].Sets)...)
				}
				found = append(found, checkSettings(cfg, &d)...)
				warnings[name] = d.Warner()
			}
			targets[name] = append(targets[name], t.Name)
			if n := len(targets[name]); d.Single && n == 2 {
				found = append(found, Finding{
					Check: "deploy", Subject: name, Result: Warning,
					Detail: fmt.Sprintf("the server presents one certificate only, but gets those of %q and %q", targets[name][0], t.Name),
					Remedy: "set one_certificate = true in the [identity], or list all its names in one [cert]",
				})
			}
			for _, text := range warnings[name](t.Name) {
				found = append(found, Finding{Check: "deploy", Subject: name, Result: Warning, Detail: text})
			}
		}
	}
	return found
}

// checkDirs reports a directory of a target's files that others can change. One that is
// not there counts as the one it would be made in. Those of the user who owns the state,
// or whom keypaird.service runs as, are keypaird's.
func checkDirs(ctx context.Context, cfg *config.Config, d *hooks.Deployment, target string) []Finding {
	owners := []int{-1}
	if info, err := os.Stat(cfg.State); err == nil {
		owners[0], _ = durable.Owner(info)
	}
	for _, path := range d.Paths(target) {
		dir := filepath.Dir(hooks.ThroughLink(path))
		info, err := os.Stat(dir)
		for errors.Is(err, fs.ErrNotExist) {
			dir = filepath.Dir(dir)
			info, err = os.Stat(dir)
		}
		if err != nil || info.Mode()&fs.ModeSticky != 0 {
			continue
		}
		err = durable.CheckDir(dir)
		unsafe, is := errors.AsType[*durable.UnsafeError](err)
		if !is {
			continue
		}
		if info, err := os.Stat(unsafe.Path); err == nil {
			uid, _ := durable.Owner(info)
			if u := readUnit(ctx); u["User"] != "" {
				service, _ := u.ids()
				owners = append(owners, service)
			}
			if slices.Contains(owners, uid) {
				continue
			}
		}
		return []Finding{finding("deploy", d.Name, "", fmt.Errorf("%s: %w", path, err))}
	}
	return nil
}

// onLoopback reports whether only this machine can connect to a listen address.
func onLoopback(addr string) bool {
	if addr == "" || strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "fd:") {
		return true // none, or a socket with access rules of its own
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// A deciding file says what keypaird does.
type deciding struct {
	path string
	is   string // "the configuration is"
	then string // what to do when it was moved
}

// Rewritable warns of the configuration file, and of programs that run with all rights, in
// directories that keypaird writes to: an attacker who has taken over its confined process
// could change them. file is the configuration's.
func Rewritable(cfg *config.Config, file string) (found []Finding) {
	rights := engine.Rights(cfg)
	seen := map[string]bool{}
	for _, f := range decidingFiles(cfg, file) {
		dir := rights.Holds(f.path)
		if dir == "" || seen[f.path] {
			continue
		}
		seen[f.path] = true
		found = append(found, Finding{
			Check: "configuration", Subject: f.path, Result: Warning,
			Detail: fmt.Sprintf("%s in %s, where keypaird writes: an attacker who has taken keypaird over could change the file", f.is, dir),
			Remedy: "move it to a directory that keypaird does not write to, " + f.then,
		})
	}
	return found
}

// decidingFiles lists the configuration and the files that it names, but for those that
// deployments write.
func decidingFiles(cfg *config.Config, file string) []deciding {
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	list := []deciding{{file, "the configuration is", "such as " + filepath.Dir(config.DefaultPath) + ", and name it with -config or " + config.PathVariable}}
	add := func(path, table, key string) {
		if path != "" {
			list = append(list, deciding{path, key + " in [" + table + "] names a file", "and correct " + key + " in [" + table + "]"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.CA)) {
		add(cfg.CA[name].Roots, "ca."+name, "roots")
		add(cfg.CA[name].EABHMACFile, "ca."+name, "eab_hmac_file")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.DNS)) {
		for _, variable := range slices.Sorted(maps.Keys(cfg.DNS[name].Env)) {
			if strings.HasSuffix(variable, "_FILE") {
				add(cfg.DNS[name].Env[variable], "dns."+name, variable)
			}
		}
	}
	written, deployments := map[string]bool{}, map[string]bool{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			deployments[name] = true
			for _, path := range d.Paths(t.Name) {
				written[path] = true
			}
		}
	}
	programs := func(argv []string, table, key string) {
		for _, path := range namedIn(argv) {
			if !written[path] {
				add(path, table, key)
			}
		}
	}
	programs(cfg.Notify.Command, "notify", "command")
	for _, name := range slices.Sorted(maps.Keys(deployments)) {
		d := cfg.Deployment(name)
		programs(d.Check, "deploy."+name, "check")
		programs(d.Reload, "deploy."+name, "reload")
		programs(d.Restart, "deploy."+name, "restart")
	}
	return list
}

// namedIn lists the program of a command line and the files that it names, also within a
// line of the shell.
func namedIn(argv []string) (files []string) {
	for i, arg := range argv {
		if i == 0 && !strings.Contains(arg, "/") {
			arg = command.SearchPath(arg)
		}
		for _, word := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(" \t\n;&|<>()'\"`=", r) }) {
			if info, err := os.Stat(word); err == nil && filepath.IsAbs(word) && info.Mode().IsRegular() {
				files = append(files, word)
			}
		}
	}
	return files
}
