package engine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/hooks"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/exposed"
	"keypaird/renew/status"
)

// Exposed returns the files with keys of a target, and of its accounts, that other users
// can read. keypaird makes none; a copy may have lost modes or owners. They stay as they
// are until the operator has read that their keys may be known to others.
func (e *Engine) Exposed(t renew.Target) []status.Exposed { return e.exposure().of(t) }

// An exposure looks for exposed files of targets that share accounts.
type exposure struct {
	*Engine
	owner    int                          // of the state directory
	accounts map[string][]exposed.Finding // by CA
}

func (e *Engine) exposure() exposure {
	return exposure{e, e.stateOwner(), map[string][]exposed.Finding{}}
}

// of returns the exposed files of a target.
func (e exposure) of(t renew.Target) (list []status.Exposed) {
	renewKey := "keypaird issue -new-key " + t.Name
	if t.External() != nil {
		renewKey = "replace its files with ones for another key"
	}
	dir := e.Store.Dir(t.Name)
	var current, old []exposed.Finding
	for _, f := range e.check(keyFiles(dir)) {
		if e.superseded(t.Name, f.Path) {
			old = append(old, f)
		} else {
			current = append(current, f)
		}
	}
	list = append(report(list, current, renewKey), report(nil, old, "")...)
	for _, deployer := range t.Deploy {
		if d, ok := deployer.(*hooks.Deployment); ok {
			list = report(list, d.ExposedKeys(t.Name), renewKey)
		}
	}
	for _, ca := range t.CAs() {
		found, known := e.accounts[ca]
		if !known {
			found = e.check([]string{filepath.Join(e.accountDir(ca), "key.pem")})
			e.accounts[ca] = found
		}
		list = report(list, found, "keypaird account rollover "+ca)
	}
	return list
}

// ExposedInState returns the files with keys in the state directory that others can read,
// also those of targets and CAs that are not configured any more.
func (e *Engine) ExposedInState() (list []status.Exposed) {
	all := e.exposure()
	_ = filepath.WalkDir(e.Config.State, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && slices.Contains([]string{"privkey.pem", "combined.pem", "key.pem", renew.NextKeyFile, "order.json"}, entry.Name()) {
			list = report(list, all.check([]string{path}), "")
		}
		return nil
	})
	return list
}

// logExposed warns once of each key of targets that others can read.
func (e *Engine) logExposed(targets []renew.Target) {
	all := e.exposure()
	for _, t := range targets {
		for _, x := range all.of(t) {
			if e.warned[x.Files[0]] {
				continue
			}
			e.warned[x.Files[0]] = true
			e.options.Log.Warn("key exposed", "cert", t.Name, "err", x.Error, "remedy", x.Remedy)
		}
	}
}

// check returns the findings about files of the state directory.
func (e exposure) check(paths []string) (found []exposed.Finding) {
	for _, path := range paths {
		if f := exposed.Check(path, 0o600, e.owner); f.Kind != exposed.Not {
			found = append(found, f)
		}
	}
	return found
}

// superseded reports whether a file is of a version that is neither live nor the newest.
func (e *Engine) superseded(name, path string) bool {
	version := filepath.Base(filepath.Dir(path))
	if !strings.HasPrefix(version, "v") {
		return false
	}
	live, _ := e.Store.LiveID(name)
	_, newest, _, _ := e.Store.NewestLeaf(name)
	return version != live && version != newest
}

// keyFiles lists the files with keys that the directory of a target may have.
func keyFiles(dir string) (list []string) {
	names := namesIn(dir)
	for _, file := range []string{"privkey.pem", "combined.pem"} {
		for _, name := range names {
			if strings.HasPrefix(name, "v") {
				list = append(list, dir+"/"+name+"/"+file)
			}
		}
	}
	if slices.Contains(names, renew.NextKeyFile) {
		list = append(list, filepath.Join(dir, renew.NextKeyFile))
	}
	if slices.Contains(names, "pending") {
		for _, ca := range namesIn(filepath.Join(dir, "pending")) {
			list = append(list, filepath.Join(dir, "pending", ca, "order.json"))
		}
	}
	return list
}

// namesIn lists the entries of a directory, none if it cannot be read.
func namesIn(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// report adds findings to a list, if there are any. replace is what the operator does
// because the key may be known to others.
func report(list []status.Exposed, found []exposed.Finding, replace string) []status.Exposed {
	var all status.Exposed
	for _, f := range found {
		if f.Kind == exposed.Not {
			continue
		}
		if all.Files = append(all.Files, f.Path); len(all.Files) == 1 {
			all.Error = f.Path + " has a private key and " + f.Why
		}
		all.Known = all.Known || f.Kind > exposed.Loose
	}
	if len(all.Files) == 0 {
		return list
	}
	if n := len(all.Files) - 1; n > 0 {
		all.Error += fmt.Sprintf("; so has another, in all %d", n+1)
	}
	all.Remedy = "chmod 600 " + strings.Join(all.Files, " ")
	if all.Known && replace != "" {
		all.Remedy += "; another user may have copied the key: " + replace
	}
	return append(list, all)
}

// stateOwner returns the user to whom the state directory belongs: the one who runs
// keypaird, if this is root.
func (e *Engine) stateOwner() int {
	info, err := os.Stat(e.Config.State)
	if err != nil {
		return os.Geteuid()
	}
	uid, _ := durable.Owner(info)
	return uid
}
