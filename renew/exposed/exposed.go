package exposed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"keypaird/renew/durable"
)

// A Kind is the way in which a file is exposed.
type Kind int

// Kinds.
const (
	Not   Kind = iota
	Loose      // only a directory above it keeps others out
	Read       // others can read it
	Owned      // it is another user's

)

// A Finding is an exposed file.
type Finding struct {
	Path string
	Kind Kind
	Why  string // continues a sentence that begins with the path
}

// Check returns the finding about the file at path, which may have the permissions of
// mode and belong to one of owners. What cannot be read is not exposed.
func Check(path string, mode fs.FileMode, owners ...int) Finding {
	f := Finding{Path: path}
	info, err := os.Stat(path)
	if err != nil {
		return f
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return f
	}
	if uid, ours := durable.Owner(info); !ours && !slices.Contains(owners, uid) {
		f.Kind, f.Why = Owned, fmt.Sprintf("belongs to user %d", uid)
		return f
	}
	perm, gid := info.Mode().Perm(), int(st.Gid)
	extra := perm &^ mode & 0o044
	if gid == 0 || gid == os.Getegid() {
		extra &^= 0o040
	}
	switch {
	case extra == 0:
	case extra&0o004 != 0 && reachable(path, -1):
		f.Kind, f.Why = Read, fmt.Sprintf("can be read by every user (mode %04o)", perm)
	case extra&0o040 != 0 && reachable(path, gid):
		f.Kind, f.Why = Read, fmt.Sprintf("can be read by group %d (mode %04o)", gid, perm)
	default:
		f.Kind, f.Why = Loose, fmt.Sprintf("has mode %04o, and only a directory above keeps others out", perm)
	}
	return f
}

// reachable reports whether a group, or for -1 every user, can pass through the
// directories above path.
func reachable(path string, gid int) bool {
	at, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for at != "/" {
		at = filepath.Dir(at)
		info, err := os.Stat(at)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		passes := info.Mode()&0o001 != 0 || ok && int(st.Gid) == gid && info.Mode()&0o010 != 0
		if !passes {
			return false
		}
	}
	return true
}
