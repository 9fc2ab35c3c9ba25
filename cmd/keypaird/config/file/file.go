// Package file reads the configuration as text, if it can be trusted.
package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/renew/durable"
)

const (
	PathVariable = "KEYPAIRD_CONFIG"
	MaxSize      = 16 << 20 // some 100,000 targets
)

// An Error reports a configuration file that cannot be read or trusted.
type Error struct{ Path, Problem, Hint string }

func (e *Error) Error() string {
	return tomltext.Printable(e.Path, tomltext.MaxMessage) + ": " + e.Problem
}

// Remedy says what the operator can do about it.
func (e *Error) Remedy() string { return tomltext.Printable(e.Hint, tomltext.MaxMessage) }

// Read reads a configuration that others cannot change: it names commands
// that are run and files that are written.
func Read(path string) (string, fs.FileMode, error) {
	text, info, err := durable.ReadFile(path, MaxSize, durable.Any)
	if err != nil {
		return "", 0, readError(path, err)
	}
	mode := info.Mode().Perm()
	if uid, ours := durable.Owner(info); !ours {
		return "", 0, &Error{path, fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()), fmt.Sprintf("run this as user %d, or: chown %d %s", uid, os.Geteuid(), path)}
	}
	if mode&0o022 != 0 {
		return "", 0, &Error{path, fmt.Sprintf("can be written by others (mode %04o)", mode), "chmod go-w " + path}
	}
	if _, err = durable.CheckFile(path); err != nil && !isSticky(err) {
		return "", 0, readError(path, err)
	}
	return string(text), mode, nil
}

// isSticky reports whether err is about a directory like /tmp, in which others cannot
// replace files of root or of this user.
func isSticky(err error) bool {
	unsafe, ok := errors.AsType[*durable.UnsafeError](err)
	if !ok {
		return false
	}
	info, err := os.Lstat(unsafe.Path)
	if err != nil || !info.IsDir() || info.Mode()&fs.ModeSticky == 0 {
		return false
	}
	_, ours := durable.Owner(info)
	return ours
}

// readError explains why a configuration cannot be read or trusted.
func readError(path string, err error) error {
	const another = "name another file with -config or $" + PathVariable
	hint := "name the configuration with -config or $" + PathVariable
	unsafe, isUnsafe := errors.AsType[*durable.UnsafeError](err)
	_, isBroken := errors.AsType[*durable.BrokenError](err)
	switch {
	case isUnsafe:
		hint = unsafe.Remedy()
	case isBroken:
		hint = "see that it is the configuration of keypaird, or " + another
	case errors.Is(err, fs.ErrNotExist):
		hint = "keypaird init writes one; or " + another
	case errors.Is(err, fs.ErrPermission):
		hint = "run keypaird as root or as the user it belongs to, or let that user read the file and pass through its directories"
	}
	problem := strings.TrimPrefix(durable.Cause(err).Error(), path+" ")
	return &Error{path, tomltext.Printable(problem, tomltext.MaxMessage), hint}
}
