package preflight

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A unit contains systemd's properties of the service that runs keypaird.
type unit map[string]string

// unitName is the service of the examples and packages.
const unitName = "keypaird.service"

// UnitQuestion is the command that prints what systemd knows of it.
var UnitQuestion = []string{"systemctl", "show", "-p", "LoadState,User,Group,SupplementaryGroups,ProtectSystem,ProtectHome,ReadWritePaths,StateDirectory,RuntimeDirectory", unitName}

// unitLimit is how long systemctl may take.
const unitLimit = 5 * time.Second

// readUnit asks systemd for the service; nil: there is none, or no systemd.
func readUnit(ctx context.Context) unit {
	if u := show(ctx, UnitQuestion); u["LoadState"] == "loaded" {
		return u
	}
	return nil
}

// show returns what a command of systemctl shows of a unit; nil: nothing, or there is no
// systemd.
func show(ctx context.Context, question []string) unit {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, unitLimit)
	defer cancel()
	printed, _, err := command.Output(limited, question)
	if err != nil {
		return nil
	}
	u := unit{}
	for line := range strings.Lines(string(printed)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		u[key] = value
	}
	return u
}

// ReloadQuestion is the command that prints whether systemd has the service of a
// deployment's reload, and can reload it; nil: it has another reload.
func ReloadQuestion(d *hooks.Deployment) []string {
	verbs := []string{"reload", "restart", "try-restart", "reload-or-restart", "try-reload-or-restart"}
	if len(d.Reload) != 3 || filepath.Base(d.Reload[0]) != "systemctl" || !slices.Contains(verbs, d.Reload[1]) {
		return nil
	}
	return []string{"systemctl", "show", "-p", "LoadState,CanReload", d.Reload[2]}
}

// checkReloads warns of services that systemd does not have, or cannot reload.
func checkReloads(ctx context.Context, cfg *config.Config) (found []Finding) {
	seen := map[string]bool{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			question := ReloadQuestion(&d)
			if seen[name] || question == nil {
				continue
			}
			seen[name] = true
			f := Finding{Check: "deploy", Subject: name, Result: Warning}
			switch u, service := show(ctx, question), d.Reload[2]; {
			case u["LoadState"] == "not-found":
				f.Detail = "systemd has no service " + service
				f.Remedy = "install the server, or correct reload of [deploy." + name + "]"
			case d.Reload[1] == "reload" && u["CanReload"] == "no":
				f.Detail = service + " cannot be reloaded: its unit has no command for that"
				f.Remedy = fmt.Sprintf("set reload = [\"systemctl\", \"restart\", %q] of [deploy.%s]", service, name)
			default:
				continue
			}
			found = append(found, f)
		}
	}
	return found
}

// UnitReloads reports whether systemd runs a service that it can reload.
func UnitReloads(ctx context.Context, name string) bool {
	u := show(ctx, []string{"systemctl", "show", "-p", "ActiveState,CanReload", name})
	return u["ActiveState"] == "active" && u["CanReload"] == "yes"
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
		"install -D -m 0644 -t " + dropIns + " " + rootConf,
		"systemctl daemon-reload", "mkdir -p " + state + " && chown -R 0:0 " + state,
	}
}

const (
	rootConf = "/usr/share/keypaird/root.conf" // of the packages
	dropIns  = "/etc/systemd/system/" + unitName + ".d"
)

// A Preparation gives the service of the packages the rights that a configuration needs.
type Preparation struct {
	Commands []string // that do it; none: there is nothing to do

	files map[string][]byte // drop-ins by name
	state string            // which becomes root's, as the service does; "": neither does
	users []string          // deployments that need root
}

// Known reports whether the service exists and its settings could be read.
func (p Preparation) Known() bool { return p.files != nil }

// Prepare returns the commands that give the service of the packages the rights that a
// configuration needs: none if it has them, or if there is no such service. If it may not
// write to directories below tree, it may write to all of that.
func Prepare(ctx context.Context, cfg *config.Config, tree string) (p Preparation) {
	u := readUnit(ctx)
	settings, err := os.ReadFile(rootConf)
	if u == nil || err != nil {
		return p
	}
	p.files = map[string][]byte{}
	for _, f := range u.checkUser(cfg) {
		if !slices.Contains(p.users, f.Subject) {
			p.users = append(p.users, f.Subject)
		}
	}
	if len(p.users) > 0 {
		p.Commands, p.state = BecomeRoot(cfg.State), cfg.State
		p.files[filepath.Base(rootConf)] = settings
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
			u["ProtectHome"], lines = "read-only", "ProtectHome=read-only\n"+lines
		}
		u["ReadWritePaths"] += " -" + w.Dir
		lines += "ReadWritePaths=-" + w.Dir + "\n"
	}
	if lines == "" {
		return p
	}
	text := "[Service]\n" + lines
	p.files["paths.conf"] = []byte(text)
	p.Commands = append([]string{"mkdir -p " + dropIns, "printf '" + strings.ReplaceAll(text, "\n", `\n`) + "' >" + dropIns + "/paths.conf"}, p.Commands...)
	if p.state == "" {
		p.Commands = append(p.Commands, "systemctl daemon-reload")
	}
	return p
}

// Do has the effect of the commands, and returns a line for each file that it has written.
// It never writes over a file.
func (p Preparation) Do(ctx context.Context) (did []string, err error) {
	if len(p.files) == 0 {
		return nil, nil
	}
	parent, err := durable.Open(filepath.Dir(dropIns))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	made, err := parent.Mkdir(filepath.Base(dropIns))
	if err == nil && made {
		err = os.Chmod(dropIns, 0o755)
	}
	if err != nil {
		return nil, err
	}
	dir, err := parent.Sub(filepath.Base(dropIns))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		there, err := os.ReadFile(dir.At(name))
		if err == nil && bytes.Equal(there, p.files[name]) {
			continue
		}
		if err := dir.Create(durable.FileMode{Perm: 0o644, UID: 0, GID: 0}, durable.File{Name: name, Data: p.files[name]}); err != nil {
			return nil, err
		}
		what := "lets " + unitName + " write to the directories of deployments"
		if name == filepath.Base(rootConf) {
			what = unitName + " runs as root, in its sandbox, as deploying to " + strings.Join(p.users, ", ") + " needs"
		}
		did = append(did, dir.At(name)+": "+what)
	}
	commands := [][]string{{"systemctl", "daemon-reload"}}
	if p.state != "" {
		commands = append(commands, []string{"mkdir", "-p", "-m", "0700", p.state}, []string{"chown", "-R", "0:0", p.state})
	}
	for _, argv := range commands {
		limited, cancel := context.WithTimeout(ctx, unitLimit)
		defer cancel()
		if _, _, err := command.Output(limited, argv); err != nil {
			return did, problem.Newf("run it by hand", "%s failed: %w", strings.Join(argv, " "), err)
		}
	}
	return did, durable.SyncDir(dropIns)
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
	if u["User"] == "" || u["User"] == "root" || u["User"] == "0" {
		return nil
	}
	uid, gids := u.ids()
	seen := map[string]bool{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			paths := d.Paths(t.Name)
			need, otherwise := "", "set owner, check and reload of [deploy."+name+"]"
			switch dir := closed(paths, uid); {
			case len(paths) > 0 && d.Owner != "" && d.Owner != u["User"]:
				need = fmt.Sprintf("and only root can give files to %q", d.Owner)
			case len(paths) > 0 && foreign(d.Group, gids):
				need = fmt.Sprintf("and only root can give files to the group %q", d.Group)
				otherwise = "add SupplementaryGroups=" + d.Group + " to the service"
			case dir != "":
				need = "who may not write to " + dir
				otherwise = "let that user own " + dir
			case preset.NeedsRoot(presetOf(cfg, name)) && !cfg.Deploy[name].Sets("reload"):
				need = "and its check and reload need root"
			}
			if need == "" || seen[name+need] {
				continue
			}
			seen[name+need] = true
			remedy := "install the drop-in root.conf of examples/systemd"
			if _, err := os.Stat(rootConf); err == nil && len(found) == 0 {
				remedy = "let it be root: " + strings.Join(BecomeRoot(cfg.State), " && ")
			} else if err == nil {
				remedy = "let it be root, by the commands above"
			}
			found = append(found, Finding{
				Check: "deploy", Subject: name, Result: Warning, Detail: unitName + " runs as user " + u["User"] + ", " + need,
				Remedy: remedy + "; or " + otherwise,
			})
		}
	}
	return found
}

// ids are those of the user of the service, and of the groups it is in.
func (u unit) ids() (uid int, gids []string) {
	uid, err := hooks.LookupUser(u["User"])
	if err != nil {
		return -1, nil
	}
	if account, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		gids, _ = account.GroupIds()
	}
	for _, name := range append(strings.Fields(u["SupplementaryGroups"]), u["Group"]) {
		if gid, err := hooks.LookupGroup(name); err == nil {
			gids = append(gids, strconv.Itoa(gid))
		}
	}
	return uid, gids
}

// foreign reports whether a group exists and is none of gids; if these are not known, it is
// not.
func foreign(group string, gids []string) bool {
	gid, err := hooks.LookupGroup(group)
	return err == nil && gid != -1 && len(gids) > 0 && !slices.Contains(gids, strconv.Itoa(gid))
}

// closed returns the first directory of files that a user who is not root certainly cannot
// write: it belongs to another, and neither its group nor a list of access gives that right.
// "" means none.
func closed(paths []string, uid int) string {
	for _, path := range paths {
		dir := filepath.Dir(hooks.ThroughLink(path))
		info, err := os.Stat(dir)
		if err != nil || uid < 0 {
			continue
		}
		if owner, _ := durable.Owner(info); owner != uid && info.Mode().Perm()&0o022 == 0 {
			return dir
		}
	}
	return ""
}
