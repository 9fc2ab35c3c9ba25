// Package find finds the programs that keypaird starts: keypaird-dns, keypaird-fleet and
// keypaird-names.
package find

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Program looks for a program of keypaird's beside the running program, in the libexec
// directories of a package, and, unless this process is root, in PATH. It refuses
// one that another user can replace.
func Program(name string) (path string, err error) {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(self))
		if real, err := filepath.EvalSymlinks(self); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		for _, dir := range dirs[:len(dirs):len(dirs)] {
			dirs = append(dirs, filepath.Join(dir, "../libexec"), filepath.Join(dir, "../libexec/keypaird"))
		}
	}
	dirs = append(dirs, "/usr/local/libexec/keypaird", "/usr/libexec/keypaird", "/usr/lib/keypaird")
	return program(name, dirs, os.Geteuid() != 0)
}

func program(name string, dirs []string, usePath bool) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return checked(path)
		}
	}
	if usePath {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err != nil {
				return "", err
			}
			return checked(path)
		}
	}
	return "", problem.New("cannot find "+name,
		"install "+name+" beside keypaird or in /usr/local/libexec/keypaird; PATH counts only when keypaird does not run as root")
}

func checked(path string) (string, error) {
	if err := safe(path); err != nil {
		return "", err
	}
	return path, nil
}

// safe returns an error if users other than root and our own can replace the
// program, a link to it or a directory on its path.
func safe(path string) error {
	if err := durable.CheckDir(filepath.Dir(path)); err != nil {
		return unsafeError(path, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unsafeError(path, err)
	}
	if err := durable.CheckDir(filepath.Dir(real)); err != nil {
		return unsafeError(path, err)
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return unsafeError(path, err)
	}
	if owner := fi.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return unsafeError(path, fmt.Errorf("%s belongs to user %d", real, owner))
	}
	if fi.Mode()&0o022 != 0 {
		return unsafeError(path, fmt.Errorf("%s can be written by others: mode %#o", real, fi.Mode().Perm()))
	}
	return nil
}

// unsafeError returns the error for a program that another user could replace; err is
// what is wrong with it or with its directory.
func unsafeError(path string, err error) error {
	remedy := fmt.Sprintf("let %s and all directories above it belong to root, or to the user keypaird runs as, and be writable by no one else: chmod go-w", path)
	return problem.Newf(remedy, "%s is not run because other users can change it: %w", path, err)
}
