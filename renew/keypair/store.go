package keypair

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxStateFile bounds what ReadFile returns, and so what WriteFile takes.
const maxStateFile = 1 << 20

var errTooLarge = errors.New("too large to be read back")

// A Store keeps versions of pairs in a state directory:
//
//	DIR/certs/NAME/live -> v000002     what is in use
//	DIR/certs/NAME/v000002/            fullchain.pem cert.pem chain.pem privkey.pem combined.pem
//	DIR/certs/NAME/record.json ...     small files of others
//	DIR/certs/NAME/.tmp-*, .*.tmp      unfinished; Tidy removes them
//
// A version is written under a temporary name, made durable and renamed, so it
// is whole or not there; it never changes after that, and its number is never
// given again. Directories have mode 0700 and files 0600 whatever the umask.
//
// Methods for different names may run at once. Of those that write for one
// name, one at a time, under the state directory's [Lock].
type Store struct {
	certs *folder
}

// Open opens the store in dir and makes it if it is not there. A directory
// that somebody else could change is refused with an [*UnsafeError], see
// [CheckDir].
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makeDir(abs); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	state, err := openFolder(abs, false)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	defer state.close()
	certs, err := state.subMake("certs")
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return &Store{certs}, nil
}

// makeDir makes the directory at path and those above it that are missing.
func makeDir(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil { // the kernel may refuse what CheckDir can tell the reason of
			return cmp.Or(CheckDir(path), err)
		}
		return nil
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	parent, err := openFolder(filepath.Dir(path), true)
	if err != nil {
		return err
	}
	defer parent.close()
	made, err := parent.subMake(filepath.Base(path))
	if err != nil {
		return err
	}
	made.close()
	return nil
}

// Close lets go of the directory.
func (s *Store) Close() error { return s.certs.root.Close() }

// Moved reports whether something else is where the store was opened: it was
// restored from a backup, say, or mounted over. The error is fs.ErrNotExist if
// nothing is there.
func (s *Store) Moved() (bool, error) {
	ours, err := s.certs.lstat(".")
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(s.certs.path)
	if err != nil {
		return false, err
	}
	return !os.SameFile(ours, now), nil
}

// Dir is the absolute path of the directory of name. For a name that
// [CheckName] refuses it is a path that does not exist.
func (s *Store) Dir(name string) string {
	dir, err := dirName(name)
	if err != nil {
		dir = ".refused"
	}
	return filepath.Join(s.certs.path, dir)
}

// open opens the directory of name; fs.ErrNotExist if there is none.
func (s *Store) open(name string) (*folder, error) {
	dir, err := dirName(name)
	if err != nil {
		return nil, err
	}
	return s.certs.sub(dir)
}

// Add writes p as a new version of name, durably, and reads it back. It does
// not make it live: [Store.SetLive] does. After a crash between the two
// [Store.Newest] finds it.
func (s *Store) Add(name string, p *Pair) (Version, error) {
	if !p.valid() {
		return Version{}, errors.New("adding a pair that Parse did not make")
	}
	dir, err := dirName(name)
	if err != nil {
		return Version{}, err
	}
	f, err := s.certs.subMake(dir)
	if err != nil {
		return Version{}, err
	}
	defer f.close()
	n, err := f.highest()
	if err != nil {
		return Version{}, err
	}
	if n == 0 { // a crash may have come before the directory itself was durable
		if err := s.certs.sync(); err != nil {
			return Version{}, err
		}
	}
	id := versionID(n + 1)
	if err := f.addVersion(id, p); err != nil {
		return Version{}, err
	}
	return Version{ID: id, Dir: f.at(id), Pair: p}, nil
}

// addVersion writes p as version id of f.
func (f *folder) addVersion(id string, p *Pair) error {
	tmp := temporary + id + "-" + random()
	err := f.writeVersion(tmp, id, p)
	if err == nil {
		err = f.rename(tmp, id)
	}
	if err != nil {
		_ = f.root.RemoveAll(tmp) // if this fails too, Tidy does it
		return err
	}
	return f.settle()
}

// writeVersion writes the files of version id to the directory tmp.
func (f *folder) writeVersion(tmp, id string, p *Pair) error {
	if _, err := f.mkdir(tmp); err != nil {
		return err
	}
	v, err := f.sub(tmp)
	if err != nil {
		return err
	}
	defer v.close()
	v.path = f.at(id) // what messages should name
	for _, file := range p.files() {
		if err := v.create(file.name, file.data, private); err != nil {
			return err
		}
		back, err := v.read(file.name, maxStateFile)
		if err != nil {
			return err
		}
		if !bytes.Equal(back, file.data) {
			return v.failed(file.name, errors.New("reads back differently"))
		}
	}
	return v.sync()
}

// SetLive makes v the live version of name, in one step: the symbolic link is
// live for the old pair until it is for the new one. The version is read and
// verified first. If the error is a [*WriteError] with Done, v is live already.
func (s *Store) SetLive(name string, v Version) error {
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.close()
	if number(v.ID) == 0 {
		return &NameError{v.ID, "is not that of a version"}
	}
	if _, err := f.load(v.ID); err != nil {
		return err
	}
	tmp := temporary + liveLink + "-" + random()
	err = retry(func() error { return f.root.Symlink(v.ID, tmp) })
	if err != nil {
		return f.failed(liveLink, err)
	}
	if err := f.rename(tmp, liveLink); err != nil {
		_ = f.root.Remove(tmp)
		return err
	}
	return f.settle()
}

// ReadFile returns a small file that others keep beside the versions of name,
// such as "record.json" or "pending/key.pem"; fs.ErrNotExist if there is none.
func (s *Store) ReadFile(name, file string) ([]byte, error) {
	parent, base, err := stateFile(file)
	if err != nil {
		return nil, err
	}
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if parent != "" {
		sub, err := f.sub(parent)
		if err != nil {
			return nil, err
		}
		defer sub.close()
		f = sub
	}
	return f.read(base, maxStateFile)
}

// WriteFile replaces such a file durably, in one step, and makes the
// directories it needs.
func (s *Store) WriteFile(name, file string, data []byte) error {
	parent, base, err := stateFile(file)
	if err != nil {
		return err
	}
	if len(data) > maxStateFile {
		return &WriteError{Path: filepath.Join(s.Dir(name), file), Err: fmt.Errorf("%w: %d bytes, more than %d", errTooLarge, len(data), maxStateFile)}
	}
	dir, err := dirName(name)
	if err != nil {
		return err
	}
	f, err := s.certs.subMake(dir)
	if err != nil {
		return err
	}
	defer f.close()
	if parent != "" {
		sub, err := f.subMake(parent)
		if err != nil {
			return err
		}
		defer sub.close()
		f = sub
	}
	return f.replace(base, data, private)
}

// RemoveAll removes such a file or directory, with what is in it; after a
// crash it is there as a whole or gone. Nothing to remove is no error.
func (s *Store) RemoveAll(name, file string) error {
	parent, base, err := stateFile(file)
	if err != nil {
		return err
	}
	f, err := s.open(name)
	if err == nil {
		defer f.close()
		if parent != "" {
			var sub *folder
			if sub, err = f.sub(parent); err == nil {
				defer sub.close()
				f = sub
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.discard(base)
}
