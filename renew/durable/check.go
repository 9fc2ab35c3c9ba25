package durable

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// An UnsafeError reports a directory in which somebody else could replace
// what is written, or the symbolic link on the way to it.
type UnsafeError struct {
	Path string // what is unsafe; an ancestor perhaps
	Why  string

	fix string
}

func (e *UnsafeError) Error() string { return e.Path + " " + e.Why }

// Remedy says what the operator can do about it.
func (e *UnsafeError) Remedy() string { return e.fix }

// CheckDir reports whether files can be kept in the directory path without
// anybody but root and this user being able to replace them: an [*UnsafeError]
// if the directory or one of its ancestors belongs to somebody else, or can be
// written by its group or by all users. An ancestor may be writable if it is
// sticky, like /tmp. Symbolic links on the way must belong to root or us.
func CheckDir(path string) error {
	_, err := checkDir(path, false)
	return err
}

// checkDir walks to path from the root of the file system and returns what it
// found there. With sticky, the last directory may be one like /tmp, too.
//
// Nothing it has passed can be exchanged behind its back: only root and we can
// write the directories, and what lies in a sticky one is root's or ours.
func checkDir(path string, sticky bool) (fs.FileInfo, error) {
	at, info, err := walk(path)
	if err != nil {
		return nil, err
	}
	if err := changeable(at, info, sticky); err != nil {
		return nil, err
	}
	return info, nil
}

// CheckFile returns the path without symbolic links of the file at path, which
// need not be a regular one, if only root and we decide which file that is: who
// else could write a directory on the way, even a sticky one that holds the file,
// could put a link to another's file there.
func CheckFile(path string) (string, error) {
	at, info, err := walk(path)
	if err != nil || info.IsDir() {
		return at, err
	}
	dir := filepath.Dir(at)
	if info, err = os.Lstat(dir); err != nil {
		return "", err
	}
	return at, changeable(dir, info, false)
}

// walk goes to path from the root of the file system through directories that
// only root and we can change, the last one excepted, or to a file. It returns
// the path without symbolic links, and what is there.
func walk(path string) (at string, info fs.FileInfo, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	at = "/"
	if info, err = os.Lstat(at); err != nil {
		return "", nil, err
	}
	todo := strings.Split(abs, "/")
	for links := 0; ; {
		for len(todo) > 0 && (todo[0] == "" || todo[0] == ".") {
			todo = todo[1:]
		}
		if len(todo) == 0 {
			return at, info, nil
		}
		if err := changeable(at, info, true); err != nil {
			return "", nil, err
		}
		next := filepath.Join(at, todo[0]) // at holds no links, so ".." is its parent
		todo = todo[1:]
		found, err := os.Lstat(next)
		if err != nil {
			return "", nil, err
		}
		if found.Mode().Type() != fs.ModeSymlink {
			at, info = next, found
			continue
		}
		if links++; links > 40 {
			return "", nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		target, err := followable(next, found)
		if err != nil {
			return "", nil, err
		}
		if filepath.IsAbs(target) {
			at = "/"
			if info, err = os.Lstat(at); err != nil {
				return "", nil, err
			}
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
}

// changeable says why the directory at path is one that others could change; nil
// if they cannot.
func changeable(path string, info fs.FileInfo, sticky bool) error {
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if uid, ours := Owner(info); !ours {
		return &UnsafeError{
			Path: path,
			Why:  fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()),
			fix:  ownerRemedy(uid, os.Geteuid(), path),
		}
	}
	mode := info.Mode()
	if mode&0o022 == 0 || sticky && mode&fs.ModeSticky != 0 {
		return nil
	}
	who := "everyone"
	if mode&0o002 == 0 {
		who = "its group"
	}
	return &UnsafeError{
		Path: path,
		Why:  fmt.Sprintf("can be written by %s (mode %04o)", who, mode.Perm()),
		fix:  "chmod go-w " + path,
	}
}

// ownerRemedy is the remedy for a directory of user uid that user me is to use. For
// root it is not chown: a daemon that runs as uid could not use the directory then.
func ownerRemedy(uid, me int, path string) string {
	if me == 0 {
		name := strconv.Itoa(int(uid))
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		return fmt.Sprintf("run this as user %s (runuser -u %s -- keypaird ..., or su -m %s -c) if that is keypaird's, or choose a directory of root's", name, name, name)
	}
	return fmt.Sprintf("run this as user %d, or choose another directory, or: chown %d %s", uid, me, path)
}

// followable returns the target of a symbolic link of root or of ours.
func followable(path string, info fs.FileInfo) (string, error) {
	if uid, ours := Owner(info); !ours {
		return "", &UnsafeError{
			Path: path,
			Why:  fmt.Sprintf("is a symbolic link of user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()),
			fix:  "remove " + path + ", or name what it stands for",
		}
	}
	return os.Readlink(path)
}

// Owner returns who owns a file, and whether that is root or this user.
func Owner(info fs.FileInfo) (uid int, ours bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	uid = int(st.Uid)
	return uid, uid == 0 || uid == os.Geteuid()
}
