package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Holder is the process that the file of a lock names. The zero value is nobody.
type Holder struct {
	Process int
	Since   time.Time
	Lives   bool // else it ended without giving the lock back
}

// ReadHolder reads who holds the lock at path. It takes no lock, not for a
// moment: whoever wants it then is not refused. The error is fs.ErrNotExist where
// nobody ever held it.
func ReadHolder(path string) (Holder, error) {
	data, info, err := ReadFile(path, 1<<10, NoLink)
	if err != nil {
		return Holder{}, err
	}
	h, ok := parseHolder(holderLine(data))
	if ok {
		h.Lives = lives(h.Process, info)
	}
	return h, nil
}

// parseHolder reads "process 123 since 2026-11-23T20:17:00Z".
func parseHolder(line string) (Holder, bool) {
	words := strings.Fields(line)
	if len(words) != 4 || words[0] != "process" || words[2] != "since" {
		return Holder{}, false
	}
	pid, err := strconv.ParseInt(words[1], 10, 32)
	since, terr := time.Parse(time.RFC3339, words[3])
	if err != nil || terr != nil || pid <= 0 {
		return Holder{}, false
	}
	return Holder{Process: int(pid), Since: since.UTC()}, true
}

// lives reports whether a process is there that may hold a file open. After a
// restart of the machine another one may have its number: where that can be
// seen, it is looked at. A confined process may list the files that another has open, but
// not inspect them.
func lives(pid int, file os.FileInfo) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true // there is no such place, or it is not for us
	}
	for _, e := range entries {
		open, err := os.Stat(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrPermission) || err == nil && os.SameFile(open, file) {
			return true
		}
	}
	return false
}
