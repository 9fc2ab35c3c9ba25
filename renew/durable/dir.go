package durable

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var errNotDir = errors.New("is not a directory")

// A Dir is an open directory that nobody but root and us can change. Its
// entries are reached by their own name only, and no symbolic link among them
// is followed: looking at an entry before opening it is enough, since nobody
// else can exchange it in between.
type Dir struct {
	root  *os.Root
	path  string // for messages
	syncs *syncs
}

// Open opens the directory at path if it passes [CheckDir].
func Open(path string) (*Dir, error) { return open(path, false) }

// open is Open; with sticky, the directory may be one like /tmp, too.
func open(path string, sticky bool) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	checked, err := checkDir(path, sticky)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, readError(path, "opening", err)
	}
	d := &Dir{root, path, new(syncs)}
	opened, err := d.Lstat(".")
	if err == nil && !os.SameFile(checked, opened) {
		err = fmt.Errorf("%s changed while it was opened", path)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// MakeDir makes the directory at path and those above it that are missing, durably: all
// are made before the first is synced, as in [Dir.Create].
func MakeDir(path string) error {
	parents, err := makeDirs(path)
	for _, parent := range parents {
		if err == nil {
			err = parent.Sync()
		}
		parent.Close()
	}
	return err
}

// makeDirs makes the directory at path and those above it that are missing, and returns
// those that they are in, the highest first.
func makeDirs(path string) ([]*Dir, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil { // CheckDir may know why the kernel refuses
			return nil, cmp.Or(CheckDir(path), err)
		}
		return nil, nil
	}
	parents, err := makeDirs(filepath.Dir(path))
	if err != nil {
		return parents, err
	}
	parent, err := open(filepath.Dir(path), true)
	if err != nil {
		return parents, err
	}
	parents = append(parents, parent)
	if _, err := parent.Mkdir(filepath.Base(path)); err != nil {
		return parents, err
	}
	made, err := parent.Sub(filepath.Base(path))
	if err != nil {
		return parents, err
	}
	return parents, made.Close()
}

// Sub opens the directory name in d.
func (d *Dir) Sub(name string) (*Dir, error) {
	info, err := d.Lstat(name)
	if err != nil {
		return nil, err
	}
	path := d.At(name)
	if !info.IsDir() {
		return nil, &BrokenError{path, errNotDir}
	}
	if err := changeable(path, info, false); err != nil {
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, readError(path, "opening", err)
	}
	return &Dir{root, path, new(syncs)}, nil
}

// SubMake opens the directory name in d, and makes it if it is not there.
func (d *Dir) SubMake(name string) (*Dir, error) {
	created, err := d.Mkdir(name)
	if err != nil {
		return nil, err
	}
	if created {
		if err := d.Sync(); err != nil {
			return nil, err
		}
	}
	return d.Sub(name)
}

// At is the path of an entry, for messages.
func (d *Dir) At(name string) string { return strings.TrimSuffix(d.path, "/") + "/" + name }

// Path is the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// As returns d as if it were at path: messages name that.
func (d *Dir) As(path string) *Dir { return &Dir{d.root, path, d.syncs} }

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Lstat looks at an entry; a symbolic link is not followed.
func (d *Dir) Lstat(name string) (info fs.FileInfo, err error) {
	err = retry(func() error {
		info, err = d.root.Lstat(name)
		return err
	})
	if err != nil {
		return nil, readError(d.At(name), "looking at", err)
	}
	return info, nil
}

// openFile opens an entry for reading. A regular file or a directory never blocks;
// saying so spares the os package four system calls to find out.
func (d *Dir) openFile(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Names lists the directory.
func (d *Dir) Names() ([]string, error) {
	h, err := d.openFile(".")
	if err != nil {
		return nil, readError(d.path, "listing", err)
	}
	defer h.Close()
	names, err := h.Readdirnames(-1)
	if err != nil {
		return nil, readError(d.path, "listing", err)
	}
	return names, nil
}

// Read returns the content of a regular file of at most limit bytes.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	data, _, err := d.ReadInfo(name, limit)
	return data, err
}

// ReadInfo is Read and Lstat.
func (d *Dir) ReadInfo(name string, limit int) ([]byte, fs.FileInfo, error) {
	info, err := d.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &BrokenError{d.At(name), ErrNotRegular}
	}
	if info.Size() > int64(limit) {
		return nil, nil, &BrokenError{d.At(name), tooLarge(limit)}
	}
	file, err := d.openFile(name)
	if err != nil {
		return nil, nil, readError(d.At(name), "reading", err)
	}
	defer file.Close()
	size := int(info.Size())
	buf := make([]byte, size+1)
	n, err := io.ReadAtLeast(file, buf, size)
	if err != nil {
		return nil, nil, readError(d.At(name), "reading", err)
	}
	if n > size {
		return nil, nil, fmt.Errorf("reading %s: it grew meanwhile", d.At(name))
	}
	return buf[:n], info, nil
}

// Mkdir makes the directory name, of mode 0700 whatever the umask, if it is
// not there yet.
func (d *Dir) Mkdir(name string) (created bool, err error) {
	if info, err := d.Lstat(name); err == nil && (!info.IsDir() || info.Mode().Perm()&dirMode == dirMode) {
		return false, nil
	}
	err = d.root.Mkdir(name, dirMode)
	created = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, d.Failed(name, err)
	}
	info, err := d.Lstat(name)
	if err != nil {
		return created, err
	}
	// One that a crash left behind before its mode was put right is closed to
	// us; any other mode was somebody's choice.
	if perm := info.Mode().Perm(); info.IsDir() && perm != dirMode && (created || perm&dirMode != dirMode) {
		if err := d.root.Chmod(name, dirMode); err != nil {
			return created, d.Failed(name, err)
		}
	}
	return created, nil
}

// Create writes new files, durably. Owner and mode are set before there is content.
// The disk is waited for once: all files are written before the first is synced, and
// with one that is synced a file system with a journal writes what the others need.
// If one fails, those that were written may be there.
func (d *Dir) Create(m FileMode, files ...File) error {
	handles := make([]*os.File, 0, len(files))
	failed := -1
	var err error
	for i, f := range files {
		var h *os.File
		if h, err = d.root.OpenFile(f.Name, newFile, 0o600); err == nil {
			handles = append(handles, h)
			err = fill(h, f.Data, m.protect)
		}
		if err != nil {
			failed = i
			break
		}
		if len(files) > 1 {
			startWriteback(h)
		}
	}
	for i, h := range handles {
		if err = finish(h, err); err != nil && failed < 0 {
			failed = i
		}
	}
	if err != nil {
		return d.Failed(files[failed].Name, err)
	}
	return nil
}

// A File is a file to write.
type File struct {
	Name string
	Data []byte
}

// SetTime sets when a regular file was last written.
func (d *Dir) SetTime(name string, at time.Time) error { return d.root.Chtimes(name, at, at) }

// Symlink makes a symbolic link.
func (d *Dir) Symlink(target, name string) error {
	err := retry(func() error { return d.root.Symlink(target, name) })
	if err != nil {
		return d.Failed(name, notThere(cause(err))) // symlink(2): EPERM
	}
	return nil
}

// Readlink returns where a symbolic link points to.
func (d *Dir) Readlink(name string) (string, error) {
	target, err := d.root.Readlink(name)
	if err != nil {
		return "", readError(d.At(name), "reading", err)
	}
	return target, nil
}

// Publish gives what was made as tmp its own name, durably and in one step. On
// failure tmp is removed; if that fails too, [Dir.Tidy] does it.
func (d *Dir) Publish(tmp, name string) error {
	if err := d.rename(tmp, name); err != nil {
		_ = d.root.RemoveAll(tmp)
		return err
	}
	return d.syncDir()
}

func (d *Dir) rename(from, to string) error {
	err := retry(func() error { return d.root.Rename(from, to) })
	if err != nil {
		return d.Failed(to, err)
	}
	return nil
}

// Sync makes the directory's entries durable. Callers that come while it runs
// share the next one.
func (d *Dir) Sync() error {
	return d.syncs.share(func() error {
		h, err := d.openFile(".")
		if err == nil {
			err = h.Sync()
			h.Close()
		}
		return syncError(d.path, err)
	})
}

// syncDir is Sync after the step that made a change visible.
func (d *Dir) syncDir() error { return done(d.Sync()) }

// Discard takes name away in one step, then removes it at leisure: a kill
// leaves nothing half removed under its own name.
func (d *Dir) Discard(name string) error {
	trash := TempName("gone")
	err := d.rename(name, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.syncDir(); err != nil {
		return err
	}
	return d.RemoveAll(trash)
}

// RemoveAll removes an entry with all that is in it.
func (d *Dir) RemoveAll(name string) error {
	if err := d.root.RemoveAll(name); err != nil {
		return fmt.Errorf("removing %s: %w", d.At(name), cause(err))
	}
	return nil
}

// Failed is the error for an entry that could not be written.
func (d *Dir) Failed(name string, err error) error {
	return &WriteError{Path: d.At(name), Err: cause(err)}
}
