package preflight

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
)

// A unit is what systemd says of the service that runs keypaird.
type unit map[string]string

// unitName is the service of the examples and packages.
const unitName = "keypaird.service"

// UnitQuestion is the command that prints what systemd knows of it.
var UnitQuestion = []string{"systemctl", "show", "-p", "LoadState,User,ProtectSystem,ProtectHome,ReadWritePaths,StateDirectory,RuntimeDirectory", unitName}

// unitLimit is how long systemctl may take.
const unitLimit = 5 * time.Second

// readUnit asks systemd for the service; nil: there is none, or no systemd.
func readUnit(ctx context.Context) unit {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, unitLimit)
	defer cancel()
	printed, _, err := command.Output(limited, UnitQuestion)
	if err != nil {
		return nil
	}
	u := unit{}
	for line := range strings.Lines(string(printed)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		u[key] = value
	}
	if u["LoadState"] != "loaded" {
		return nil
	}
	return u
}

// mayWrite reports whether the sandbox of the service lets it write below dir. Other
// settings of systemd can forbid it, too.
func (u unit) mayWrite(dir string) bool {
	if u.hides(dir) {
		return false
	}
	var readOnly []string
	switch u["ProtectSystem"] {
	case "strict":
		readOnly = []string{"/"}
	case "full":
		readOnly = []string{"/usr", "/boot", "/efi", "/etc"}
	case "yes":
		readOnly = []string{"/usr", "/boot", "/efi"}
	}
	if u["ProtectHome"] == "read-only" {
		readOnly = append(readOnly, homes...)
	}
	own := strings.Fields(u["ReadWritePaths"])
	for key, top := range map[string]string{"StateDirectory": "/var/lib/", "RuntimeDirectory": "/run/"} {
		for _, name := range strings.Fields(u[key]) {
			own = append(own, top+name)
		}
	}
	under := func(top string) bool { return inside(dir, strings.TrimLeft(top, "-+")) }
	return !slices.ContainsFunc(readOnly, under) || slices.ContainsFunc(own, under)
}

// homes is what ProtectHome= is about.
var homes = []string{"/home", "/root", "/run/user"}

// hides reports whether the service does not see what is below dir.
func (u unit) hides(dir string) bool {
	return slices.Contains([]string{"yes", "tmpfs"}, u["ProtectHome"]) && slices.ContainsFunc(homes, func(top string) bool { return inside(dir, top) })
}

// inside reports whether path is top or below it.
func inside(path, top string) bool {
	rel, err := filepath.Rel(top, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// BecomeRoot lists the commands that let the service of the packages be root, in its
// sandbox, with the state that it has had as a user of its own.
func BecomeRoot(state string) []string {
	return []string{
		"install -D -m 0644 -t /etc/systemd/system/" + unitName + ".d " + rootConf,
		"systemctl daemon-reload", "mkdir -p " + state + " && chown -R 0:0 " + state,
	}
}

const rootConf = "/usr/share/keypaird/root.conf" // of the packages

// Prepare lists the commands that let the service of the packages do what a configuration
// needs: none if it can, or if there is no such service. If it may not write to
// directories below tree, it may write to all of that.
func Prepare(ctx context.Context, cfg *config.Config, tree string) (commands []string) {
	u := readUnit(ctx)
	settings, err := os.ReadFile(rootConf)
	if u == nil || err != nil {
		return nil
	}
	become := len(u.checkUser(cfg)) > 0
	if become {
		commands = BecomeRoot(cfg.State)
		for line := range strings.Lines(string(settings)) {
			if more, ok := strings.CutPrefix(strings.TrimSpace(line), "ReadWritePaths="); ok {
				u["ReadWritePaths"] += " " + more
			}
		}
	}
	lines := ""
	for _, w := range engine.Writes(cfg) {
		if w.Link || u.mayWrite(w.Dir) {
			continue
		}
		if inside(w.Dir, tree) {
			w.Dir = tree
		}
		if u.hides(w.Dir) {
			u["ProtectHome"], lines = "read-only", "ProtectHome=read-only\\n"+lines
		}
		u["ReadWritePaths"] += " -" + w.Dir
		lines += "ReadWritePaths=-" + w.Dir + "\\n"
	}
	if lines == "" {
		return commands
	}
	dir := "/etc/systemd/system/" + unitName + ".d"
	commands = append([]string{"mkdir -p " + dir, "printf '[Service]\\n" + lines + "' >" + dir + "/paths.conf"}, commands...)
	if !become {
		commands = append(commands, "systemctl daemon-reload")
	}
	return commands
}

// Sandbox warns if the service that runs keypaird cannot do what a configuration needs,
// though the user of this command may.
func Sandbox(ctx context.Context, cfg *config.Config) []Finding {
	u := readUnit(ctx)
	if u == nil {
		return nil
	}
	return slices.Concat(u.checkReads(cfg), u.checkWrites(cfg), u.checkUser(cfg))
}

// checkWrites warns of directories that the service may not write to.
func (u unit) checkWrites(cfg *config.Config) (found []Finding) {
	closed := map[Finding][]string{}
	for _, w := range engine.Writes(cfg) {
		f := Finding{Check: w.Check, Subject: w.Subject, Result: Warning}
		if w.Link || u.mayWrite(w.Dir) || slices.Contains(closed[f], w.Dir) {
			continue
		}
		if len(closed[f]) == 0 {
			found = append(found, f)
		}
		closed[f] = append(closed[f], w.Dir)
	}
	for i, f := range found {
		dirs, lines := closed[f], "ReadWritePaths=-"+strings.Join(closed[f], " -")
		why := "ProtectSystem=" + u["ProtectSystem"]
		if slices.ContainsFunc(dirs, u.hides) {
			why, lines = "ProtectHome="+u["ProtectHome"], "ProtectHome=read-only and "+lines
		}
		found[i].Detail = fmt.Sprintf("%s may not write to %s (%s)", unitName, strings.Join(dirs, " "), why)
		found[i].Remedy = "systemctl edit " + unitName + ", and below [Service]: " + lines
	}
	return found
}

// checkReads warns of files that the service does not see.
func (u unit) checkReads(cfg *config.Config) (found []Finding) {
	check := func(check, subject string, paths ...string) {
		for _, path := range paths {
			if filepath.IsAbs(path) && u.hides(path) {
				found = append(found, Finding{
					Check: check, Subject: subject, Result: Warning, Detail: fmt.Sprintf("%s does not see %s (ProtectHome=%s)", unitName, path, u["ProtectHome"]),
					Remedy: "move it to /etc/keypaird; or systemctl edit " + unitName + ", and below [Service]: ProtectHome=read-only",
				})
			}
		}
	}
	for name, c := range cfg.CA {
		check("ca", name, c.Roots, c.EABHMACFile)
	}
	for name, d := range cfg.DNS {
		check("dns", name, slices.Sorted(maps.Values(d.Env))...)
	}
	for _, t := range cfg.Targets() {
		check("cert", t.Name, t.External.Chain, t.External.Key)
	}
	return found
}

// checkUser warns of deployments that only root can do.
func (u unit) checkUser(cfg *config.Config) (found []Finding) {
	user := u["User"]
	if user == "" || user == "root" || user == "0" {
		return nil
	}
	seen := map[string]bool{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			need := ""
			switch {
			case len(d.Paths(t.Name)) > 0 && d.Owner != "" && d.Owner != user:
				need = fmt.Sprintf("and only root can give files to %q", d.Owner)
			case preset.NeedsRoot(presetOf(cfg, name)) && !cfg.Deploy[name].Sets("reload"):
				need = "and its check and reload need root"
			}
			if need == "" || seen[name+need] {
				continue
			}
			seen[name+need] = true
			remedy := "install the drop-in root.conf of examples/systemd"
			if _, err := os.Stat(rootConf); err == nil {
				remedy = "let it be root: " + strings.Join(BecomeRoot(cfg.State), " && ")
			}
			found = append(found, Finding{
				Check: "deploy", Subject: name, Result: Warning, Detail: unitName + " runs as user " + user + ", " + need,
				Remedy: remedy + "; or set owner, check and reload of [deploy." + name + "]",
			})
		}
	}
	return found
}
