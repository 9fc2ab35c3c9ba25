package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

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

// A node that reloads, or is killed and starts again, is back at once: nobody waits for the
// leases that it had.
func TestFleetReturns(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	if !inside() {
		t.Skip("needs root and Linux: each node answers at port 80 of an address of its own")
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
	first.stop(syscall.SIGKILL)
	from := len(first.log.String())
	began := time.Now()
	first.start()
	took := first.await(30*time.Second, "signed in", from).Sub(began)
	t.Logf("signed in after %v", took)
	if took > 2*time.Second {
		t.Errorf("signed in after %v", took)
	}

	t.Log("a copy of its state stays out")
	first.stop(syscall.SIGKILL)
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
