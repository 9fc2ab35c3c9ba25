package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"keypaird/renew/testutil"
)

// times returns when lines of the log of a node with a text were written, after the first
// from bytes of it.
func (n *fleetNode) times(text string, from int) (list []time.Time) {
	for line := range strings.Lines(n.log.String()[from:]) {
		if !strings.Contains(line, text) {
			continue
		}
		var at string
		if _, err := fmt.Sscanf(line, "time=%s", &at); err == nil {
			if at, err := time.Parse(time.RFC3339, at); err == nil {
				list = append(list, at)
			}
		}
	}
	return list
}

// await waits for lines with a text in the log of a node, after the first from bytes of
// it, and returns when the first was written.
func (n *fleetNode) await(within time.Duration, text string, from int) time.Time {
	n.fleet.Helper()
	var found []time.Time
	if err := testutil.Within(within, func() error {
		if found = n.times(text, from); len(found) == 0 {
			return fmt.Errorf("%s does not log %q", n.name, text)
		}
		return nil
	}); err != nil {
		n.fleet.Fatal(err)
	}
	return found[0]
}

// kill stops all processes of the daemon before it kills them, so that none gives back what
// it has in the engine.
func (n *fleetNode) kill() {
	var all []int
	for todo := []int{n.cmd.Process.Pid}; len(todo) > 0; {
		pid := todo[0]
		all, todo = append(all, pid), todo[1:]
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, thread := range threads {
			children, _ := os.ReadFile(thread)
			for _, field := range strings.Fields(string(children)) {
				if child, err := strconv.Atoi(field); err == nil {
					todo = append(todo, child)
				}
			}
		}
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = n.cmd.Wait()
	n.cmd = nil
}

// A node that reloads, or is killed and starts again, is back at once: no node waits for the
// end of the leases that it had.
func TestFleetReturns(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2")
	for _, n := range f.nodes {
		n.start()
	}
	f.agree(60*time.Second, nil, f.nodes...)
	first := f.node("mx1")
	for range 3 {
		from := len(first.log.String())
		try(t, first.cmd.Process.Signal(syscall.SIGHUP))
		first.await(60*time.Second, "configuration reloaded", from)
		first.await(60*time.Second, "ordering for the fleet", from)
		if left := first.times("seat left", from); len(left) > 0 {
			t.Errorf("the seat was left at %v", left)
		}
	}

	t.Log("killed, and started again: alive at once")
	first.kill()
	from := len(first.log.String())
	began := time.Now()
	first.start()
	took := first.await(30*time.Second, "signed in", from).Sub(began)
	t.Logf("signed in after %v", took)
	if took > 2*time.Second {
		t.Errorf("signed in after %v", took)
	}

	t.Log("a copy of its state stays out")
	first.kill()
	try(t, os.Rename(first.file("state"), first.file("original")))
	out, err := exec.Command("cp", "-a", first.file("original"), first.file("state")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	from = len(first.log.String())
	first.start()
	time.Sleep(5 * time.Second)
	if in := first.times("signed in", from); len(in) > 0 {
		t.Errorf("a copy signed in at %v", in)
	}
}

// refused runs a command that has to fail, and returns what it says.
func (n *fleetNode) refused(args ...string) string {
	n.fleet.Helper()
	out, err := n.command(args...).CombinedOutput()
	if err == nil {
		n.fleet.Errorf("%s: keypaird %v succeeds:\n%s", n.name, args, out)
	}
	return string(out)
}

// Without the engine, an operator has a node that may order do so. The certificate is
// published when the engine can be used again, by whichever node sits then.
func TestFleetAlone(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	second, web := f.node("mx2"), f.node("web")
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)
	try(t, testutil.Within(30*time.Second, func() error {
		if out := second.must("status", "-fleet"); strings.Count(out, "  all    3/3") != 2 {
			return fmt.Errorf("not verified by all:\n%s", out)
		}
		return nil
	}))
	doc, err := outlineJSON(f.dir, []string{second.must("status", "-fleet", "-json"), web.must("fleet", "status", "-json")})
	try(t, err)
	golden := "testdata/golden/fleet.json.txt"
	want, err := os.ReadFile(golden)
	try(t, err)
	if d := diff.Diff(golden, want, "keypaird status -fleet -json", []byte(doc)); d != nil {
		t.Errorf("%s", d)
	}
	if out := second.refused("issue", "-alone", "-force", "plain"); !strings.Contains(out, "can be used, and node mx1 orders") || !strings.Contains(out, "leave -alone out") {
		t.Error(out)
	}
	for _, m := range f.engine.Members {
		m.Kill()
	}
	if out := web.refused("issue", "-alone", "plain"); !strings.Contains(out, `this node, "web", may not order`) || !strings.Contains(out, "mx1, mx2") {
		t.Error(out)
	}
	if out := second.refused("issue", "-alone"); !strings.Contains(out, "takes the names of targets") {
		t.Error(out)
	}
	if out := second.must("issue", "-alone", "-force", "plain"); !strings.Contains(out, "plain: issued by") {
		t.Error(out)
	}
	f.issued(1)
	alone := second.deployed("plain")
	if alone == pairs["plain"] {
		t.Error("what was ordered alone is not deployed")
	}
	for _, m := range f.engine.Members {
		m.Start()
	}
	f.deployedBy("plain", 120*time.Second, func(is string) bool { return is == alone })
	f.issued(0)
}
