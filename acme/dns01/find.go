package dns01

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

const childName = "keypaird-dns"

var errNoChild = problem.New("cannot find "+childName,
	"install "+childName+" beside keypaird or in /usr/local/libexec/keypaird; PATH counts only when keypaird does not run as root")

// FindChild looks for keypaird-dns beside the running program, in the libexec
// directories of a package, and, unless we are root, in PATH. One that others
// can replace is refused.
func FindChild() (string, error) {
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
	return findChild(dirs, os.Geteuid() != 0)
}

func findChild(dirs []string, usePath bool) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, childName)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return checked(path)
		}
	}
	if usePath {
		if path, err := exec.LookPath(childName); err == nil {
			if path, err = filepath.Abs(path); err != nil {
				return "", err
			}
			return checked(path)
		}
	}
	return "", errNoChild
}

func checked(path string) (string, error) {
	if err := safeChild(path); err != nil {
		return "", err
	}
	return path, nil
}

// safeChild reports whether only root and we can change what is run: the
// program, what leads to it, and where it is.
func safeChild(path string) error {
	if err := durable.CheckDir(filepath.Dir(path)); err != nil {
		return unsafeChild(path, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unsafeChild(path, err)
	}
	if err := durable.CheckDir(filepath.Dir(real)); err != nil {
		return unsafeChild(path, err)
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return unsafeChild(path, err)
	}
	if owner := fi.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return unsafeChild(path, fmt.Errorf("%s belongs to user %d", real, owner))
	}
	if fi.Mode()&0o022 != 0 {
		return unsafeChild(path, fmt.Errorf("%s can be written by others: mode %#o", real, fi.Mode().Perm()))
	}
	return nil
}

// unsafeChild returns the error for a keypaird-dns that another user could
// replace; err is what is wrong with it or with its directory.
func unsafeChild(path string, err error) error {
	remedy := fmt.Sprintf("let %s and all directories above it belong to root, or to the user keypaird runs as, and be writable by no one else: chmod go-w", path)
	return problem.Newf(remedy, "%s is not run, others can change it: %w", path, err)
}
