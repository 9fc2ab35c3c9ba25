package preset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/hooks"
)

// A MissingError reports something that a deployment needs and this machine
// does not have.
type MissingError struct {
	Deployment string
	Kind       string // user, group, directory or program
	What       string // the one that is missing
	Setting    string // of the deployment, that asks for it

	remedy string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: there is no %s %s", e.Setting, e.Kind, e.What)
}

// Remedy says what the operator can do about it.
func (e *MissingError) Remedy() string { return e.remedy }

// Missing returns what a deployment needs and this machine does not have: a
// *[MissingError] for each. A preset holds the defaults of a system, and the
// administrator may have chosen otherwise. Nothing is changed or run.
func Missing(d *hooks.Deployment) []error {
	var list []error
	add := func(kind, what, setting, remedy string) {
		list = append(list, &MissingError{Deployment: d.Name, Kind: kind, What: what, Setting: setting, remedy: remedy})
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
		if slices.Contains(managers, c.argv[0]) {
			remedy = "set " + c.setting + " of " + table + " to what this machine does that with"
		}
		add("program", c.argv[0], c.setting, remedy)
	}
	return list
}

// managers are the programs that presets manage services with.
var managers = []string{"systemctl", "rcctl", "service", "pkill"}

// mkdir returns the command that makes a directory for the files of d.
func mkdir(d *hooks.Deployment, dir string) string {
	owner, group, mode := d.Owner, d.Group, "0755"
	if d.KeyMode&0o040 != 0 {
		mode = "0750" // the directory is for those who may read the key
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
	return hooks.SearchPath(name) == ""
}
