package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/testutil"
)

// A fleet is a world with an etcd and nodes, which are daemons with states of their own.
type testFleet struct {
	*testing.T
	*world
	ca      *authority
	engine  *etcdtest.Cluster
	program string
	nodes   []*fleetNode
	order   []string
	round   int                       // another one needs other certificates
	tables  func(n *fleetNode) string // of what is ordered and deployed; nil: two targets
}

// A fleetNode is one node.
type fleetNode struct {
	fleet *testFleet
	name  string
	addr  string   // where it answers challenges: the CA asks the last node
	line  string   // of [fleet.nodes]
	alone bool     // it has no [fleet]
	enter []string // runs a program in its network; empty: it has none of its own
	cmd   *exec.Cmd
	log   *lockedBuffer
	ahead time.Duration // what its clock is, in a program of buildShifted
}

// A lockedBuffer is written and read at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newFleet starts an engine and makes nodes, of which the first in order begins the fleet.
func newFleet(t *testing.T, members int, order []string, names ...string) *testFleet {
	t.Helper()
	return beginFleet(t, etcdtest.Options{Members: members}, order, names...)
}

// beginFleet is newFleet with another engine.
func beginFleet(t *testing.T, o etcdtest.Options, order []string, names ...string) *testFleet {
	t.Helper()
	f := makeFleet(t, o, order, names...)
	for _, n := range f.nodes {
		n.join()
	}
	f.configure()
	f.node(order[0]).must("fleet", "init")
	return f
}

// makeFleet starts an engine and makes nodes, which do not know of each other.
func makeFleet(t *testing.T, o etcdtest.Options, order []string, names ...string) *testFleet {
	t.Helper()
	f := &testFleet{T: t, world: startWorld(t, t.TempDir()), order: order}
	f.fill(etcdtest.Start(t, o), acmetest.Options{AuthzReuse: -1}, names)
	return f
}

// fill gives a fleet its programs, its CA and its nodes.
func (f *testFleet) fill(c *etcdtest.Cluster, o acmetest.Options, names []string) {
	f.Helper()
	f.engine = c
	for _, program := range childPrograms {
		_, err := built(program)
		try(f.T, err)
	}
	var err error
	f.program, err = built("keypaird")
	try(f.T, err)
	f.ca, err = f.startCA("CA", o)
	try(f.T, err)
	for i, name := range names {
		n := &fleetNode{fleet: f, name: name, addr: fmt.Sprintf("127.0.0.%d:80", (i+1)%len(names)+1), alone: true, log: new(lockedBuffer)}
		f.nodes = append(f.nodes, n)
		n.configure()
		s := c.Settings(name)
		for name, data := range map[string][]byte{"engine-ca.pem": s.CA, "engine.pem": s.Cert, "engine.key": s.Key} {
			try(f.T, os.WriteFile(n.file(name), data, 0o600))
		}
	}
	f.Cleanup(func() {
		for _, n := range f.nodes {
			n.stop(syscall.SIGKILL)
		}
		if f.Failed() {
			for _, n := range f.nodes {
				f.Logf("log of %s:\n%s", n.name, n.log)
			}
		}
	})
}

// join makes the node's key. From then on its configuration has [fleet].
func (n *fleetNode) join() {
	n.fleet.Helper()
	n.alone = false
	n.configure()
	_, n.line, _ = strings.Cut(strings.TrimSpace(n.must("fleet", "key")), "= ")
}

func (f *testFleet) node(name string) *fleetNode {
	for _, n := range f.nodes {
		if n.name == name {
			return n
		}
	}
	f.Fatalf("no node %s", name)
	return nil
}

// configure writes the configuration of all nodes.
func (f *testFleet) configure() {
	for _, n := range f.nodes {
		n.configure()
	}
}

func (n *fleetNode) file(elem ...string) string {
	return n.fleet.world.file(append([]string{n.name}, elem...)...)
}

// configure writes the configuration.
func (n *fleetNode) configure() {
	f := n.fleet
	try(f.T, os.MkdirAll(n.file("out"), 0o755))
	text := strings.ReplaceAll(f.head(), fmt.Sprintf("%q", f.world.file("state")), fmt.Sprintf("%q", n.file("state")))
	text = strings.Replace(text, fmt.Sprintf("listen = %q", f.vars["HTTP"]), fmt.Sprintf("listen = %q", n.addr), 1)
	text = strings.Replace(text, "self_test = true", "self_test = false", 1)
	tables := f.tables
	if tables == nil {
		tables = twoTargets
	}
	text += tables(n)
	if !n.alone {
		text += n.tableOfFleet()
	}
	try(f.T, os.WriteFile(n.file("keypaird.toml"), []byte(text), 0o600))
}

// twoTargets returns the tables of fleetTargets, which have other names in each round. The
// file reloads has a line for each reload.
func twoTargets(n *fleetNode) string {
	names := [][2]string{{`"example.org"`, ``}, {`"example.org", "*.example.org"`, `"*.example.org"`}, {`"*.example.org"`, `"example.org"`}}[n.fleet.round]
	return fmt.Sprintf(`
[cert.plain]
dns-01 = [%s]
dns = "ns"
deploy = ["files"]
[cert.host]
http-01 = ["matrix.example.org"]
dns-01 = [%s]
dns = "ns"
deploy = ["files"]
[deploy.files]
chain = "%s/{name}.crt"
key = "%s/{name}.key"
reload = ["/bin/sh", "-c", "echo >>%s"]
`, names[0], names[1], n.file("out"), n.file("out"), n.file("reloads"))
}

// tableOfFleet returns [fleet], with [fleet.nodes] once there are keys.
func (n *fleetNode) tableOfFleet() string {
	f := n.fleet
	text := fmt.Sprintf(`
[fleet]
engine = ["%s"]
prefix = %q
tls = { ca = %q, cert = %q, key = %q }
order = ["%s"]
node = %q
`, strings.Join(f.engine.Endpoints(), `", "`), etcdtest.Prefix,
		n.file("engine-ca.pem"), n.file("engine.pem"), n.file("engine.key"), strings.Join(f.order, `", "`), n.name)
	nodes := ""
	for _, other := range f.nodes {
		if other.line != "" {
			nodes += fmt.Sprintf("%s = %s\n", other.name, other.line)
		}
	}
	if nodes != "" {
		text += "[fleet.nodes]\n" + nodes
	}
	return text
}

// reloads returns how often a node's server was reloaded.
func (n *fleetNode) reloads() int {
	data, _ := os.ReadFile(n.file("reloads"))
	return bytes.Count(data, []byte("\n"))
}

func (n *fleetNode) command(args ...string) *exec.Cmd {
	argv := append(append(slices.Clone(n.enter), n.fleet.program, "-config", n.file("keypaird.toml")), args...)
	cmd := exec.CommandContext(n.fleet.Context(), argv[0], argv[1:]...)
	if n.ahead != 0 {
		cmd.Env = append(os.Environ(), fmt.Sprintf("GODEBUG=testclock=%d", int(n.ahead.Seconds())))
	}
	return cmd
}

// must runs a command and returns its output.
func (n *fleetNode) must(args ...string) string {
	n.fleet.Helper()
	cmd := n.command(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		n.fleet.Fatalf("%s: keypaird %v: %v\n%s%s", n.name, args, err, out, &errs)
	}
	return string(out)
}

// start starts the daemon.
func (n *fleetNode) start() {
	n.fleet.Helper()
	n.cmd = n.command("run", "-v")
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	try(n.fleet.T, n.cmd.Start())
}

// stop sends a signal to all processes of the daemon, and waits for them.
func (n *fleetNode) stop(s syscall.Signal) {
	if n.cmd == nil {
		return
	}
	if s == syscall.SIGKILL {
		n.signal(s)
	}
	_ = n.cmd.Process.Signal(s)
	_ = n.cmd.Wait()
	n.cmd = nil
}

// family returns a process and all that descend from it, started by any of its threads.
func family(pid int) []int {
	list := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		children, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(children)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				list = append(list, family(child)...)
			}
		}
	}
	return list
}

// deployed returns what a node has deployed of a target.
func (n *fleetNode) deployed(target string) string {
	chain, _ := os.ReadFile(filepath.Join(n.file("out"), target+".crt"))
	key, _ := os.ReadFile(filepath.Join(n.file("out"), target+".key"))
	return string(chain) + string(key)
}

var fleetTargets = []string{"plain", "host"}

// agree waits until some nodes have deployed the same pairs, all other than before.
func (f *testFleet) agree(within time.Duration, before map[string]string, nodes ...*fleetNode) map[string]string {
	f.Helper()
	now := map[string]string{}
	err := testutil.Within(within, func() error {
		for _, target := range fleetTargets {
			for i, n := range nodes {
				is := n.deployed(target)
				if strings.Count(is, "-----BEGIN") < 2 || is == before[target] {
					return fmt.Errorf("%s has not deployed %s", n.name, target)
				}
				if i > 0 && is != now[target] {
					return fmt.Errorf("%s and %s have deployed different pairs of %s", nodes[0].name, n.name, target)
				}
				now[target] = is
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return now
}

// deployedBy waits until all nodes have deployed one pair of a target that is as it should
// be, and returns it.
func (f *testFleet) deployedBy(target string, within time.Duration, right func(string) bool) string {
	f.Helper()
	return f.deployedOn(target, within, right, f.nodes...)
}

func (f *testFleet) deployedOn(target string, within time.Duration, right func(string) bool, nodes ...*fleetNode) string {
	f.Helper()
	is := ""
	err := testutil.Within(within, func() error {
		is = nodes[0].deployed(target)
		for _, n := range nodes {
			if now := n.deployed(target); now != is || !right(now) {
				return fmt.Errorf("%s has deployed another pair of %s", n.name, target)
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return is
}

// change makes other certificates necessary, of which some nodes learn.
func (f *testFleet) change(nodes ...*fleetNode) {
	f.round++
	f.configure()
	for _, n := range nodes {
		try(f.T, n.cmd.Process.Signal(syscall.SIGHUP))
	}
}

// issued fails unless so many certificates were issued since the last call.
func (f *testFleet) issued(want int) {
	f.Helper()
	placed, finalized := f.ca.orders()
	if finalized != want {
		f.Fatalf("%d orders placed, %d finalized, want %d", placed, finalized, want)
	}
	f.ca.forgetOrders()
}

// onMachines has the test run beside others, in namespaces of its own, and reports whether
// this is the process for it.
func onMachines(t *testing.T) bool {
	t.Helper()
	t.Parallel()
	if !inNamespaces(t) {
		return false
	}
	if !inside() {
		t.Skip("needs root and Linux: each node answers at port 80 of an address of its own")
	}
	return true
}

// Two nodes that may order and one that may not: one certificate for all, by whoever sits.
func TestFleet(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	first, second, web := f.nodes[0], f.nodes[1], f.nodes[2]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)

	t.Log("other names: the first choice renews")
	f.change(f.nodes...)
	pairs = f.agree(90*time.Second, pairs, f.nodes...)
	f.issued(2)

	t.Log("asked for on the node that does not order: one more, and back to the one before")
	if out := web.must("issue", "-force", "plain"); !strings.Contains(out, "plain: issued by") {
		t.Errorf("%q", out)
	}
	f.issued(1)
	forced := f.deployedBy("plain", 60*time.Second, func(is string) bool { return is != pairs["plain"] })
	if out := web.must("fleet", "rollback", "plain"); !strings.Contains(out, "has the certificate before") {
		t.Errorf("%q", out)
	}
	f.deployedBy("plain", 60*time.Second, func(is string) bool { return is != forced && is == pairs["plain"] })
	web.must("fleet", "go", "plain")
	f.issued(0)

	t.Log("the first choice is gone: the second renews")
	first.stop(syscall.SIGKILL)
	f.endLeases(first)
	f.change(second, web)
	pairs = f.agree(120*time.Second, pairs, second, web)
	f.issued(2)

	t.Log("the first choice is back: it takes what it missed")
	first.start()
	now := f.agree(60*time.Second, nil, f.nodes...)
	for target, pair := range pairs {
		if now[target] != pair {
			t.Errorf("%s was exchanged", target)
		}
	}
	f.issued(0)

	t.Log("the engine is gone: a node starts and serves on")
	for _, m := range f.engine.Members {
		m.Kill()
	}
	web.stop(syscall.SIGTERM)
	try(t, os.RemoveAll(web.file("out")), os.MkdirAll(web.file("out"), 0o755))
	web.start()
	f.agree(90*time.Second, nil, first, web)
	f.issued(0)
}

// The node that orders is killed when the CA has finalized an order, and, if all is tested,
// the next one is stopped for longer than its lease lasts, which takes a minute. Each
// certificate is issued once, whoever ends it.
func TestFleetKilled(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	first, second, web := f.nodes[0], f.nodes[1], f.nodes[2]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)

	killed := make(chan struct{})
	f.ca.at("finalize", true, func() {
		first.signal(syscall.SIGKILL)
		close(killed)
	})
	f.change(f.nodes...)
	<-killed
	first.stop(syscall.SIGKILL)
	f.endLeases(first)
	pairs = f.agree(120*time.Second, pairs, second, web)
	f.issued(2)

	if !testutil.Exhaustive() {
		return
	}
	first.start()
	f.agree(120*time.Second, nil, f.nodes...)
	before := map[string]string{}
	for _, target := range fleetTargets {
		before[target] = f.release(target).Fingerprint
	}
	stopped := make(chan *fleetNode, 1)
	f.ca.at("order", true, func() {
		n := f.holder()
		n.signal(syscall.SIGSTOP)
		stopped <- n
	})
	f.change(f.nodes...)
	n := <-stopped
	for _, target := range fleetTargets {
		f.published(target, before[target])
	}
	if f.holder() == n {
		t.Errorf("%s sits, which is stopped", n.name)
	}
	n.signal(syscall.SIGCONT)
	f.agree(180*time.Second, pairs, f.nodes...)
	f.issued(2)
}

// The machine that orders dies while the record of a challenge is published. The next one
// removes it, goes on with the order, and leaves nothing.
func TestFleetRecordLeft(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newFleet(t, 1, []string{"mx1", "mx2"}, "mx1", "mx2")
	first, second := f.nodes[0], f.nodes[1]
	killed := make(chan struct{})
	var kill func()
	kill = func() {
		if records, _ := f.ns.txt(); len(records) == 0 { // it is another challenge
			f.ca.at("challenge", false, kill)
			return
		}
		first.signal(syscall.SIGKILL)
		close(killed)
	}
	f.ca.at("challenge", false, kill)
	first.start()
	if err := testutil.Within(30*time.Second, func() error {
		if strings.Contains(first.log.String(), "ordering for the fleet") {
			return nil
		}
		return errors.New("mx1 does not order")
	}); err != nil {
		t.Fatal(err)
	}
	second.start()
	<-killed
	first.stop(syscall.SIGKILL)
	f.agree(120*time.Second, nil, second)
	f.issued(2)
	if log := second.log.String(); !strings.Contains(log, "TXT record of another node removed") || strings.Contains(log, "may be left") {
		t.Error("the record was not removed by what the engine has of it")
	}
	if records, err := f.ns.txt(); err != nil || len(records) != 0 {
		t.Errorf("left: %q, %v", records, err)
	}
}

// published waits until the engine has another release of a target than before.
func (f *testFleet) published(target, before string) {
	f.Helper()
	try(f.T, testutil.Within(patience, func() error {
		// A member that has no leader may be asked.
		value, err := f.engine.CtlAs("root", "get", "--print-value-only", etcdtest.Prefix+"live/"+target)
		if err == nil && (value == "" || strings.Contains(value, before)) {
			err = errors.New("nothing is published")
		}
		return err
	}))
}

// signal sends a signal to all processes of the daemon.
func (n *fleetNode) signal(s syscall.Signal) {
	for _, pid := range family(n.cmd.Process.Pid) {
		_ = syscall.Kill(pid, s)
	}
}
