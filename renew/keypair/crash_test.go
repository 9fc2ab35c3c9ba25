package keypair

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What strace(1) can make fail. A question mark: where the system has it.
var calls = []string{
	"openat", "?mkdir", "mkdirat", "write", "?pwrite64", "fsync", "fchmod", "?fchmodat", "?fchmodat2", "fchown",
	"?rename", "?renameat", "?renameat2", "?symlink", "symlinkat", "?unlink", "unlinkat", "?rmdir", "close",
	"?newfstatat", "?fstatat64", "?fstat", "?statx", "?lstat", "?stat", "readlinkat", "?readlink", "read", "getdents64",
}

const (
	beginMark = "/keypair-test-begin"
	endMark   = "/keypair-test-end"
)

// helpIssue does what a pass does to a store when a certificate was obtained,
// and says how far it came: DIR CHAIN KEY.
func helpIssue(args []string) error {
	runtime.LockOSThread() // strace counts the calls of each thread by themselves
	p, err := readPair(args[1], args[2])
	if err != nil {
		return err
	}
	os.Lstat(beginMark)
	defer os.Lstat(endMark)
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.Add(name, p)
	if err != nil {
		return err
	}
	os.Stdout.WriteString("added ")
	if err := s.SetLive(name, v); err != nil {
		return err
	}
	os.Stdout.WriteString("live ")
	if err := s.WriteFile(name, "record.json", []byte("new")); err != nil {
		return err
	}
	if err := s.RemoveAll(name, "pending"); err != nil {
		return err
	}
	return s.Prune(name)
}

// A crash is one run of helpIssue under strace.
type crash struct {
	t          *testing.T
	strace     string
	template   string // a store with three versions, the last one live
	chain, key string
	want       string // fingerprint of the pair that is added
	before     string // fingerprint of the pair that is live
}

func TestEverySystemCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(strace, "-f", "-o", os.DevNull, "-e", "inject=fsync:error=EIO:when=1000", "true").Run()
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace is needed: %v", err)
		}
		t.Skipf("strace is not to be had here (%v); TestFileSizeLimit and TestFullDisk stand in", err)
	}
	c := newCrash(t, strace)
	trace := c.run(t, "", 0)
	window := c.window(trace)
	if len(window) < 50 {
		t.Fatalf("only %d system calls seen: %s", len(window), trace)
	}
	counts, before := map[string]int{}, map[string]int{}
	for _, line := range window {
		counts[line.call]++
	}
	c.sequence(window)
	for call := range counts {
		_, before[call] = c.hit(trace, call, "")
	}
	t.Logf("%d system calls: %v", len(window), counts)
	for _, fault := range []string{"signal=KILL", "error=EIO", "error=ENOSPC", "error=EINTR"} {
		t.Run(fault, func(t *testing.T) {
			for call, n := range counts {
				writes := slices.Contains([]string{"openat", "mkdirat", "write", "fsync", "fchmod", "renameat", "renameat2", "symlinkat", "unlinkat", "close"}, call)
				if !writes && (strings.Contains(fault, "ENOSPC") || testing.Short()) {
					continue
				}
				t.Run(call, func(t *testing.T) {
					t.Parallel()
					c.every(t, call, before[call], n, fault)
				})
			}
		})
	}
}

func newCrash(t *testing.T, strace string) *crash {
	ca := newCA(t)
	tmp := t.TempDir()
	c := &crash{t: t, strace: strace, template: tmp + "/state", chain: tmp + "/chain", key: tmp + "/key"}
	s := open(t, c.template)
	for range 3 {
		v := add(t, s, name, ca.pair(t, name))
		setLive(t, s, name, v)
		c.before = v.Pair.Fingerprint()
	}
	must(t, s.WriteFile(name, "record.json", []byte("old")))
	must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
	p := ca.pair(t, name)
	c.want = p.Fingerprint()
	damage(t, c.chain, p.FullChain())
	damage(t, c.key, p.Key())
	return c
}

// sequence holds Add and SetLive to the order of steps that makes a version
// durable before its name, and its name before the link.
func (c *crash) sequence(window []traced) {
	file := []string{"create FILE", "fchmod FILE", "write FILE", "fsync FILE", "close FILE"}
	want := slices.Concat([]string{"mkdirat TMP"}, file, file, file, file, file,
		[]string{"fsync TMP", "renameat TMP v000004", "fsync NAME", "symlinkat v000004 TMP", "renameat TMP live", "fsync NAME"})
	var got []string
	kind := map[string]string{} // of each descriptor
	opened := regexp.MustCompile(`openat\((\w+), "([^"]+)", (\S+).* = (\d+)$`)
	first := regexp.MustCompile(`\((\d+)[,)]`)
	names := regexp.MustCompile(`"([^"]+)"`)
	for _, l := range window {
		if len(got) == len(want) {
			break
		}
		if m := opened.FindStringSubmatch(l.line); m != nil {
			switch dir, path, fd := m[1], m[2], m[4]; {
			case strings.Contains(m[3], "O_CREAT"):
				kind[fd] = "FILE"
				got = append(got, "create FILE")
			case path == ".":
				kind[fd] = kind[dir]
			case path == name:
				kind[fd] = "NAME"
			case strings.HasPrefix(path, temporary):
				kind[fd] = "TMP"
			default:
				kind[fd] = ""
			}
			continue
		}
		fd := first.FindStringSubmatch(l.line)
		switch l.call {
		case "fchmod", "write", "fsync", "close":
			if kind[fd[1]] == "FILE" || l.call == "fsync" {
				got = append(got, l.call+" "+kind[fd[1]])
			}
		case "mkdirat", "symlinkat", "renameat":
			step := l.call
			for _, m := range names.FindAllStringSubmatch(l.line, -1) {
				if strings.HasPrefix(m[1], temporary) {
					m[1] = "TMP"
				}
				step += " " + m[1]
			}
			if step != "mkdirat certs" && step != "mkdirat "+name {
				got = append(got, step)
			}
		}
		if l.call == "close" {
			delete(kind, fd[1])
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fsyncTwice reports whether a file whose fsync failed is given to it again.
func fsyncTwice(lines []traced) bool {
	failed := ""
	for _, l := range lines {
		_, args, _ := strings.Cut(l.line, l.call)
		fd, _, _ := strings.Cut(args, ")")
		switch {
		case l.call == "fsync" && fd == failed:
			return true
		case l.call == "fsync" && strings.Contains(l.line, "-1 EIO"):
			failed = fd
		case l.call == "close" && fd == failed:
			failed = ""
		}
	}
	return false
}

// every applies fault to each of the n times that the helper makes a call. How
// often its thread made the call before them is a matter of the runtime's mood,
// so it is looked up after the fact which one was hit.
func (c *crash) every(t *testing.T, call string, before, n int, fault string) {
	todo := map[int]bool{}
	for i := range n {
		todo[i] = true
	}
	for try := 0; len(todo) > 0; try++ {
		if try > 5*n+20 {
			t.Fatalf("%s number %v was never hit in %d tries", call, slices.Sorted(keys(todo)), try)
		}
		next := slices.Min(slices.Collect(keys(todo)))
		trace := c.run(t, fmt.Sprintf("%s:%s", call, fault), before+next+1)
		hit, now := c.hit(trace, call, fault)
		delete(todo, hit)
		if hit != next && now > 0 {
			before = now
		}
		if t.Failed() {
			t.Logf("%s number %d, %s: %s", call, hit, fault, trace)
			return
		}
	}
}

func keys(m map[int]bool) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A traced line is one system call of the helper's thread.
type traced struct{ thread, call, line string }

var traceLine = regexp.MustCompile(`(?m)^(\d+) +([a-z0-9_]+)\(.*$`)

// all returns the calls of the thread that works on the store, and which of
// them is the first one after the begin mark; -1 if it did not come so far.
func (c *crash) all(trace string) (lines []traced, first int) {
	thread := ""
	if at := regexp.MustCompile(`(?m)^(\d+) .*"` + beginMark).FindStringSubmatch(trace); at != nil {
		thread = at[1]
	}
	first = -1
	for _, m := range traceLine.FindAllStringSubmatch(trace, -1) {
		if m[1] != thread {
			continue
		}
		if strings.Contains(m[0], beginMark) {
			first = len(lines) + 1
		}
		lines = append(lines, traced{m[1], m[2], m[0]})
	}
	return lines, first
}

// window returns the calls between the marks.
func (c *crash) window(trace string) []traced {
	lines, first := c.all(trace)
	if first < 0 {
		return nil
	}
	lines = lines[first:]
	if end := slices.IndexFunc(lines, func(l traced) bool { return strings.Contains(l.line, endMark) }); end >= 0 {
		lines = lines[:end]
	}
	return lines
}

// hit returns which of the calls in the window the fault met, -1 if none, and
// how many such calls there were before the window.
func (c *crash) hit(trace, call, fault string) (hit, before int) {
	lines, first := c.all(trace)
	for i := range max(first, 0) {
		if lines[i].call == call {
			before++
		}
	}
	hit = -1
	n := 0
	window := c.window(trace)
	for i, line := range window {
		if line.call != call {
			continue
		}
		last := strings.HasPrefix(fault, "signal") && i == len(window)-1 && !strings.Contains(trace, "exited with")
		if strings.Contains(line.line, "(INJECTED)") || last {
			hit = n
		}
		n++
	}
	return hit, before
}

// run runs the helper once on a copy of the store, with the fault at the n-th
// call if there is one, then looks at what is there, and returns the trace.
func (c *crash) run(t *testing.T, fault string, n int) string {
	tmp, err := os.MkdirTemp(t.TempDir(), "")
	must(t, err)
	dir, out := tmp+"/state", tmp+"/trace"
	must(t, copyTree(c.template, dir))
	args := []string{"-f", "-o", out, "-e", "trace=" + strings.Join(calls, ",")}
	if fault != "" {
		args = append(args, "-e", fmt.Sprintf("inject=%s:when=%d", fault, n))
	}
	cmd := exec.Command(c.strace, append(args, os.Args[0], dir, c.chain, c.key)...)
	cmd.Env = helperEnviron("issue")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	trace, err := os.ReadFile(out)
	must(t, err)
	state := outcome{said: stdout.String(), err: stderr.String(), ok: runErr == nil, fault: fault}
	if err := c.look(dir, state, string(trace)); err != nil {
		t.Errorf("%s number %d: %v\nhelper: %v, said %q, %q", fault, n, err, runErr, state.said, state.err)
	}
	must(t, os.RemoveAll(tmp))
	return string(trace)
}

type outcome struct {
	said, err string
	ok        bool
	fault     string
}

// look holds the state that a run left to the promises of the package.
func (c *crash) look(dir string, o outcome, trace string) error {
	began := strings.Contains(trace, beginMark)
	if began && strings.Contains(o.fault, "EINTR") && !o.ok {
		return errors.New("an interrupted call was not repeated")
	}
	if strings.Contains(o.fault, "error=E") && strings.Contains(o.err, "goroutine") && began {
		return errors.New("panicked")
	}
	if fsyncTwice(c.window(trace)) {
		return errors.New("tried fsync again after it failed")
	}
	if err := modes(dir); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.lookLive(s, o); err != nil {
		return err
	}
	// A fault in Add or SetLive that is only an error leaves nothing behind,
	// unless it met the cleaning.
	failedEarly := strings.Contains(o.fault, "error=") && !strings.Contains(o.said, "live")
	if failedEarly && began && !strings.Contains(o.fault, "unlinkat") {
		for _, n := range list(s.Dir(name)) {
			if strings.HasPrefix(n, ".") {
				return fmt.Errorf("left %s behind", n)
			}
		}
	}
	return c.nextRun(s)
}

func (c *crash) lookLive(s *Store, o outcome) error {
	live, err := s.Live(name)
	if err != nil {
		return fmt.Errorf("live: %w", err)
	}
	fp := live.Pair.Fingerprint()
	if fp != c.want && fp != c.before {
		return fmt.Errorf("live is %s", live.ID)
	}
	if (o.ok || strings.Contains(o.said, "live")) && fp != c.want {
		return fmt.Errorf("live is %s after SetLive succeeded", live.ID)
	}
	if o.said == "" && fp != c.before {
		return fmt.Errorf("live is %s before Add ended", live.ID)
	}
	newest, err := s.Newest(name)
	if err != nil {
		return fmt.Errorf("newest: %w", err)
	}
	if newest.Skipped != nil {
		return fmt.Errorf("broken versions: %v", newest.Skipped)
	}
	if strings.Contains(o.said, "added") && newest.Pair.Fingerprint() != c.want {
		return fmt.Errorf("newest is %s after Add succeeded", newest.ID)
	}
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.close()
	ids, err := f.versions()
	for _, n := range ids {
		_, e := f.load(versionID(n))
		err = cmp.Or(err, e)
	}
	if err != nil {
		return fmt.Errorf("a version is not whole: %w", err)
	}
	record, err := s.ReadFile(name, "record.json")
	if err != nil || string(record) != "old" && string(record) != "new" {
		return fmt.Errorf("record is %q, %v", record, err)
	}
	key, err := s.ReadFile(name, "pending/key.pem")
	_, gone := os.Lstat(filepath.Join(s.Dir(name), "pending"))
	if string(key) != "key" && !errors.Is(gone, fs.ErrNotExist) {
		return fmt.Errorf("pending is neither whole nor gone: %q, %v", key, err)
	}
	return nil
}

// nextRun does what the run after a crash does.
func (c *crash) nextRun(s *Store) error {
	if err := s.Tidy(name); err != nil {
		return fmt.Errorf("tidying: %w", err)
	}
	newest, err := s.Newest(name)
	if err != nil {
		return err
	}
	if err := s.SetLive(name, newest); err != nil {
		return err
	}
	if err := s.Prune(name); err != nil {
		return err
	}
	names := list(s.Dir(name))
	if strings.HasPrefix(names[0], ".") {
		return fmt.Errorf("the next run left %q", names)
	}
	added, err := s.Add(name, newest.Pair)
	if err != nil {
		return err
	}
	if number(added.ID) != number(newest.ID)+1 {
		return fmt.Errorf("%s came after %s", added.ID, newest.ID)
	}
	live, err := s.Live(name)
	if err == nil && live.ID != newest.ID {
		err = fmt.Errorf("live is %s, want %s", live.ID, newest.ID)
	}
	return err
}

func list(dir string) []string {
	list, _ := os.ReadDir(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
