package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A MisfitError reports something that a deployment needs and this machine
// does not have.
type MisfitError struct {
	Deployment string
	Kind       string // user, group, directory or program
	What       string // the one that is missing
	Setting    string // of the deployment, that asks for it

	remedy string
}

func (e *MisfitError) Error() string {
	return fmt.Sprintf("%s: there is no %s %s", e.Setting, e.Kind, e.What)
}

// Remedy says what the operator can do about it.
func (e *MisfitError) Remedy() string { return e.remedy }

// Misfits returns what the deployment needs and this machine does not have: a
// *[MisfitError] for each. A preset says how things are usual, and an
// administrator's choice may be another. Nothing is changed or run.
func (d *Deployment) Misfits() []error {
	var list []error
	add := func(kind, what, setting, remedy string) {
		list = append(list, &MisfitError{Deployment: d.Name, Kind: kind, What: what, Setting: setting, remedy: remedy})
	}
	table := "[deploy." + d.Name + "]"
	if d.writes() {
		if _, err := (&Deployment{Owner: d.Owner}).owner(); err != nil {
			add("user", d.Owner, "owner", "install the server, or set owner of "+table+" to the user it runs as")
		}
		if _, err := (&Deployment{Group: d.Group}).owner(); err != nil {
			add("group", d.Group, "group", "install the server, or set group of "+table+" to the group it runs in")
		}
	}
	told := map[string]bool{}
	for _, w := range d.writings() {
		dir := filepath.Dir(w.template)
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || told[dir] || strings.Contains(dir, "{") {
			continue
		}
		told[dir] = true
		add("directory", dir, w.what, d.mkdir(dir)+", or set "+w.what+" of "+table)
	}
	for _, c := range []struct {
		setting string
		argv    []string
	}{{"check", d.Check}, {"reload", d.Reload}, {"restart", d.Restart}} {
		if len(c.argv) == 0 || told[c.argv[0]] || !missing(c.argv[0]) {
			continue
		}
		told[c.argv[0]] = true
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

// mkdir is the command that makes a directory for the files of d.
func (d *Deployment) mkdir(dir string) string {
	owner, group, mode := d.Owner, d.Group, "0755"
	if d.KeyMode&0o040 != 0 {
		mode = "0750" // whoever may read the key reads the directory
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

// missing tells whether a program is not there. One that is there and cannot
// be run is for [Deployment.Runnable] to report.
func missing(name string) bool {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return errors.Is(err, fs.ErrNotExist)
	}
	return searchPath(name) == ""
}
