package hooks

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"keypaird/hooks/command"
	"keypaird/renew/durable"
	"keypaird/renew/exposed"
	"keypaird/renew/problem"
)

// ids are the owner and group of files; -1: those of this process.
type ids struct{ uid, gid int }

// owner returns the ids of Owner and Group.
func (d *Deployment) owner() (ids, error) {
	uid, err := LookupUser(d.Owner)
	gid, err2 := LookupGroup(d.Group)
	return ids{uid, gid}, cmp.Or(err, err2)
}

// LookupUser returns the id of a user given by name or number; -1 for "".
func LookupUser(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	text := name
	if u, err := user.Lookup(name); err == nil {
		text = u.Uid
	}
	return parseID("owner", "user", name, text)
}

// LookupGroup returns the id of a group given by name or number; -1 for "".
func LookupGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	text := name
	if g, err := user.LookupGroup(name); err == nil {
		text = g.Gid
	}
	return parseID("group", "group", name, text)
}

// parseID parses text, the id of the user or group called name.
func parseID(setting, kind, name, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1, problem.Newf("name a "+kind+" of this machine, or a number", "%s %q: no such %s", setting, name, kind)
	}
	return int(n), nil
}

// ExposedKeys returns the files with the key of a target that other users can read.
func (d *Deployment) ExposedKeys(target string) (list []exposed.Finding) {
	id, err := d.owner()
	for _, template := range []string{d.Key, d.Combined, d.PKCS12} {
		if template != "" && err == nil {
			list = append(list, exposed.Check(expand(template, target), cmp.Or(d.KeyMode, 0o600), id.uid))
		}
	}
	return list
}

// claim checks the configured files of a target: absolute, different for each
// purpose, and not in taken, to which it adds them.
func (d *Deployment) claim(name string, taken map[string]bool) error {
	if d.Socket != "" && d.Combined == "" {
		return problem.New("socket needs combined, the one file haproxy knows a certificate by", "set combined")
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return problem.Newf("choose another name", "target name %q cannot be part of a path", name)
	}
	paths := d.Paths(name)
	ids := make([]string, len(paths))
	for i, p := range paths {
		if !filepath.IsAbs(p) {
			return problem.Newf("write it from / on", "%s is not an absolute path", p)
		}
		if ids[i] = (FileIDs{}).Of(p); taken[ids[i]] || slices.Contains(ids[:i], ids[i]) {
			return problem.Newf("use {name} in the path, and combined for key and chain in one file", "%s would be written twice, with different content", p)
		}
	}
	for _, id := range ids {
		taken[id] = true
	}
	return nil
}

// Writable checks that the files of the target name could be written: the directories
// exist and no other user can change them, owner and group exist and may be set.
// Nothing is changed.
func (d *Deployment) Writable(name string) error {
	if !d.writes() {
		return nil
	}
	if err := d.claim(name, map[string]bool{}); err != nil {
		return err
	}
	id, err := d.owner()
	if err != nil {
		return err
	}
	if err := mayGive(d, id); err != nil {
		return err
	}
	if _, err := d.password(); err != nil {
		return err
	}
	tried := map[string]bool{}
	for _, p := range d.Paths(name) {
		if err := checkLink(p); err != nil {
			return err
		}
		p = ThroughLink(p)
		dir := filepath.Dir(p)
		if err := durable.CheckDir(dir); err != nil {
			return fmt.Errorf("%s: %w", p, dirError(p, err))
		}
		where, how := dir, uint32(unix.W_OK|unix.X_OK)
		if mounted(p) {
			where, how = p, unix.W_OK // it is written where it is
		}
		if err := unix.Access(where, how); err != nil {
			return &durable.WriteError{Path: p, Err: err}
		}
		if fi, err := os.Lstat(p); err == nil && fi.IsDir() {
			return isDirectory(p)
		}
		if where == dir && !tried[dir] {
			tried[dir] = true
			if err := tryPlace(p, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// tryPlace makes an empty file as stage and place do, beside path, and removes it: not
// every file system knows owners, permissions, fsync and renaming over a file.
func tryPlace(path string, id ids) error {
	tmp := filepath.Join(filepath.Dir(path), durable.TempName("try"))
	defer os.Remove(tmp)
	defer os.Remove(tmp + "2")
	f := file{path: path, mode: durable.FileMode{Perm: 0o600, UID: id.uid, GID: id.gid}}
	for _, name := range []string{tmp + "2", tmp} {
		if err := durable.Stage(path, name, nil, f.protect); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, tmp+"2"); err != nil {
		return &durable.WriteError{Path: path, Err: durable.Cause(err)}
	}
	fi, err := os.Lstat(tmp + "2")
	if err == nil && fi.Mode().Perm()&0o077 != 0 {
		err = &durable.WriteError{Path: path, Err: fmt.Errorf("permissions are not kept, others may read it (mode %#o): %w", fi.Mode().Perm(), syscall.ENOTSUP)}
	}
	return err
}

// mayGive reports whether this process may give files to id.
func mayGive(d *Deployment, id ids) error {
	if os.Geteuid() == 0 {
		return nil
	}
	if id.uid != -1 && id.uid != os.Geteuid() {
		return problem.Newf("run keypaird as root, or leave owner out", "owner %q: only root can change the owner of a file", d.Owner)
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if id.gid != -1 && id.gid != os.Getegid() && !slices.Contains(groups, id.gid) {
		return problem.Newf("run keypaird as root, or add its user to the group", "group %q: user %d is not in it", d.Group, os.Geteuid())
	}
	return nil
}

// Runnable checks that the programs of Check and Reload exist and are safe to run.
// Nothing is run.
func (d *Deployment) Runnable() error {
	for _, argv := range [][]string{d.Check, d.Reload} {
		if len(argv) == 0 {
			continue
		}
		if _, err := command.Find(argv[0]); err != nil {
			return err
		}
	}
	return nil
}

func isDirectory(path string) error {
	return problem.New(path+" is a directory, and keypaird writes a file there", "correct the path in the configuration, or move the directory away")
}
