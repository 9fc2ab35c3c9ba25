package keypair

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"keypaird/renew/durable"
)

// maxStateFile bounds what ReadFile returns, and so what WriteFile takes.
const maxStateFile = 1 << 20

// A Store keeps versions of pairs in a state directory:
//
//	DIR/certs/NAME/live -> v000002     what is in use
//	DIR/certs/NAME/v000002/            fullchain.pem cert.pem chain.pem privkey.pem combined.pem
//	DIR/certs/NAME/record.json ...     small files of others
//	DIR/certs/NAME/.tmp-*, .*.tmp      unfinished; Tidy removes them
//
// A version is written under a temporary name, made durable and renamed, so it
// is whole or not there; after that only damage changes it, and [Store.Repair]. Its number
// is never given again. Directories have mode 0700 and files 0600 whatever the umask.
//
// Methods for different names may run at once. Of those that write for one
// name, one at a time, under the state directory's [durable.Lock].
type Store struct {
	certs *durable.Dir
	made  sync.Map // names with a directory that this process has made durable
	read  pairs

	tryOnce sync.Once
	tried   error // what the file system lacks
}

// Open opens the store in dir and makes it if it is missing. A directory that another
// user could change is refused with a [*durable.UnsafeError], see [durable.CheckDir].
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := durable.MakeDir(abs); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	state, err := durable.Open(abs)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	defer state.Close()
	certs, err := state.SubMake("certs")
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return &Store{certs: certs}, nil
}

// Close closes the directory.
func (s *Store) Close() error { return s.certs.Close() }

// Moved reports whether something else is where the store was opened: it was
// restored from a backup, say, or mounted over. The error is fs.ErrNotExist if
// nothing is there.
func (s *Store) Moved() (bool, error) {
	ours, err := s.certs.Lstat(".")
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(s.certs.Path())
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
	return filepath.Join(s.certs.Path(), dir)
}

// open opens the directory of name; fs.ErrNotExist if there is none.
func (s *Store) open(name string) (nameDir, error) {
	dir, err := dirName(name)
	if err != nil {
		return nameDir{}, err
	}
	d, err := s.certs.Sub(dir)
	return nameDir{d, &s.read}, err
}

// create is open for a directory that is made if it is missing.
func (s *Store) create(name string) (nameDir, error) {
	dir, err := dirName(name)
	if err != nil {
		return nameDir{}, err
	}
	d, err := s.certs.SubMake(dir)
	return nameDir{d, &s.read}, err
}

// Make makes the directory of name, durably. Concurrent calls share one sync. The
// first, for a name without versions, tries what [Store.Add] and [Store.SetLive] will do.
func (s *Store) Make(name string) error {
	f, err := s.create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Lstat(liveLink); err == nil && info.IsDir() { // no link could take its place
		return &durable.BrokenError{Path: f.At(liveLink), Err: errors.New("is a directory, not a link to the live version")}
	}
	n, err := f.highest()
	if err != nil || n > 0 {
		return err
	}
	s.tryOnce.Do(func() { s.tried = f.Try(filepath.Dir(s.certs.Path())) })
	if durable.IsUnsupported(s.tried) {
		return s.tried
	}
	return s.syncName(name)
}

// syncName makes the directory of name durable where no version shows that it is: a
// crash may have come before.
func (s *Store) syncName(name string) error {
	if _, ok := s.made.Load(name); ok {
		return nil
	}
	if err := s.certs.Sync(); err != nil {
		return err
	}
	s.made.Store(name, nil)
	return nil
}

// A nameDir is the open directory of a name.
type nameDir struct {
	*durable.Dir
	read *pairs
}

// Add writes p as a new version of name, durably, and reads it back. It does
// not make it live: [Store.SetLive] does. After a crash between the two
// [Store.Newest] finds it.
func (s *Store) Add(name string, p *Pair) (Version, error) {
	if !p.valid() {
		return Version{}, errors.New("adding a pair that Parse did not make")
	}
	f, err := s.create(name)
	if err != nil {
		return Version{}, err
	}
	defer f.Close()
	n, err := f.highest()
	if err != nil {
		return Version{}, err
	}
	id := versionID(n + 1)
	if err := f.addVersion(id, p); err != nil {
		return Version{}, err
	}
	if n == 0 {
		if err := s.syncName(name); err != nil {
			return Version{}, err
		}
	}
	s.read.keep(pairSums{sha256.Sum256(p.FullChain()), sha256.Sum256(p.Key())}, p)
	return Version{ID: id, Dir: f.At(id), Pair: p}, nil
}

// addVersion writes p as version id.
func (d nameDir) addVersion(id string, p *Pair) error {
	tmp := durable.TempName(id)
	if err := d.writeVersion(tmp, id, p); err != nil {
		_ = d.RemoveAll(tmp) // if this fails too, Tidy does it
		return err
	}
	return d.Publish(tmp, id)
}

// writeVersion writes the files of version id to the directory tmp.
func (d nameDir) writeVersion(tmp, id string, p *Pair) error {
	if _, err := d.Mkdir(tmp); err != nil {
		return err
	}
	v, err := d.Sub(tmp)
	if err != nil {
		return err
	}
	defer v.Close()
	v = v.As(d.At(id)) // what messages should name
	files := p.files()
	if err := v.Create(durable.Private, files...); err != nil {
		return err
	}
	for _, file := range files {
		back, err := v.Read(file.Name, maxStateFile)
		if err != nil {
			return err
		}
		if !bytes.Equal(back, file.Data) {
			return v.Failed(file.Name, errors.New("reads back differently"))
		}
	}
	return v.Sync()
}

// SetLive makes v the live version of name, in one step: the symbolic link is
// live for the old pair until it is for the new one. The version is read and
// verified first. If the error is a [*durable.WriteError] with Done, v is live already.
func (s *Store) SetLive(name string, v Version) error {
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if number(v.ID) == 0 {
		return nameError(v.ID, "is not that of a version")
	}
	if _, err := f.load(v.ID); err != nil {
		return err
	}
	return f.setLive(v.ID)
}

// setLive is SetLive for a version that was read and verified.
func (d nameDir) setLive(id string) error {
	tmp := durable.TempName(liveLink)
	var failed *durable.WriteError
	if err := d.Symlink(id, tmp); errors.As(err, &failed) {
		failed.Path = d.At(liveLink) // the name that means something
		return err
	}
	return d.Publish(tmp, liveLink)
}

// Activate is [Store.Tidy], [Store.Newest] and, if that is version id, [Store.SetLive],
// with the version read and verified once. It returns the newest version, and the one that
// was live before it: without an ID if there is none that can be used.
func (s *Store) Activate(name, id string) (newest, before Version, err error) {
	f, err := s.open(name)
	if err != nil {
		return newest, before, err
	}
	defer f.Close()
	if err := f.tidy(); err != nil {
		return newest, before, err
	}
	if newest, err = f.newestVersion(); err != nil || newest.ID != id {
		return newest, before, err
	}
	live, err := f.live()
	if err == nil && live == id {
		return newest, before, nil
	}
	if err == nil {
		before, _ = f.load(live) // one that is broken counts as none, as does a broken link
	}
	return newest, before, f.setLive(id)
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
	defer f.Close()
	if parent != "" {
		sub, err := f.Sub(parent)
		if err != nil {
			return nil, err
		}
		defer sub.Close()
		return sub.Read(base, maxStateFile)
	}
	return f.Read(base, maxStateFile)
}

// WriteFile replaces such a file durably, in one step, and makes the
// directories it needs.
func (s *Store) WriteFile(name, file string, data []byte) error {
	return s.writeFile(name, file, data, (*durable.Dir).Replace)
}

// WriteHint is WriteFile for what may be lost: after a power failure the old
// content may be there again, as a whole.
func (s *Store) WriteHint(name, file string, data []byte) error {
	return s.writeFile(name, file, data, (*durable.Dir).ReplaceHint)
}

func (s *Store) writeFile(name, file string, data []byte, replace func(*durable.Dir, string, []byte, durable.FileMode) error) error {
	parent, base, err := stateFile(file)
	if err != nil {
		return err
	}
	if len(data) > maxStateFile {
		return &durable.WriteError{Path: filepath.Join(s.Dir(name), file), Err: fmt.Errorf("%w: %d bytes, more than %d", durable.ErrTooLarge, len(data), maxStateFile)}
	}
	f, err := s.create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if parent != "" {
		sub, err := f.SubMake(parent)
		if err != nil {
			return err
		}
		defer sub.Close()
		return replace(sub, base, data, durable.Private)
	}
	return replace(f.Dir, base, data, durable.Private)
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
		defer f.Close()
		if parent == "" {
			return f.Discard(base)
		}
		var sub *durable.Dir
		if sub, err = f.Sub(parent); err == nil {
			defer sub.Close()
			return sub.Discard(base)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
