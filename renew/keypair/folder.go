package keypair

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What is wrong with an entry; none of them is fs.ErrNotExist.
var (
	errMissing    = errors.New("is missing")
	errNotDir     = errors.New("is not a directory")
	errNotRegular = errors.New("is not a regular file")
)

// A folder is an open directory that nobody but root and us can change. Its
// entries are reached by their own name only, and no symbolic link among them
// is followed: looking at an entry before opening it is enough, since nobody
// else can exchange it in between.
type folder struct {
	root *os.Root
	path string // for messages
}

// openFolder opens the directory at path if it passes CheckDir.
func openFolder(path string, sticky bool) (*folder, error) {
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
		return nil, &ReadError{path, cause(err), "opening"}
	}
	f := &folder{root, path}
	opened, err := f.lstat(".")
	if err == nil && !os.SameFile(checked, opened) {
		err = fmt.Errorf("%s changed while it was opened", path)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// sub opens the directory name in f.
func (f *folder) sub(name string) (*folder, error) {
	info, err := f.lstat(name)
	if err != nil {
		return nil, err
	}
	path := f.at(name)
	if !info.IsDir() {
		return nil, &BrokenError{path, errNotDir}
	}
	if err := changeable(path, info, false); err != nil {
		return nil, err
	}
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, &ReadError{path, cause(err), "opening"}
	}
	return &folder{root, path}, nil
}

// subMake opens the directory name in f, and makes it if it is not there.
func (f *folder) subMake(name string) (*folder, error) {
	created, err := f.mkdir(name)
	if err != nil {
		return nil, err
	}
	if created {
		if err := f.sync(); err != nil {
			return nil, err
		}
	}
	return f.sub(name)
}

// at is the path of an entry, for messages.
func (f *folder) at(name string) string { return strings.TrimSuffix(f.path, "/") + "/" + name }

func (f *folder) close() { f.root.Close() }

func (f *folder) lstat(name string) (info fs.FileInfo, err error) {
	err = retry(func() error {
		info, err = f.root.Lstat(name)
		return err
	})
	if err != nil {
		return nil, &ReadError{f.at(name), cause(err), "looking at"}
	}
	return info, nil
}

// open opens an entry for reading. A regular file or a directory never blocks;
// saying so spares the os package four system calls to find out.
func (f *folder) open(name string) (*os.File, error) {
	return f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// names lists the directory.
func (f *folder) names() ([]string, error) {
	d, err := f.open(".")
	if err != nil {
		return nil, &ReadError{f.path, cause(err), "listing"}
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, &ReadError{f.path, cause(err), "listing"}
	}
	return names, nil
}

// read returns the content of a regular file of at most limit bytes.
func (f *folder) read(name string, limit int) ([]byte, error) {
	info, err := f.lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &BrokenError{f.at(name), errNotRegular}
	}
	if info.Size() > int64(limit) {
		return nil, &BrokenError{f.at(name), fmt.Errorf("is larger than %d KiB", limit>>10)}
	}
	file, err := f.open(name)
	if err != nil {
		return nil, &ReadError{f.at(name), cause(err), "reading"}
	}
	defer file.Close()
	size := int(info.Size())
	buf := make([]byte, size+1)
	n, err := io.ReadAtLeast(file, buf, size)
	if err != nil {
		return nil, &ReadError{f.at(name), cause(err), "reading"}
	}
	if n > size {
		return nil, fmt.Errorf("reading %s: it grew meanwhile", f.at(name))
	}
	return buf[:n], nil
}

// mkdir makes the directory name, of mode 0700 whatever the umask, if it is
// not there yet.
func (f *folder) mkdir(name string) (created bool, err error) {
	err = f.root.Mkdir(name, dirMode)
	created = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, f.failed(name, err)
	}
	info, err := f.lstat(name)
	if err != nil {
		return created, err
	}
	// One that a crash left behind before its mode was put right is closed to
	// us; any other mode was somebody's choice.
	if perm := info.Mode().Perm(); info.IsDir() && perm != dirMode && (created || perm&dirMode != dirMode) {
		if err := f.root.Chmod(name, dirMode); err != nil {
			return created, f.failed(name, err)
		}
	}
	return created, nil
}

// create writes a new file. Owner and mode are set before there is content.
func (f *folder) create(name string, data []byte, m FileMode) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return f.failed(name, err)
	}
	if m.UID != -1 || m.GID != -1 {
		err = file.Chown(m.UID, m.GID)
	}
	if err == nil {
		err = file.Chmod(m.Perm)
	}
	if err == nil {
		_, err = file.Write(data)
	}
	// After a failed fsync the kernel may have dropped the data and forgotten
	// the error, so it is never tried twice on one file.
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil && !errors.Is(e, syscall.EINTR) { // EINTR: closed all the same
		err = e
	}
	if err != nil {
		_ = f.root.Remove(name)
		return f.failed(name, err)
	}
	return nil
}

func (f *folder) rename(from, to string) error {
	err := retry(func() error { return f.root.Rename(from, to) })
	if err != nil {
		return f.failed(to, err)
	}
	return nil
}

// sync makes the directory's entries durable.
func (f *folder) sync() error {
	d, err := f.open(".")
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	// Some network file systems have no such thing.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	if err != nil {
		return &WriteError{Path: f.path, Err: cause(err)}
	}
	return nil
}

// settle is sync after the step that made a change visible. The change stays
// if it fails: taking it back could fail as well, and halfway.
func (f *folder) settle() error {
	err := f.sync()
	var failed *WriteError
	if errors.As(err, &failed) {
		failed.Done = true
	}
	return err
}

// discard takes name away in one step, then removes it at leisure: a kill
// leaves nothing half removed under its own name.
func (f *folder) discard(name string) error {
	trash := temporary + "gone-" + random()
	err := f.rename(name, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.settle(); err != nil {
		return err
	}
	return f.removeAll(trash)
}

func (f *folder) removeAll(name string) error {
	if err := f.root.RemoveAll(name); err != nil {
		return fmt.Errorf("removing %s: %w", f.at(name), cause(err))
	}
	return nil
}

func (f *folder) failed(name string, err error) error {
	return &WriteError{Path: f.at(name), Err: cause(err)}
}
