package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/cmd/keypaird-fleet/child"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/testutil"
)

// watchedAt is where a watched keypaird-fleet asks whether it may go on.
const watchedAt = "127.0.0.1:7399"

// watchedFleet is a keypaird-fleet that asks before it passes on a request, or the last line
// of an answer.
func watchedFleet() int {
	conn, err := net.Dial("tcp", watchedAt)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var asking sync.Mutex
	mayGo := func(what string) {
		asking.Lock() // and never unlocked, if there is no answer
		fmt.Fprintln(conn, what)
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			select {}
		}
		asking.Unlock()
	}
	fmt.Fprintln(conn, os.Getpid())
	stdin, stdout := os.Stdin, os.Stdout
	in, requests, err := os.Pipe()
	answers, out, oerr := os.Pipe()
	if errors.Join(err, oerr) != nil {
		return 1
	}
	os.Stdin, os.Stdout = in, out
	go func() {
		defer requests.Close()
		for lines := bufio.NewReader(stdin); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var r wire.Request
			_ = json.Unmarshal(line, &r)
			if kind := kindOfRequest(r); kind != "" {
				mayGo("before " + kind)
			}
			_, _ = requests.Write(line)
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewReader(answers); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var a wire.Answer
			_ = json.Unmarshal(line, &a)
			if !a.More {
				mayGo("after")
			}
			_, _ = stdout.Write(line)
		}
	}()
	status := child.Main(os.Args[1:])
	out.Close()
	<-done
	return status
}

// kindOfRequest returns what a request is for; "": nothing of an order.
func kindOfRequest(r wire.Request) string {
	switch {
	case r.Take || r.Cancel || r.Renew != 0 || r.Open != nil:
	case r.Commit != nil:
		var keys []string
		for _, op := range r.Commit.Do {
			keys = append(keys, op.Key)
		}
		return "commit " + strings.Join(keys, ",")
	case r.Read != nil:
		return "read " + r.Read.Prefix
	case r.Follow != nil:
		return "follow"
	case r.Lease != nil:
		return "lease"
	case r.End != 0:
		return "end"
	}
	return ""
}

// A killSweep kills a node at one request of its keypaird-fleet.
type killSweep struct {
	*testFleet

	mu     sync.Mutex
	victim *fleetNode
	after  bool // when the engine has answered
	at     int  // which request; 0: none
	count  int
	kinds  []string
	killed chan struct{}
}

// placeWatched places keypaird beside a keypaird-fleet that asks.
func (s *killSweep) placeWatched() {
	s.Helper()
	dir, err := os.MkdirTemp(builtDir(), "watched-") // other users reach it
	try(s.T, err, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	try(s.T, err)
	for name, path := range map[string]string{"keypaird": s.program, "keypaird-fleet": self, "keypaird-dns": filepath.Join(builtDir(), "keypaird-dns"), "keypaird-names": filepath.Join(builtDir(), "keypaird-names")} {
		data, err := os.ReadFile(path)
		try(s.T, err)
		testutil.WriteFile(s.T, filepath.Join(dir, name), data, 0o755)
		try(s.T, os.Chmod(filepath.Join(dir, name), 0o755))
	}
	s.program = filepath.Join(dir, "keypaird")
	l, err := net.Listen("tcp", watchedAt)
	try(s.T, err)
	s.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
}

// parentOf returns the parent of a process, and its command line.
func parentOf(pid int) (parent int, command string) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if fields := strings.Fields(rest); len(fields) > 1 {
		parent, _ = strconv.Atoi(fields[1])
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent))
	return parent, string(line)
}

// owner returns the node that a process belongs to, and its first process.
func (s *killSweep) owner(pid int) (n *fleetNode, first int) {
	for pid > 1 {
		parent, command := parentOf(pid)
		for _, node := range s.nodes {
			if strings.Contains(command, node.file("keypaird.toml")) {
				n, first = node, parent
			}
		}
		pid = parent
	}
	return n, first
}

// serve answers one keypaird-fleet.
func (s *killSweep) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return
	}
	pid, _ := strconv.Atoi(lines.Text())
	n, first := s.owner(pid)
	for lines.Scan() {
		if s.counts(n, lines.Text()) {
			for _, pid := range family(first) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			s.mu.Lock()
			close(s.killed)
			s.mu.Unlock()
			return
		}
		if _, err := conn.Write([]byte("\n")); err != nil {
			return
		}
	}
}

// counts notes a request of a node, and reports whether the node is killed now.
func (s *killSweep) counts(n *fleetNode, what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, before := strings.CutPrefix(what, "before ")
	if n == nil || n != s.victim {
		return false
	}
	if before {
		s.kinds = append(s.kinds, kind)
	}
	if before == s.after {
		return false
	}
	s.count++
	return s.count == s.at
}

// arm has a node killed at one of the requests that it makes from now on.
func (s *killSweep) arm(n *fleetNode, at int, after bool) (killed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.victim, s.at, s.after, s.count, s.kinds, s.killed = n, at, after, 0, nil, make(chan struct{})
	return s.killed
}

// requests returns the requests of the node that is armed.
func (s *killSweep) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds
}

// manyNames returns the tables of one target, of other names in each round.
func manyNames(deploy func(n *fleetNode) string) func(n *fleetNode) string {
	all := []string{"example.org", "*.example.org", "mail.example.org", "*.mail.example.org", "conference.example.org", "*.conference.example.org", "upload.example.org", "*.upload.example.org"}
	var sets [][]string
	for set := uint(1); set < 1<<len(all); set++ {
		if bits.OnesCount(set) > 3 {
			continue
		}
		var names []string
		for i, name := range all {
			if set&(1<<i) != 0 {
				names = append(names, name)
			}
		}
		sets = append(sets, names)
	}
	return func(n *fleetNode) string {
		return fmt.Sprintf("\n[cert.plain]\ndns-01 = [\"%s\"]\ndns = \"ns\"\n", strings.Join(sets[n.fleet.round%len(sets)], `", "`)) + deploy(n)
	}
}

// endLeases has the leases of a node that was killed end now, not when they are over.
func (f *testFleet) endLeases(n *fleetNode) {
	f.Helper()
	for _, key := range []string{"seat", "nodes/" + n.name + "/alive"} {
		var got struct {
			Kvs []struct {
				Lease int64
				Value []byte
			}
		}
		try(f.T, json.Unmarshal([]byte(f.engine.Ctl("get", etcdtest.Prefix+key, "-w", "json")), &got))
		for _, kv := range got.Kvs {
			if key != "seat" || strings.HasPrefix(string(kv.Value), n.name+" ") {
				f.engine.Ctl("lease", "revoke", strconv.FormatInt(kv.Lease, 16))
			}
		}
	}
}

// holder returns the node in the seat.
func (f *testFleet) holder() *fleetNode {
	f.Helper()
	var n *fleetNode
	if err := testutil.Within(patience, func() error {
		name, _, _ := strings.Cut(f.engine.Ctl("get", "--print-value-only", etcdtest.Prefix+"seat"), " ")
		for _, node := range f.nodes {
			if node.name == name {
				n = node
				return nil
			}
		}
		return errors.New("nobody sits")
	}); err != nil {
		f.Fatal(err)
	}
	return n
}

// agreeOn waits until nodes have deployed one pair of a target, other than before.
func (f *testFleet) agreeOn(target, before string, nodes ...*fleetNode) string {
	f.Helper()
	return f.deployedOn(target, patience, func(is string) bool { return is != before && strings.Count(is, "-----BEGIN") > 1 }, nodes...)
}

// round has one certificate ordered, while the node that orders is killed at a request.
// It reports whether it was killed.
func (s *killSweep) round(at int, after bool, pair *string) bool {
	s.Helper()
	victim := s.holder()
	other := s.nodes[0]
	if other == victim {
		other = s.nodes[1]
	}
	web := s.nodes[2]
	killed := s.arm(victim, at, after)
	s.testFleet.round++
	s.configure()
	for _, n := range s.nodes {
		try(s.T, n.cmd.Process.Signal(syscall.SIGHUP))
	}
	complete, before := make(chan struct{}), *pair
	go func() {
		_ = testutil.Within(patience, func() error {
			is := victim.deployed("plain")
			if is == before || is != other.deployed("plain") || is != web.deployed("plain") || strings.Count(is, "-----BEGIN") < 2 {
				return errors.New("not deployed")
			}
			return nil
		})
		close(complete)
	}()
	died := true
	select {
	case <-killed:
	case <-complete:
		select {
		case <-killed:
		case <-time.After(2 * time.Second):
			died = false
		}
	}
	what := ""
	if died {
		if kinds := s.requests(); len(kinds) > 0 {
			what = kinds[len(kinds)-1]
		}
		victim.stop(syscall.SIGKILL)
		s.endLeases(victim)
		s.agreeOn("plain", *pair, other, web)
		s.arm(nil, 0, false)
		victim.start()
	}
	*pair = s.agreeOn("plain", *pair, s.nodes...)
	if placed, finalized := s.ca.orders(); finalized != 1 || placed > 2 || !died && placed > 1 {
		s.Fatalf("killed at request %d, answered %v (%s): %d orders placed, %d finalized", at, after, what, placed, finalized)
	}
	s.ca.forgetOrders()
	return died
}

// The node that orders is killed at a request to the engine, before the engine has it and
// after the engine has answered: at some requests, or at each one if [testutil.Exhaustive],
// which takes ten minutes. The other node goes on with the order, and there is one certificate.
func TestFleetKilledAtEveryRequest(t *testing.T) {
	if !onMachines(t) {
		return
	}
	s := &killSweep{testFleet: makeFleet(t, etcdtest.Options{}, []string{"mx1", "mx2"}, "mx1", "mx2", "web")}
	s.placeWatched()
	s.tables = manyNames(func(n *fleetNode) string {
		return fmt.Sprintf("http-01 = [\"matrix.example.org\"]\ndeploy = [\"files\"]\n[deploy.files]\nchain = \"%[1]s/{name}.crt\"\nkey = \"%[1]s/{name}.key\"\nreload = [\"true\"]\n", n.file("out"))
	})
	for _, n := range s.nodes {
		n.join()
	}
	s.configure()
	s.nodes[0].must("fleet", "init")
	for _, n := range s.nodes {
		n.start()
	}
	pair := s.agreeOn("plain", "", s.nodes...)
	s.issued(1)
	s.round(0, false, &pair)
	kinds := s.requests()
	t.Logf("%d requests of one order: %s", len(kinds), strings.Join(kinds, "; "))
	if len(kinds) < 10 {
		t.Fatal("too few")
	}
	step := len(kinds) / 4
	if testutil.Exhaustive() {
		step = 1
	}
	kills := 0
	for at := max(1, step/2); ; at += step {
		for _, after := range []bool{false, true} {
			if !testutil.Exhaustive() && after == (at/step%2 == 0) {
				continue
			}
			if s.round(at, after, &pair) {
				kills++
			}
		}
		if at >= len(kinds) {
			break
		}
	}
	t.Logf("killed %d times", kills)
	if kills < 3 {
		t.Error("too few")
	}
}
