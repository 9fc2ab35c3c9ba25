package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"keypaird/renew/problem"
)

// ErrTooLarge is in a [WriteError] for more than can be read back.
var ErrTooLarge = errors.New("too large to be read back")

// A BrokenError reports a file that does not hold what it should. It never wraps
// fs.ErrNotExist: what is kept is damaged, not empty.
type BrokenError struct {
	Path string
	Err  error
}

func (e *BrokenError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

func (e *BrokenError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *BrokenError) Remedy() string {
	return "move " + e.Path + " out of the way or restore it from a backup, then: keypaird issue"
}

// A WriteError reports something that could not be written. What was there
// before is still there, unless Done.
type WriteError struct {
	Path string
	Done bool  // the new content is in place, but may not survive a power failure; Path is the directory
	Err  error // what the system said
}

func (e *WriteError) Error() string {
	if e.Done {
		return fmt.Sprintf("making %s durable: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("writing %s: %v", e.Path, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *WriteError) Remedy() string {
	dir := filepath.Dir(e.Path)
	if e.Done {
		dir = e.Path
	}
	switch {
	case IsUnsupported(e.Err):
		return fitting(dir)
	case errors.Is(e.Err, ErrTooLarge):
		return "split the certificate into several, each with fewer names and deployments: what is kept of it has grown with them"
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT), errors.Is(e.Err, syscall.EFBIG):
		return "free some space for " + dir + " (df shows it; inodes too), then run this again"
	case errors.Is(e.Err, fs.ErrPermission) && os.Geteuid() == 0:
		return "see why root may not write " + dir + ": it may be immutable, on FAT, on a share with root_squash, or a systemd unit may take away capabilities"
	case errors.Is(e.Err, fs.ErrPermission):
		return "run this as root, or let the user who runs this write " + dir
	case errors.Is(e.Err, syscall.EROFS):
		return "mount the file system of " + dir + " for writing (in a systemd unit: ReadWritePaths=" + dir + "), or choose another directory"
	case errors.Is(e.Err, fs.ErrExist), errors.Is(e.Err, syscall.EISDIR), errors.Is(e.Err, syscall.ENOTDIR):
		return "move " + e.Path + " out of the way, then run this again"
	}
	return RemedyOf(e.Err, dir)
}

// readError is the error for what could not be read, listed, opened or looked at.
// It wraps fs.ErrNotExist, and has no remedy, if it is not there.
func readError(path, doing string, err error) error {
	err = cause(err)
	remedy := RemedyOf(err, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		remedy = ""
	case errors.Is(err, fs.ErrPermission):
		remedy = "run this as root, or let the user who runs this read " + path
	}
	return problem.Newf(remedy, "%s %s: %w", doing, path, err)
}

// RemedyOf is what can be done where neither a file nor its rights are at fault.
func RemedyOf(err error, where string) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "let this have more files open (ulimit -n; LimitNOFILE in a systemd unit, openfiles in login.conf), then run this again"
	case errors.Is(err, syscall.ENFILE):
		return "see who has so many files open (lsof or fstat), or raise the system's limit (fs.file-max or kern.maxfiles), then run this again"
	}
	return "look at the kernel's messages about the disk of " + where + ", then run this again"
}

// Remedy returns what err says the operator can do about it, or "". Where the
// machine is at fault, nothing else helps, whatever was being done.
func Remedy(err error) string {
	if text := systemRemedy(err); text != "" {
		return text
	}
	return problem.Remedy(err)
}

// systemRemedy is what can be done where the machine is at fault, its disk or
// its limits.
func systemRemedy(err error) string {
	var written *WriteError
	if errors.As(err, &written) {
		return "" // it knows
	}
	for _, fault := range []error{syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, fault) {
			return (&WriteError{Err: fault}).Remedy()
		}
	}
	path := pathOf(err)
	if path == "" {
		return ""
	}
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, fault) {
			return (&WriteError{Path: path, Err: fault}).Remedy()
		}
	}
	if errors.Is(err, syscall.EIO) {
		return RemedyOf(syscall.EIO, path)
	}
	return ""
}

// pathOf is the file that err is about, or "".
func pathOf(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Path
	case errors.As(err, &link):
		return link.New
	}
	return ""
}
