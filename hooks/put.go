package hooks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"keypaird/renew/durable"
)

// stagers is how many files are written at a time: a disk syncs many files
// hardly slower than one.
const stagers = 16

// put brings states about: every file is first written, whole and durable,
// under a temporary name beside its own, and only then all are renamed, key
// and chain of a pair back to back. Until touched, everything is as it was. A
// file that is there already is left alone, so that going back to one that
// could not be written succeeds.
func put(states []state) (touched bool, err error) {
	var files []file
	for _, s := range states {
		files = append(files, s.files...)
	}
	there := make([]bool, len(files))
	var g errgroup.Group
	g.SetLimit(stagers)
	for i, f := range files {
		g.Go(func() error {
			if there[i] = f.there(); !there[i] && !f.gone {
				return stage(f)
			}
			os.Remove(staged(f.path)) // of a run that was killed
			return nil
		})
	}
	err = g.Wait()
	dirs := map[string]bool{} // of files that are there, too: who put them there may have been killed before this
	for i, f := range files {
		if err == nil {
			dirs[filepath.Dir(f.path)] = true
			if !there[i] {
				err = place(f)
				touched = true
			}
		}
		if err != nil {
			os.Remove(staged(f.path))
		}
	}
	for dir := range dirs {
		if e := durable.SyncDir(dir); err == nil && e != nil {
			err = e
		}
	}
	return touched, err
}

// there tells whether f is in place already: the same bytes under the name
// itself, with the mode and owner they would get, where nobody else can change
// them.
func (f file) there() bool {
	fi, err := os.Lstat(f.path)
	if f.gone {
		return errors.Is(err, fs.ErrNotExist)
	}
	if err != nil || fi.Mode() != f.mode.Perm || durable.CheckDir(filepath.Dir(f.path)) != nil {
		return false
	}
	want := f.mode
	if want.UID == -1 {
		want.UID = os.Geteuid()
	}
	if want.GID == -1 {
		want.GID = os.Getegid()
	}
	got, ok, err := read(f.path)
	sameACL := bytes.Equal(got.acl, f.acl) || f.acl == nil && !f.exact
	return err == nil && ok && !got.gone && got.mode == want && sameACL && bytes.Equal(got.data, f.data)
}

// staged is the temporary name of path. A name that starts with a dot and ends
// in ".tmp" is passed over by servers that read whole directories.
func staged(path string) string {
	sum := sha256.Sum256([]byte(filepath.Base(path)))
	return filepath.Join(filepath.Dir(path), ".keypaird-"+hex.EncodeToString(sum[:6])+".tmp")
}

// stage writes f, whole and durable, under its temporary name. That the name is
// durable too is not needed before the rename, and one sync of the directory
// does for all: so this is not [durable.WriteFile].
func stage(f file) error { return durable.Stage(f.path, staged(f.path), f.data, f.protect) }

// protect sets owner and permissions of f on h, its new file. Where the list
// cannot be set, nobody gets more by the mode alone.
func (f file) protect(h *os.File) error {
	if f.mode.UID != -1 || f.mode.GID != -1 {
		if err := h.Chown(f.mode.UID, f.mode.GID); err != nil {
			return err
		}
	}
	if len(f.acl) > 0 && writeACL(h, f.acl) == nil {
		return nil // the mode is part of it
	}
	if f.exact {
		if err := writeACL(h, nil); err != nil {
			return err
		}
	}
	return h.Chmod(f.acl.without(f.mode.Perm))
}

// place takes a staged file to its own name.
func place(f file) error {
	if f.gone {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.Rename(staged(f.path), f.path); err != nil {
		if e, ok := errors.AsType[*os.LinkError](err); ok {
			err = e.Err
		}
		return &durable.WriteError{Path: f.path, Err: err}
	}
	return nil
}
