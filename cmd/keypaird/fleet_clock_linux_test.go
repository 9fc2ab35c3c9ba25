package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

// shiftSource is added to package time of programs whose clock a test sets: the C library,
// in which others do that, is not in them. GODEBUG is the variable that children are given.
const shiftSource = `package time

import "syscall"

var shift = func() (seconds int64) {
	text, _ := syscall.Getenv("GODEBUG")
	const name = "testclock="
	if len(text) <= len(name) || text[:len(name)] != name {
		return 0
	}
	text = text[len(name):]
	negative := text[0] == '-'
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	if negative {
		return -seconds
	}
	return seconds
}()
`

// shiftedDir is where programs are whose clock can be set.
func shiftedDir() string { return filepath.Join(builtDir(), "shifted") }

// buildShifted builds them: of the same sources, but for one line of package time.
func buildShifted(t *testing.T) {
	t.Helper()
	dir := shiftedDir()
	try(t, os.MkdirAll(dir, 0o755))
	std := filepath.Join(strings.TrimSpace(printed(t, "go", "env", "GOROOT")), "src", "time")
	source := testutil.Text(t, filepath.Join(std, "time.go"))
	const line = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(source, line) {
		t.Fatalf("time.Now of %s is another", runtime.Version())
	}
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": strings.Replace(source, line, line+"\tsec += shift\n", 1), "shift.go": shiftSource} {
		path := filepath.Join(dir, name)
		testutil.WriteFile(t, path, []byte(text), 0o644)
		replace[filepath.Join(std, name)] = path
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	try(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	testutil.WriteFile(t, overlay, text, 0o644)
	for _, program := range []string{"keypaird", "keypaird-fleet"} {
		try(t, testutil.Build(filepath.Join(dir, program), program, "-overlay", overlay, "-ldflags", "-s -X keypaird/renew/launch.DNSUser="+launch.DNSUser))
	}
	for _, program := range []string{"keypaird-dns", "keypaird-names"} { // they need no clock
		path, err := built(program)
		try(t, err, os.Symlink(path, filepath.Join(dir, program)))
	}
}

func printed(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	try(t, err)
	return string(out)
}

// set starts a node again, with a clock that is ahead by so much.
func (n *fleetNode) set(ahead time.Duration) {
	n.fleet.Helper()
	n.stop(syscall.SIGTERM)
	n.ahead = ahead
	from := len(n.log.String())
	n.start()
	n.await(30*time.Second, "signed in", from)
}

// another makes other certificates necessary, of which all nodes learn.
func (f *testFleet) another() {
	f.round = (f.round + 1) % 3
	f.configure()
	for _, n := range f.nodes {
		try(f.T, n.cmd.Process.Signal(syscall.SIGHUP))
	}
}

// The clocks of the nodes are an hour apart, first that of the node in the seat. Each
// certificate is issued once, all nodes deploy it, and the node and the others say whose
// clock is wrong.
func TestFleetClocks(t *testing.T) {
	if !testutil.Exhaustive() {
		return // package time is compiled anew, and all that imports it
	}
	if !inside() {
		buildShifted(t)
	}
	if !onMachines(t) {
		return
	}
	f := beginFleet(t, etcdtest.Options{}, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	f.program = filepath.Join(shiftedDir(), "keypaird")
	first, second, web := f.nodes[0], f.nodes[1], f.nodes[2]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Logf("the clock of the node in the seat is wrong by %v", ahead)
		second.stop(syscall.SIGTERM)
		first.set(ahead)
		try(t, testutil.Within(patience, func() error {
			if f.holder() != first {
				return errors.New("mx2 sits")
			}
			return nil
		}))
		second.set(0)
		from := len(first.log.String())
		f.another()
		pairs = f.agree(120*time.Second, pairs, f.nodes...)
		f.issued(2)
		if left := first.times("its clock differs from those of others", from); len(left) == 0 {
			t.Error("mx1 does not say that its clock is wrong")
		}
		f.shows(web, `mx2   alive, orders  devel    \+0s`, "mx1   alive          devel    "+shown(ahead),
			"mx1 leaves ordering to others: its clock differs from those of others by more than a minute")
		first.set(0)
	}
	for _, ahead := range []time.Duration{time.Hour, -time.Hour, -2 * time.Hour} {
		t.Logf("the clock of a node that does not order is wrong by %v", ahead)
		web.set(ahead)
		from := len(web.log.String())
		f.another()
		pairs = f.agree(30*time.Second, pairs, first, second)
		f.issued(2)
		f.shows(first, "web   alive          devel    "+shown(ahead))
		if ahead < -time.Hour { // what was issued now is not valid there yet
			web.says(from, "is not valid before", "set the clock of this machine")
		} else {
			f.agree(30*time.Second, nil, f.nodes...)
		}
		web.set(0)
		f.agree(60*time.Second, nil, f.nodes...)
		f.shows(first, `web   alive          devel    \+0s`)
	}
}

// shown returns what matches how a clock is shown, to some seconds.
func shown(ahead time.Duration) string {
	near := int(ahead.Seconds())
	return strings.ReplaceAll(fmt.Sprintf("(%+ds|%+ds|%+ds)", near-1, near, near+1), "+", `\+`)
}

// shows waits until the status of the fleet, asked on a node, matches.
func (f *testFleet) shows(n *fleetNode, texts ...string) {
	f.Helper()
	if err := testutil.Within(30*time.Second, func() error {
		out := n.must("fleet", "status")
		for _, text := range texts {
			if !regexp.MustCompile(text).MatchString(out) {
				return fmt.Errorf("%s is not in\n%s", text, out)
			}
		}
		return nil
	}); err != nil {
		f.Error(err)
	}
}
