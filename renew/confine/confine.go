package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"keypaird/renew/launch"
)

// Rights are the rights that a process with keys keeps. It may read what its user may, and runs
// no programs.
type Rights struct {
	Write   []string // directories, with all that is below them
	Connect []string // directories of unix sockets; with none it makes no such socket

	held map[inode]bool // Write and Connect, when the process was confined
}

// An inode is a file, by whatever path.
type inode struct{ device, number uint64 }

// inodeOf returns the file that path leads to.
func inodeOf(path string) (inode, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return inode{uint64(st.Dev), uint64(st.Ino)}, ok
}

// existing returns dir, or what exists above it, without symbolic links.
func existing(dir string) string {
	for {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil || dir == "/" {
			return real
		}
		dir = filepath.Dir(dir)
	}
}

// Holds returns the directory of Write that the file at path is in, by its name or through
// symbolic links; "" if it is in none.
func (r *Rights) Holds(path string) string {
	i := slices.IndexFunc(r.Write, func(dir string) bool {
		return below(filepath.Clean(path), filepath.Clean(dir)) || below(real(path), real(dir))
	})
	if i < 0 {
		return ""
	}
	return r.Write[i]
}

func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
	return ok && rest != ""
}

// real returns path without symbolic links, if it exists.
func real(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return filepath.Clean(path)
}

// Confine takes all other rights from this process, on all its threads and irreversibly.
// Instead of a directory that does not exist, it keeps the one above. The error says what
// could not be enforced; the rest is.
func (r *Rights) Confine() error {
	launch.Means() // it cannot ask later
	launch.Missing()
	r.held = map[inode]bool{}
	for _, list := range [][]string{r.Write, r.Connect} {
		for i, dir := range list {
			list[i] = existing(dir)
			if id, ok := inodeOf(list[i]); ok {
				r.held[id] = true
			}
		}
		slices.Sort(list)
	}
	r.Write, r.Connect = slices.Compact(r.Write), slices.Compact(r.Connect)
	if err := r.confine(); err != nil {
		refused = append(refused, strings.ReplaceAll(err.Error(), "\n", "; "))
		return fmt.Errorf("confining keypaird: %w", err)
	}
	return nil
}

// refused is what Confine could not do.
var refused []string

// Missing lists the restrictions that are not enforced: those that this system lacks, and
// those that Confine could not apply.
func Missing() []string { return slices.Concat(launch.Missing(), refused) }

// Covers reports whether this process, confined to r, has the rights that other describes.
// It has not those in a directory that has taken the place of one it knew.
func (r *Rights) Covers(other Rights) bool {
	if len(other.Connect) > 0 && len(r.Connect) == 0 {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(other.Write, other.Connect), func(dir string) bool {
		for dir = existing(dir); ; dir = filepath.Dir(dir) {
			if id, ok := inodeOf(dir); ok && r.held[id] {
				return false
			}
			if dir == "/" || dir == "." {
				return true
			}
		}
	})
}
