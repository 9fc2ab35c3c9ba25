package main

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/cmd/keypaird/cli"
	"keypaird/renew/testutil"
)

// A power failure may take every directory entry and all content that was not
// synced, and may leave removals and renames that were not. Whenever it comes: an
// order that is finalized is there with its key, or its pair is; live names a whole
// pair; and a record is there as a whole, if any.
func TestPowerLoss(t *testing.T) {
	strace := testutil.Strace(t)
	var finalized atomic.Int64
	g := newBench(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, acmetest.PathFinalize) {
				finalized.CompareAndSwap(0, time.Now().UnixMicro())
			}
			next.ServeHTTP(w, r)
		})
	})
	const name = "power.test"
	config := g.configure(t, "state", []string{name})
	dir := filepath.Join(g.dir, "state/certs", name)
	for n := 1; n <= 2; n++ {
		finalized.Store(0)
		d := newTracedDisk(t, g.dir)
		trace := filepath.Join(t.TempDir(), "trace")
		g.run(t, cli.Changed, strace, "-f", "-y", "-ttt", "-o", trace,
			"-e", "trace=openat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,symlink,symlinkat,write,pwrite64,ftruncate,fsync",
			g.program, "-config", config, "issue", "-force", name)
		version := fmt.Sprintf("%s/v%06d", dir, n)
		checked := 0
		d.replay(trace, func(at int64, line string) {
			if at < finalized.Load() {
				return
			}
			checked++
			if !d.safe(dir+"/pending/pebble/order.json") && !d.whole(version) {
				t.Fatalf("round %d: neither order nor pair after %s", n, line)
			}
			for _, live := range d.either(dir + "/live") {
				if !d.whole(filepath.Join(dir, live.target)) {
					t.Fatalf("round %d: live is %s, not whole, after %s", n, live.target, line)
				}
			}
			for _, record := range d.either(dir + "/record.json") {
				if !record.synced {
					t.Fatalf("round %d: the record is not whole after %s", n, line)
				}
			}
		})
		if checked < 20 {
			t.Fatalf("round %d: only %d system calls seen after finalize", n, checked)
		}
		for _, path := range []string{version, dir + "/live", g.dir + "/tls/" + name + ".key", g.dir + "/tls/" + name + ".crt"} {
			if !d.safe(path) {
				t.Errorf("round %d: %s may be lost at the end", n, path)
			}
		}
	}
}

// A tracedDisk is what a trace of system calls makes of a file system: as processes see it,
// and what of it survives.
type tracedDisk struct {
	t       *testing.T
	root    string
	now     map[string]*inode // by path
	durable map[*inode]map[string]*inode
}

type inode struct {
	synced bool   // its content
	target string // of a symbolic link
}

// newTracedDisk returns the disk as it is; all that is there survives.
func newTracedDisk(t *testing.T, root string) *tracedDisk {
	d := &tracedDisk{t, root, map[string]*inode{}, map[*inode]map[string]*inode{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		target, _ := os.Readlink(path)
		d.now[path] = &inode{true, target}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range maps.Clone(d.now) {
		d.durable[dir] = nil
	}
	for path, dir := range d.now {
		d.durable[dir] = d.entries(path)
	}
	return d
}

// entries are those of the directory at path, as processes see them.
func (d *tracedDisk) entries(path string) map[string]*inode {
	list := map[string]*inode{}
	for p, i := range d.now {
		if filepath.Dir(p) == path {
			list[filepath.Base(p)] = i
		}
	}
	return list
}

// safe reports whether what is at path is there after a power failure, as it is.
func (d *tracedDisk) safe(path string) bool {
	if path == d.root {
		return true
	}
	i, dir := d.now[path], d.now[filepath.Dir(path)]
	return i != nil && dir != nil && i.synced && d.durable[dir][filepath.Base(path)] == i && d.safe(filepath.Dir(path))
}

// whole reports whether a version survives.
func (d *tracedDisk) whole(version string) bool {
	for _, file := range []string{"fullchain.pem", "privkey.pem", "cert.pem", "chain.pem", "combined.pem"} {
		if !d.safe(version + "/" + file) {
			return false
		}
	}
	return true
}

// either lists what may be at path after a power failure.
func (d *tracedDisk) either(path string) (list []*inode) {
	now, before := d.now[path], d.durable[d.now[filepath.Dir(path)]][filepath.Base(path)]
	if now != nil {
		list = append(list, now)
	}
	if before != nil && before != now {
		list = append(list, before)
	}
	return list
}

var (
	tracedCall = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (.*)$`)
	resumed    = regexp.MustCompile(`^<\.\.\. \w+ resumed>(.*)$`)
	callResult = regexp.MustCompile(`^(\w+)\((.*)\) += (\d+)`)
	argPath    = regexp.MustCompile(`(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"`)
	fdPath     = regexp.MustCompile(`^\d+<([^>]*)>`)
)

// replay does what the trace says, and calls look after each call that changed
// something with the time when it ended.
func (d *tracedDisk) replay(trace string, look func(at int64, line string)) {
	data, err := os.ReadFile(trace)
	if err != nil {
		d.t.Fatal(err)
	}
	begun := map[string]string{}                // calls that have not ended, by thread
	snapshots := map[string]map[string]*inode{} // what a sync that has not ended makes durable at least
	for line := range strings.Lines(string(data)) {
		m := tracedCall.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		thread, call := m[1], m[4]
		if head, ok := strings.CutSuffix(call, " <unfinished ...>"); ok {
			begun[thread] = head
			if fd := fdPath.FindStringSubmatch(strings.TrimPrefix(head, "fsync(")); fd != nil {
				snapshots[thread] = d.entries(fd[1])
			}
			continue
		}
		if r := resumed.FindStringSubmatch(call); r != nil {
			call = begun[thread] + r[1]
		}
		snapshot := snapshots[thread]
		delete(snapshots, thread)
		if c := callResult.FindStringSubmatch(call); c != nil && d.apply(c[1], c[2], snapshot) {
			seconds, _ := strconv.ParseInt(m[2], 10, 64)
			micros, _ := strconv.ParseInt(m[3], 10, 64)
			look(seconds*1e6+micros, call)
		}
	}
}

// apply does one call, and reports whether it changed something.
func (d *tracedDisk) apply(call, args string, snapshot map[string]*inode) bool {
	var paths []string
	for _, m := range argPath.FindAllStringSubmatch(args, -1) {
		path := m[2]
		if !filepath.IsAbs(path) {
			path = filepath.Join(m[1], path)
		}
		paths = append(paths, path)
	}
	if fd := fdPath.FindStringSubmatch(args); fd != nil && (strings.Contains(call, "write") || call == "ftruncate" || call == "fsync") {
		paths = []string{fd[1]}
	}
	if len(paths) == 0 || !strings.HasPrefix(paths[len(paths)-1], d.root+"/") && paths[0] != d.root {
		return false
	}
	path := paths[len(paths)-1]
	switch {
	case call == "openat":
		if !strings.Contains(args, "O_CREAT") || d.now[path] != nil {
			return false
		}
		d.now[path] = &inode{}
	case strings.HasPrefix(call, "mkdir"):
		d.now[path] = &inode{synced: true}
	case strings.HasPrefix(call, "symlink"):
		d.now[path] = &inode{true, argPath.FindStringSubmatch(args)[2]}
	case strings.HasPrefix(call, "unlink"), call == "rmdir":
		delete(d.now, path)
	case strings.HasPrefix(call, "rename"):
		for p, i := range maps.Clone(d.now) {
			if rest, ok := strings.CutPrefix(p, paths[0]); ok && (rest == "" || rest[0] == '/') {
				delete(d.now, p)
				d.now[path+rest] = i
			}
		}
	case d.now[path] == nil: // of a file that is gone
		return false
	case call == "fsync":
		if snapshot == nil {
			snapshot = d.entries(path)
		}
		d.now[path].synced, d.durable[d.now[path]] = true, snapshot
	default: // content
		d.now[path].synced = false
	}
	return true
}
