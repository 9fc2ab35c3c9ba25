package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// FileIDs identifies files. It caches the ids of directories for several calls.
type FileIDs map[string]string

// Of identifies the file that path names: by its directory, whatever links lead there, and
// its name. A link in place of the file stands for the file it leads to.
func (known FileIDs) Of(path string) string {
	path = ThroughLink(path)
	dir := filepath.Dir(path)
	id, ok := known[dir]
	if !ok {
		var st unix.Stat_t
		if id = dir; unix.Stat(dir, &st) == nil {
			id = fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		}
		known[dir] = id
	}
	return strings.TrimSuffix(id, "/") + "/" + filepath.Base(path)
}

// ThroughLink returns the file that a symbolic link in place of path leads to: it is
// written there, and its directory is checked as any other is. Other programs, such as
// certbot, expect the link to stay. A link that [checkLink] refuses is returned as it is.
func ThroughLink(path string) string {
	if isLink(path) {
		if to, err := durable.CheckFile(path); err == nil {
			return to
		}
	}
	return path
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// checkLink refuses a symbolic link that has no file at its end, or that another user made or
// could change.
func checkLink(path string) error {
	if !isLink(path) {
		return nil
	}
	to, _ := os.Readlink(path)
	_, err := durable.CheckFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return problem.Newf("remove the link, or write the file that it leads to, then: keypaird issue", "%s is a symbolic link to %s, which does not exist", path, to)
	}
	if err != nil {
		return fmt.Errorf("%s is a symbolic link to %s: %w", path, to, err)
	}
	return nil
}

// sandboxes are directories that a setting of a systemd unit hides from it.
var sandboxes = []struct{ dir, setting string }{
	{"/home/", "ProtectHome="}, {"/root/", "ProtectHome="}, {"/run/user/", "ProtectHome="},
	{"/tmp/", "PrivateTmp="}, {"/var/tmp/", "PrivateTmp="},
}

// dirError adds to the error for the directory of path what can be done about it.
func dirError(path string, err error) error {
	dir := filepath.Dir(path)
	hint := ""
	for _, s := range sandboxes {
		if strings.HasPrefix(dir+"/", s.dir) {
			hint = "; in a systemd unit, " + s.setting + " hides it: choose another directory, or change that setting"
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.Newf("create it, or correct the path"+hint, "directory %s does not exist", dir)
	case errors.Is(err, fs.ErrPermission) && hint != "":
		return problem.Wrap(err, "run this as root"+hint)
	}
	return err
}

// stageMounted checks that f could be written where it is.
func (f file) stageMounted() error {
	if err := durable.CheckDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := unix.Access(f.path, unix.W_OK); err != nil {
		return &durable.WriteError{Path: f.path, Err: err}
	}
	return nil
}

// overwrite writes f into the file that is there: a mount point cannot be replaced,
// and those who mounted it expect to find the new content in it. A reader may meet it
// half written, and so may the next start after a crash; then f is not there, and is
// written again. If it cannot be written, the old content is written back.
func (f file) overwrite() error {
	h, err := os.OpenFile(f.path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &durable.WriteError{Path: f.path, Err: durable.Cause(err)}
	}
	defer h.Close()
	was, known, _ := read(f.path)
	if err = f.fill(h, was); err != nil && known {
		_ = was.fill(h, file{})
	}
	if err = cmp.Or(err, h.Sync()); err != nil {
		return &durable.WriteError{Path: f.path, Err: durable.Cause(err)}
	}
	return nil
}

// fill gives h the content of f. Where owner or permissions change, nobody can open h
// until it has the content that goes with them.
func (f file) fill(h *os.File, was file) error {
	same := f.sameAccess(was)
	var err error
	if !same {
		err = h.Chmod(0)
	}
	if err == nil {
		_, err = h.WriteAt(f.data, 0)
	}
	if err == nil {
		err = h.Truncate(int64(len(f.data)))
	}
	if err == nil && !same {
		err = f.protect(h)
	}
	return err
}
