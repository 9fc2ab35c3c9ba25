package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Path is the search path for programs with a bare name, and the PATH of every
// command.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxLinks bounds the symbolic links followed to a program.
const maxLinks = 20

// SearchPath returns the first executable file called name in [Path], or "".
func SearchPath(name string) string {
	for _, dir := range filepath.SplitList(Path) {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// Find returns the absolute path of a program given by its path or a name in [Path],
// and refuses one that users other than root and ours can replace. The error is an
// *Error.
func Find(name string) (string, error) {
	path, err := locate(name)
	if err == nil {
		err = safeProgram(path)
	}
	if err != nil {
		return "", &Error{Program: name, Err: err}
	}
	return path, nil
}

func locate(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if strings.ContainsRune(name, '/') || name == "" {
		return "", problem.New(name+" is neither an absolute path nor a bare name", "write its absolute path")
	}
	if path := SearchPath(name); path != "" {
		return path, nil
	}
	return "", problem.New(name+" is not in "+Path, "install it, or write its absolute path")
}

// safeProgram refuses a program that users other than root and ours can replace: the
// file, its directory, or those of the links to it.
func safeProgram(path string) error {
	for range maxLinks {
		err := durable.CheckDir(filepath.Dir(path))
		var fi fs.FileInfo
		if err == nil {
			fi, err = os.Lstat(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return problem.New(path+" does not exist", "install it, or correct its path in the configuration")
		case err != nil:
			return err
		case fi.Mode()&fs.ModeSymlink == 0:
			return safeFile(path, fi)
		}
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return problem.New(path+" is behind too many symbolic links", "write the path they lead to")
}

// safeFile checks the file itself.
func safeFile(path string, fi fs.FileInfo) error {
	perm := fi.Mode().Perm()
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.Mode().IsRegular():
		return problem.New(path+" is not a regular file", "name a program")
	case perm&0o111 == 0:
		return problem.New(path+" is not executable", "chmod 755 "+path)
	case ok && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return problem.Newf("chown root "+path, "%s belongs to user %d, who could replace it", path, st.Uid)
	case perm&0o022 != 0:
		return problem.Newf("chmod go-w "+path, "%s can be written by others (mode %04o)", path, perm)
	}
	return nil
}
