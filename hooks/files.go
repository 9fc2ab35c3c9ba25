package hooks

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"keypaird/hooks/acl"
	"keypaird/hooks/output"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pkcs12"
)

// maxFile bounds how much of a file that will be replaced is read.
const maxFile = 1 << 20

// A file is one file as it is, or as it will be written.
type file struct {
	path string
	data []byte
	mode durable.FileMode
	acl  acl.List
	// acl replaces the default list of the directory; nil: no list.
	exact bool
	gone  bool // there is none

	inPlace bool // it was already right when it was staged
	mounted bool // it can only be written where it is
}

// replacing returns f with the access control list of the file that it replaces, so
// that named users and groups keep their rights. Where that has none, nor gets f any
// of its directory; where it is not known, the group has no rights.
func (f file) replacing(before file) file {
	if before.gone {
		return f
	}
	f.exact = true
	f.acl = before.acl.WithMode(f.mode.Perm)
	switch {
	case f.acl != nil:
		f.mode.Perm = f.acl.Shown(f.mode.Perm)
	case before.acl != nil:
		f.mode.Perm &^= 0o070
	}
	return f
}

// accessOf returns f with owner, mode and list of the file that it replaces: for
// a file that is put back. If they are not known, it is for its owner only.
func (f file) accessOf(before file) file {
	switch {
	case before.gone:
		return f
	case before.mode.Perm == 0:
		f.mode.Perm &= 0o700
	default:
		f.mode, f.acl = before.mode, before.acl
	}
	f.exact = true
	return f
}

// A state is the pair and the files of one target.
type state struct {
	pair  *keypair.Pair // nil: the files are no matching pair
	files []file        // those that are written first come first
}

// valid reports whether s has a pair that is valid now.
func (s state) valid(now time.Time) bool {
	return s.pair != nil && s.pair.Check(s.pair.Names(), now) == nil
}

// absent reports whether none of the files exists.
func (s state) absent() bool {
	return !slices.ContainsFunc(s.files, func(f file) bool { return !f.gone })
}

// equal reports whether t has the same files.
func (s state) equal(t state) bool {
	return slices.EqualFunc(s.files, t.files, func(a, b file) bool {
		return a.path == b.path && a.gone == b.gone && bytes.Equal(a.data, b.data)
	})
}

// Outputs returns the kinds of files in the order in which they are written. Without
// outputs, the server reads the store.
func (d *Deployment) Outputs() []output.Kind {
	key, chain := cmp.Or(d.KeyMode, 0o600), cmp.Or(d.ChainMode, 0o644)
	list := []output.Kind{
		{Purpose: "key", Template: d.Key, Mode: key},
		{Purpose: "chain", Template: d.Chain, Mode: chain},
		{Purpose: "combined", Template: d.Combined, Mode: key},
		{Purpose: "leaf", Template: d.Leaf, Mode: chain},
		{Purpose: "intermediates", Template: d.Intermediates, Mode: chain},
		{Purpose: "pkcs12", Template: d.PKCS12, Mode: key, Encryption: d.PKCS12Encoding},
	}
	return slices.DeleteFunc(list, func(k output.Kind) bool { return k.Template == "" })
}

// password returns the password of PKCS12; "" without it.
func (d *Deployment) password() (string, error) {
	if d.PKCS12 == "" {
		return "", nil
	}
	return pkcs12.Password(d.PasswordFile)
}

// over returns s with each file as it must be when it replaces the one of before.
func (s state) over(before state, access func(f, before file) file) state {
	files := make([]file, len(s.files))
	for i, f := range s.files {
		files[i] = access(f, before.files[i])
	}
	s.files = files
	return s
}

// planned returns the state of a target with the pair p.
func (d *Deployment) planned(name string, p *keypair.Pair, owner ids) (state, error) {
	s := state{pair: p}
	password, err := d.password()
	if err != nil {
		return state{}, err
	}
	for _, o := range d.Outputs() {
		data, err := o.Data(p, password)
		if err != nil {
			return state{}, err
		}
		s.files = append(s.files, file{
			path: ThroughLink(expand(o.Template, name)), data: data,
			mode: durable.FileMode{Perm: o.Mode, UID: owner.uid, GID: owner.gid},
		})
	}
	return s, nil
}

// found returns the current state of a target's files. Unusable files are no error,
// but a path that cannot be written is. The pair of a PKCS#12 file is only known if it is
// that of like or previous.
func (d *Deployment) found(like state, previous *keypair.Pair) (state, error) {
	s := state{}
	whole := true
	for _, f := range like.files {
		if err := checkLink(f.path); err != nil {
			return state{}, err
		}
		got, ok, err := read(f.path)
		if err != nil {
			return state{}, err
		}
		if _, err := os.Stat(filepath.Dir(f.path)); got.gone && err != nil {
			return state{}, fmt.Errorf("%s: %w", f.path, dirError(f.path, err))
		}
		whole = whole && ok
		s.files = append(s.files, got)
	}
	if whole && s.equal(like) { // what is the same need not be read again
		s.pair = like.pair
	} else if whole {
		s.pair = d.pairOf(s.files, like.pair, previous)
	}
	return s, nil
}

// pairOf returns the pair in files, which are in the order of planned; nil unless all
// contain the same one.
func (d *Deployment) pairOf(files []file, known ...*keypair.Pair) *keypair.Pair {
	var contents [][]byte
	for _, f := range files {
		contents = append(contents, f.data)
	}
	password, err := d.password()
	if err != nil {
		return nil
	}
	return output.Pair(d.Outputs(), contents, password, known...)
}

// read returns the file at path, and follows a symbolic link. Not ok: it is something
// that could not be restored.
func read(path string) (f file, ok bool, err error) {
	f.path = path
	data, info, err := durable.ReadFile(path, maxFile, durable.Any)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.gone = true
		return f, true, nil
	case info != nil && info.IsDir():
		return f, false, isDirectory(path)
	case err != nil || info.Mode().Perm() == 0:
		return f, false, nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return f, false, nil
	}
	f.acl, f.exact = acl.Of(path, info), true
	f.data, f.mode = data, durable.FileMode{Perm: info.Mode().Perm(), UID: int(st.Uid), GID: int(st.Gid)}
	return f, true, nil
}
