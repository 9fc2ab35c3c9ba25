package hooks

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"keypaird/hooks/acl"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// stagers is how many files are written at a time: a disk syncs many files almost as
// fast as one.
const stagers = 64

// put installs states: all or, unless touched, none.
func put(states []state) (touched bool, err error) {
	for _, err := range stage(states) {
		if err != nil {
			unstage(states)
			return false, err
		}
	}
	return place(states)
}

// PutFirst writes p to the files of the target name, none of which may exist.
func (d *Deployment) PutFirst(name string, p *keypair.Pair) error {
	owner, err := d.owner()
	if err == nil {
		err = d.Writable(name)
	}
	if err != nil {
		return err
	}
	s, err := d.planned(name, p, owner)
	if err != nil {
		return err
	}
	for _, f := range s.files {
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return cmp.Or(err, problem.New(f.path+" exists", "remove it if it is not needed: a first pair is written over nothing"))
		}
	}
	_, err = put([]state{s})
	return err
}

// stage writes every file durably under a temporary name beside its own, and returns
// the failures by state; it removes the files of a state that failed. A file that
// is already right is not written, so that a rollback to it succeeds.
func stage(states []state) []error {
	errs := make([]error, len(states))
	var g errgroup.Group
	g.SetLimit(stagers)
	var mu sync.Mutex
	for i := range states {
		for k := range states[i].files {
			f := &states[i].files[k]
			g.Go(func() error {
				err := f.stage()
				mu.Lock()
				defer mu.Unlock()
				errs[i] = cmp.Or(errs[i], err)
				return nil
			})
		}
	}
	g.Wait()
	for i, err := range errs {
		if err != nil {
			unstage(states[i : i+1])
		}
	}
	return errs
}

// unstage removes the temporary files.
func unstage(states []state) {
	for _, s := range states {
		for _, f := range s.files {
			os.Remove(staged(f.path))
		}
	}
}

// place renames staged files to their own names, key and chain of a pair one right
// after the other. Unless touched, nothing has changed.
func place(states []state) (touched bool, err error) {
	dirs := map[string]bool{} // also of files that are already right: the process that wrote them may have been killed before the sync
	for _, s := range states {
		for _, f := range s.files {
			if err != nil {
				break
			}
			dirs[filepath.Dir(f.path)] = true
			if !f.inPlace {
				err = f.place()
				touched = true
			}
		}
	}
	if err != nil {
		unstage(states)
	}
	for dir := range dirs {
		if e := durable.SyncDir(dir); err == nil && e != nil {
			err = e
		}
	}
	return touched, err
}

// there reports whether f is already in place: the same bytes under its own name,
// with the same mode and owner, where no other user can change them.
func (f file) there() bool {
	fi, err := os.Lstat(f.path)
	if f.gone {
		return errors.Is(err, fs.ErrNotExist)
	}
	if err != nil || fi.Mode() != f.mode.Perm || durable.CheckDir(filepath.Dir(f.path)) != nil {
		return false
	}
	got, ok, err := read(f.path)
	return err == nil && ok && !got.gone && f.sameAccess(got) && bytes.Equal(got.data, f.data)
}

// sameAccess reports whether got, a file in place, has the owner, mode and list of f.
func (f file) sameAccess(got file) bool {
	return got.mode == resolved(f.mode) && (bytes.Equal(got.acl, f.acl) || f.acl == nil && !f.exact)
}

// resolved returns m with the owner and group that a new file gets.
func resolved(m durable.FileMode) durable.FileMode {
	if m.UID == -1 {
		m.UID = os.Geteuid()
	}
	if m.GID == -1 {
		m.GID = os.Getegid()
	}
	return m
}

// staged returns the temporary name of path. Servers that read whole directories
// skip names that start with a dot and end in ".tmp".
func staged(path string) string {
	sum := sha256.Sum256([]byte(filepath.Base(path)))
	return filepath.Join(filepath.Dir(path), ".keypaird-"+hex.EncodeToString(sum[:6])+".tmp")
}

// stage writes f durably under its temporary name, unless it is already in place. It
// does not sync the directory as [durable.WriteFile] does: one sync after the
// renames is enough for all files.
func (f *file) stage() error {
	f.inPlace = f.there()
	f.mounted = !f.inPlace && !f.gone && mounted(f.path)
	tmp := staged(f.path)
	if !f.inPlace && !f.gone && !f.mounted {
		return durable.Stage(f.path, tmp, f.data, f.protect)
	}
	os.Remove(tmp) // of a run that was killed
	if f.mounted {
		return f.stageMounted()
	}
	return nil
}

// protect sets owner and permissions of f on h, its new file. If the access control
// list cannot be set, the mode grants no more than the list.
func (f file) protect(h *os.File) error {
	gid := f.mode.GID
	if info, err := h.Stat(); err == nil && gid == -1 && f.mode.Perm&0o070 != 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Gid) != os.Getegid() {
			gid = os.Getegid() // it has the group of its directory
		}
	}
	if f.mode.UID != -1 || gid != -1 {
		if err := h.Chown(f.mode.UID, gid); err != nil {
			return err
		}
	}
	if len(f.acl) > 0 && acl.Write(h, f.acl) == nil {
		return nil // the mode is part of it
	}
	if f.exact {
		if err := acl.Write(h, nil); err != nil {
			return err
		}
	}
	return h.Chmod(f.acl.Without(f.mode.Perm))
}

// place renames a staged file to its own name.
func (f file) place() error {
	if f.gone {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if f.mounted {
		return f.overwrite()
	}
	if err := os.Rename(staged(f.path), f.path); errors.Is(err, syscall.EBUSY) {
		os.Remove(staged(f.path))
		return f.overwrite()
	} else if err != nil {
		if e, ok := errors.AsType[*os.LinkError](err); ok {
			err = e.Err
		}
		return &durable.WriteError{Path: f.path, Err: err}
	}
	return nil
}
