package keypair

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"keypaird/renew/testutil"
)

// What strace(1) can make fail. A question mark: where the system has it.
var calls = []string{
	"openat", "?mkdir", "mkdirat", "write", "?pwrite64", "?sync_file_range", "fsync", "fchmod", "?fchmodat", "?fchmodat2", "fchown",
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
	if _, _, err := s.Activate(name, v.ID); err != nil {
		return err
	}
	os.Stdout.WriteString("live ")
	if err := s.WriteHint(name, "record.json", []byte("new")); err != nil {
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
	tmp        string       // where there is room for runs
	runs       atomic.Int32 // so far
	template   string       // a store with three versions, the last one live
	chain, key string
	want       string // fingerprint of the pair that is added
	before     string // fingerprint of the pair that is live
}

func TestEverySystemCall(t *testing.T) {
	c := newCrash(t, testutil.Strace(t))
	trace := c.run(t, "", 0)
	window := c.window(trace)
	if len(window) < 50 {
		t.Fatalf("only %d system calls seen: %s", len(window), trace)
	}
	counts, before := map[string]int{}, map[string]int{}
	for _, line := range window {
		counts[line.call]++
	}
	write, sync := []string{"create FILE", "fchmod FILE", "write FILE"}, []string{"fsync FILE", "close FILE"}
	file := slices.Concat(write, sync)
	c.steps(window, slices.Concat([]string{"mkdirat TMP"}, write, write, write, write, write, sync, sync, sync, sync, sync,
		[]string{"fsync TMP", "renameat TMP v000004", "fsync NAME", "symlinkat v000004 TMP", "renameat TMP live", "fsync NAME"},
		file, []string{"renameat TMP record.json", "renameat pending TMP", "fsync NAME"}))
	for call := range counts {
		_, before[call] = c.hit(trace, call, "")
	}
	t.Logf("%d system calls: %v", len(window), counts)
	for _, fault := range []string{"signal=KILL", "error=EIO", "error=ENOSPC", "error=EINTR"} {
		t.Run(fault, func(t *testing.T) {
			for call, n := range counts {
				writes := slices.Contains([]string{"openat", "mkdirat", "write", "fsync", "fchmod", "renameat", "renameat2", "symlinkat", "unlinkat", "close"}, call)
				if !writes && (fault != "error=EIO" || testing.Short()) { // killed there, it leaves what it leaves at the next write
					continue
				}
				t.Run(call, func(t *testing.T) {
					t.Parallel()
					c.every(t, call, before[call], n, moments(window, call), fault)
				})
			}
		})
	}
}

func newCrash(t *testing.T, strace string) *crash {
	ca := newCA(t)
	tmp := memory(t)
	c := &crash{t: t, strace: strace, tmp: tmp, template: tmp + "/state", chain: tmp + "/chain", key: tmp + "/key"}
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

// A crash may have come right after the directory of a name was made. The
// first version makes it durable then.
func TestFirstVersionAfterACrash(t *testing.T) {
	c := newCrash(t, testutil.Strace(t))
	tmp := t.TempDir()
	must(t, os.MkdirAll(tmp+"/state/certs/"+name, 0o700))
	trace, o := c.exec(t, tmp+"/trace", nil, tmp+"/state")
	if !o.ok {
		t.Error(o.err)
	}
	write, sync := []string{"create FILE", "fchmod FILE", "write FILE"}, []string{"fsync FILE", "close FILE"}
	c.steps(c.window(trace), slices.Concat([]string{"mkdirat TMP"}, write, write, write, write, write, sync, sync, sync, sync, sync,
		[]string{"fsync TMP", "renameat TMP v000001", "fsync NAME", "fsync CERTS"}))
}

// moments returns which of the calls in the window are to fail: all of them, or, where
// there are many and this is not "make check", the first and the last of each kind.
// Calls are of one kind if they name the same files and come after the same other call.
func moments(window []traced, call string) map[int]bool {
	todo, kinds, before := map[int]bool{}, map[string][2]int{}, ""
	for _, l := range window {
		if l.call == call {
			n := len(todo)
			todo[n] = true
			kind := before + " " + anyNumber.ReplaceAllString(strings.Join(anyName.FindAllString(l.line, -1), " "), "N")
			if _, met := kinds[kind]; !met {
				kinds[kind] = [2]int{n, n}
			}
			kinds[kind] = [2]int{kinds[kind][0], n}
		}
		before = l.call
	}
	if len(todo) <= 12 || testutil.Exhaustive() {
		return todo
	}
	clear(todo)
	for _, n := range kinds {
		todo[n[0]], todo[n[1]] = true, true
	}
	return todo
}

var (
	anyName   = regexp.MustCompile(`"[^"]*"`)
	anyNumber = regexp.MustCompile(`\.tmp-[0-9a-z-]+|[0-9]+|"[a-z]+\.pem"|"/.*"`) // what differs from file to file, too
)

// every applies fault to those of the n times that the helper makes a call which
// are in todo. How often its thread made the call before them differs from run to
// run, so it is looked up after the fact which one was hit.
func (c *crash) every(t *testing.T, call string, before, n int, todo map[int]bool, fault string) {
	for try := 0; len(todo) > 0; try++ {
		if try > 5*n+20 {
			t.Fatalf("%s number %v was never hit in %d tries", call, slices.Sorted(keys(todo)), try)
		}
		next := slices.Min(slices.Collect(keys(todo)))
		trace := c.run(t, fmt.Sprintf("%s:%s", call, fault), before+next+1)
		hit, now := c.hit(trace, call, fault)
		delete(todo, hit)
		if now < 0 { // it was met too early: see how it is without
			_, now = c.hit(c.run(t, "", 0), call, "")
		}
		if hit != next {
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

// run runs the helper once on a copy of the store, with the fault at the n-th
// call if there is one, then looks at what is there, and returns the trace.
func (c *crash) run(t *testing.T, fault string, n int) string {
	tmp := c.tmp + fmt.Sprint("/", c.runs.Add(1))
	must(t, os.Mkdir(tmp, 0o700))
	dir := tmp + "/state"
	must(t, copyTree(c.template, dir))
	var inject []string
	if fault != "" {
		inject = []string{"-e", fmt.Sprintf("inject=%s:when=%d", fault, n)}
	}
	trace, o := c.exec(t, tmp+"/trace", inject, dir)
	o.fault = fault
	if err := c.look(dir, o, trace); err != nil {
		t.Errorf("%s number %d: %v\nhelper said %q, %q", fault, n, err, o.said, o.err)
	}
	must(t, os.RemoveAll(tmp))
	return trace
}

// exec runs the helper on dir under strace.
func (c *crash) exec(t *testing.T, out string, inject []string, dir string) (string, outcome) {
	args := slices.Concat([]string{"-f", "-o", out, "-e", "trace=" + strings.Join(calls, ",")}, inject,
		[]string{os.Args[0], dir, c.chain, c.key})
	cmd := exec.Command(c.strace, args...)
	cmd.Env = helperEnviron("issue")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	trace, e := os.ReadFile(out)
	must(t, e)
	return string(trace), outcome{said: stdout.String(), err: stderr.String(), ok: err == nil}
}
