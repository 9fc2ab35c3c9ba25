package preset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/hooks"
	"keypaird/hooks/command"
	"keypaird/renew/problem"
)

// Missing returns an error for each user, group, directory and program that a
// deployment needs and this machine lacks. A preset holds the defaults of a system,
// and the administrator may have chosen otherwise: configured reports whether the
// configuration sets a command; nil: it sets none. Nothing is changed or run.
func Missing(d *hooks.Deployment, configured func(setting string) bool) []error {
	var list []error
	add := func(kind, name, setting, remedy string) {
		list = append(list, problem.Newf(remedy, "%s: there is no %s %s", setting, kind, name))
	}
	table := "[deploy." + d.Name + "]"
	outputs := d.Outputs()
	if len(outputs) > 0 {
		if _, err := hooks.LookupUser(d.Owner); err != nil {
			add("user", d.Owner, "owner", "install the server, or set owner of "+table+" to the user it runs as")
		}
		if _, err := hooks.LookupGroup(d.Group); err != nil {
			add("group", d.Group, "group", "install the server, or set group of "+table+" to the group it runs in")
		}
	}
	reported := map[string]bool{}
	for _, o := range outputs {
		dir := filepath.Dir(o.Template)
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || reported[dir] || strings.Contains(dir, "{") {
			continue
		}
		reported[dir] = true
		add("directory", dir, o.Purpose, mkdir(d, dir)+", or set "+o.Purpose+" of "+table)
	}
	for _, c := range []struct {
		setting string
		argv    []string
	}{{"check", d.Check}, {"reload", d.Reload}, {"restart", d.Restart}} {
		if len(c.argv) == 0 || reported[c.argv[0]] || !programMissing(c.argv[0]) {
			continue
		}
		reported[c.argv[0]] = true
		remedy := "install the server, or set " + c.setting + " of " + table
		switch {
		case configured != nil && configured(c.setting):
			remedy = "install " + c.argv[0] + ", or correct " + c.setting + " of " + table
		case slices.Contains(managers, c.argv[0]):
			remedy = "set " + c.setting + " of " + table + " to the command for this machine's service manager"
		}
		add("program", c.argv[0], c.setting, remedy)
	}
	return list
}

// managers are the programs that presets manage services with.
var managers = []string{"systemctl", "rcctl", "service", "pkill"}

// mkdir returns the command that creates a directory for the files of d.
func mkdir(d *hooks.Deployment, dir string) string {
	owner, group, mode := d.Owner, d.Group, "0755"
	if d.KeyMode&0o040 != 0 {
		mode = "0750" // only for users that may read the key
	}
	command := "install -d"
	if owner != "" {
		command += " -o " + owner
	}
	if group != "" {
		command += " -g " + group
	}
	return command + " -m " + mode + " " + dir
}

// programMissing reports whether a program does not exist. One that exists and
// cannot be run is for [hooks.Deployment.Runnable] to report.
func programMissing(name string) bool {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return errors.Is(err, fs.ErrNotExist)
	}
	return command.SearchPath(name) == ""
}
