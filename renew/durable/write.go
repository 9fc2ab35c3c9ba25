package durable

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dirMode is the mode of the directories that are made.
const dirMode fs.FileMode = 0o700

// Private is for files of our own.
var Private = FileMode{Perm: 0o600, UID: -1, GID: -1}

// A FileMode is the mode and owner of a file to write.
type FileMode struct {
	Perm     fs.FileMode // required; permission bits only
	UID, GID int         // -1: leave
}

// WriteFile replaces the file at path, durably and in one step: whoever reads
// it sees the old content or the new. Mode and owner are those of m from before
// the first byte. A symbolic link at path is replaced, not followed. The
// directory must pass [CheckDir]. What earlier calls for the same path left
// behind when they were killed is removed; so one writer for a path at a time.
func WriteFile(path string, data []byte, m FileMode) error {
	if m.Perm == 0 || m.Perm&^fs.ModePerm != 0 {
		return fmt.Errorf("writing %s: mode %v is not one for a file", path, m.Perm)
	}
	base := filepath.Base(path)
	if base == "." || base == ".." || base == "/" || strings.HasSuffix(path, "/") {
		return fmt.Errorf("writing %s: not the name of a file", path)
	}
	d, err := Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer d.Close()
	if err := d.Replace(base, data, m); err != nil {
		return err
	}
	d.removeLeftovers(base)
	return nil
}

// Replace writes a file durably in place of what is there, see the package's
// documentation.
func (d *Dir) Replace(name string, data []byte, m FileMode) error {
	if err := d.ReplaceHint(name, data, m); err != nil {
		return err
	}
	return d.syncDir()
}

// ReplaceHint is Replace for what may be lost: after a power failure the old
// content may be there again, as a whole. The next sync of the directory ends that.
func (d *Dir) ReplaceHint(name string, data []byte, m FileMode) error {
	tmp := tempPrefix(name) + random() + tempSuffix
	err := d.Create(m, File{tmp, data})
	if err == nil {
		err = d.rename(tmp, name)
	}
	if err != nil {
		_ = d.root.Remove(tmp)
	}
	if failed, ok := errors.AsType[*WriteError](err); ok {
		failed.Path = d.At(name) // the name that means something
	}
	return err
}

// Stage writes, whole and durable, what is to be renamed to path, as the new file
// tmp in the same directory, which must pass [CheckDir]. It calls protect, which
// sets owner and permissions, before the file has content. What a killed run left
// there is removed. [SyncDir] makes the names durable after the renames, for all
// files of a directory at once. The error is a [*WriteError] for path.
func Stage(path, tmp string, data []byte, protect func(*os.File) error) error {
	if err := CheckDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	file, err := os.OpenFile(tmp, newFile, 0o600)
	if errors.Is(err, fs.ErrExist) {
		os.Remove(tmp)
		file, err = os.OpenFile(tmp, newFile, 0o600)
	}
	if err == nil {
		err = finish(file, fill(file, data, protect))
	}
	if err != nil {
		os.Remove(tmp)
		return &WriteError{Path: path, Err: cause(err)} // the name that means something
	}
	return nil
}

// Overwrite writes a private file where it is, or makes it, in a directory that must
// pass [CheckDir]. It is for content that takes the place of nothing of value: if the
// process or the machine fails meanwhile, the file may hold neither the old nor the
// new. With dirs above 0, the file is durable, and so are its name and those of the
// directories above it, in that many directories.
func Overwrite(path string, data []byte, dirs int) error {
	if err := CheckDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, Private.Perm)
	if err == nil && dirs > 0 {
		err = fill(file, data, overwritable(len(data)))
		startWriteback(file)
		err = finish(file, cmp.Or(err, syncParents(path, dirs)))
	} else if err == nil {
		err = fill(file, data, overwritable(len(data)))
		err = cmp.Or(err, file.Close())
	}
	if failed, ok := errors.AsType[*WriteError](err); ok {
		return failed
	}
	if err != nil {
		return &WriteError{Path: path, Err: cause(err)}
	}
	return nil
}

// overwritable returns what protects a file that is there already, perhaps with more
// than size bytes, before something is written.
func overwritable(size int) func(*os.File) error {
	return func(file *os.File) error {
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = ErrNotRegular
		}
		if err == nil && info.Mode().Perm() != Private.Perm {
			err = file.Chmod(Private.Perm)
		}
		if err == nil && info.Size() > int64(size) {
			err = file.Truncate(0)
		}
		return err
	}
}

// syncParents syncs the directories above path, the highest of n first: it is the one
// that other calls change meanwhile, and with it a file system with a journal writes
// the others.
func syncParents(path string, n int) error {
	dir := filepath.Dir(path)
	if n > 1 {
		if err := syncParents(dir, n-1); err != nil {
			return err
		}
	}
	return SyncDir(dir)
}

// SyncDir makes the names in the directory at path durable.
func SyncDir(path string) error {
	h, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		err = h.Sync()
		h.Close()
	}
	return done(syncError(path, err))
}

// newFile opens a file that is not there yet. It never blocks; saying so spares system
// calls, as for openFile.
const newFile = os.O_WRONLY | os.O_CREATE | os.O_EXCL | syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// protect gives a new file its owner and mode.
func (m FileMode) protect(file *os.File) error {
	if m.UID != -1 || m.GID != -1 {
		if err := file.Chown(m.UID, m.GID); err != nil {
			return err
		}
	}
	return file.Chmod(m.Perm)
}

// fill protects a new file, and only then gives it its content.
func fill(file *os.File, data []byte, protect func(*os.File) error) error {
	err := protect(file)
	if err == nil {
		_, err = file.Write(data)
	}
	return err
}

// finish makes a file durable, unless err says that it could not be filled, and
// closes it. After a failed fsync the kernel may have dropped the data and forgotten
// the error, so it is never tried twice on one file.
func finish(file *os.File, err error) error {
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil && !errors.Is(e, syscall.EINTR) { // EINTR: closed all the same
		err = e
	}
	return err
}

// syncError is what the sync of a directory ended with. Some network file
// systems have no such thing.
func syncError(path string, err error) error {
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return &WriteError{Path: path, Err: cause(err)}
}

// done marks the error of a sync after the step that made a change visible. The
// change stays: taking it back could fail as well, and halfway.
func done(err error) error {
	if failed, ok := errors.AsType[*WriteError](err); ok {
		failed.Done = true
	}
	return err
}

// removeLeftovers removes what a killed Replace of name left. It is a
// courtesy: failing to is no failure of the write.
func (d *Dir) removeLeftovers(name string) {
	names, err := d.Names()
	if err != nil {
		return
	}
	for _, n := range names {
		if !isTemp(n) || !strings.HasPrefix(n, tempPrefix(name)) || len(n) != len(tempPrefix(name))+16+len(tempSuffix) {
			continue
		}
		if info, err := d.Lstat(n); err == nil && info.Mode().IsRegular() {
			_ = d.root.Remove(n)
		}
	}
}

// temporary begins the names that [TempName] makes up. The dot keeps servers
// that read a whole directory away from them.
const temporary = ".tmp-"

// TempName makes up a name for something unfinished, or no longer wanted, that
// [Dir.Tidy] removes if a crash leaves it behind.
func TempName(name string) string { return temporary + name + "-" + random() }

// Tidy removes what a crash left of unfinished writes. It must not run while
// something is being written there.
func (d *Dir) Tidy() error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	var failed error
	for _, name := range names {
		if !strings.HasPrefix(name, temporary) && !isTemp(name) {
			continue
		}
		if err := d.RemoveAll(name); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// tempSuffix ends the temporary name of a file, .NAME.RANDOM.tmp.
const tempSuffix = ".tmp"

// tempPrefix begins the temporary name of a file, cut so that it stays a name.
func tempPrefix(name string) string {
	if len(name) > 200 {
		name = name[:200]
	}
	return "." + name + "."
}

// isTemp reports whether name is one that Replace makes up.
func isTemp(name string) bool {
	rest, ok := strings.CutSuffix(name, tempSuffix)
	if !ok || !strings.HasPrefix(name, ".") || len(rest) < 18 || rest[len(rest)-17] != '.' {
		return false
	}
	return strings.Trim(rest[len(rest)-16:], "0123456789abcdef") == ""
}

// retry repeats a call that a signal interrupted; os.Root does so for some.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// cause strips what the os package says about the path, which the caller says
// better.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

func random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
