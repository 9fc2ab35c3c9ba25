package hooks

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"keypaird/hooks/acl"
	"keypaird/hooks/standin"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
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

// An Output is one kind of file that a deployment writes for each target.
type Output struct {
	Purpose  string // key, chain, combined, leaf or intermediates
	Template string // its path, with {name} for the target's name
	Mode     fs.FileMode
	data     func(*keypair.Pair) []byte
}

// Outputs returns the files in the order in which they are written. Without outputs,
// the server reads the store.
func (d *Deployment) Outputs() []Output {
	var list []Output
	for _, o := range []Output{
		{"key", d.Key, cmp.Or(d.KeyMode, 0o600), (*keypair.Pair).Key},
		{"chain", d.Chain, cmp.Or(d.ChainMode, 0o644), (*keypair.Pair).FullChain},
		{"combined", d.Combined, cmp.Or(d.KeyMode, 0o600), (*keypair.Pair).Combined},
		{"leaf", d.Leaf, cmp.Or(d.ChainMode, 0o644), (*keypair.Pair).Cert},
		{"intermediates", d.Intermediates, cmp.Or(d.ChainMode, 0o644), (*keypair.Pair).ChainPEM},
	} {
		if o.Template != "" {
			list = append(list, o)
		}
	}
	return list
}

// over returns s with each file as it is to be when it takes the place of the one
// of before.
func (s state) over(before state, access func(f, before file) file) state {
	files := make([]file, len(s.files))
	for i, f := range s.files {
		files[i] = access(f, before.files[i])
	}
	s.files = files
	return s
}

// planned returns the state of a target with the pair p.
func (d *Deployment) planned(name string, p *keypair.Pair, owner ids) state {
	s := state{pair: p}
	for _, o := range d.Outputs() {
		s.files = append(s.files, file{
			path: ThroughLink(expand(o.Template, name)), data: o.data(p),
			mode: durable.FileMode{Perm: o.Mode, UID: owner.uid, GID: owner.gid},
		})
	}
	return s
}

// found returns the current state of a target's files. Unusable files are no error,
// but a path that cannot be written is.
func (d *Deployment) found(like state) (state, error) {
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
	if whole {
		s.pair = d.pairOf(s.files)
	}
	return s, nil
}

// pairOf returns the pair in files, which are in the order of planned; nil unless all
// contain the same one.
func (d *Deployment) pairOf(files []file) *keypair.Pair {
	data := map[string][]byte{}
	for i, o := range d.Outputs() {
		data[o.Purpose] = files[i].data
	}
	has := func(purpose string) bool { _, ok := data[purpose]; return ok }
	chain := data["chain"]
	if !has("chain") && has("leaf") && has("intermediates") {
		chain = slices.Concat(data["leaf"], []byte("\n"), data["intermediates"])
	}
	var pairs []*keypair.Pair
	if has("key") && chain != nil {
		pairs = append(pairs, parse(chain, data["key"]))
	} else if (has("key") || has("chain")) && !has("combined") {
		return nil // half a pair proves nothing
	}
	if has("combined") {
		pairs = append(pairs, parse(data["combined"], data["combined"]))
	}
	for _, p := range pairs {
		if p == nil || p.Fingerprint() != pairs[0].Fingerprint() ||
			has("leaf") && !bytes.Equal(certificates(data["leaf"]), p.Cert()) ||
			has("intermediates") && !bytes.Equal(certificates(data["intermediates"]), p.ChainPEM()) {
			return nil
		}
	}
	if len(pairs) == 0 || standin.Is(pairs[0].Leaf) { // nothing goes back to a stand-in
		return nil
	}
	return pairs[0]
}

// parse reads a pair from files of another program, which may contain more.
func parse(chain, key []byte) *keypair.Pair {
	p, err := keypair.Parse(certificates(chain), blocks(key, "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"))
	if err != nil {
		return nil
	}
	return p
}

// certificates returns the certificates in data.
func certificates(data []byte) []byte { return blocks(data, "CERTIFICATE") }

// blocks returns the PEM blocks of some types in data.
func blocks(data []byte, types ...string) []byte {
	var out []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if slices.Contains(types, block.Type) {
			out = append(out, pem.EncodeToMemory(block)...)
		}
	}
	return out
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
		return f, false, fmt.Errorf("%s is a directory, and keypaird writes a file there", path)
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
