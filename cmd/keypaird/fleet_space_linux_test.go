package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/testutil"
)

// fillEngine writes to the engine until it takes no more.
func (f *testFleet) fillEngine() {
	f.Helper()
	value := strings.Repeat("x", 100<<10)
	for range 200 {
		if out, err := f.engine.CtlAs("root", "put", "filler", value); err != nil {
			if !strings.Contains(out, "database space exceeded") {
				f.Fatal(out)
			}
			return
		}
	}
	f.Fatal("the engine takes all")
}

// freeEngine does what the remedy says.
func (f *testFleet) freeEngine() {
	f.Helper()
	f.engine.Ctl("del", "filler")
	f.engine.Compact(int64(f.revision()))
	f.engine.Ctl("defrag")
	f.engine.Ctl("alarm", "disarm")
}

// The engine is full: all nodes serve on and say what helps, and nothing is ordered unless an
// operator wants it. When there is room again, the fleet orders by itself.
func TestFleetNoSpace(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := beginFleet(t, etcdtest.Options{Flags: []string{"--quota-backend-bytes", "4000000"}}, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	first, second, web := f.nodes[0], f.nodes[1], f.nodes[2]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)
	f.fillEngine()
	remedy := []string{"no space left", "etcdctl compact", "etcdctl defrag", "etcdctl alarm disarm"}

	t.Log("a node that starts serves what it has")
	web.stop(syscall.SIGTERM)
	try(t, os.RemoveAll(web.file("out")), os.Mkdir(web.file("out"), 0o755))
	from := len(web.log.String())
	web.start()
	web.says(from, remedy...)
	if is := f.agree(60*time.Second, nil, f.nodes...); is["plain"] != pairs["plain"] {
		t.Error("another pair is deployed")
	}

	t.Log("nothing is ordered, all are asked in vain, and all say why")
	from = len(first.log.String())
	if out := second.refused("issue", "-force", "plain"); !strings.Contains(out, "no space left") || !strings.Contains(out, "etcdctl alarm disarm") {
		t.Error(out)
	}
	f.change(f.nodes...)
	first.says(from, remedy...)
	time.Sleep(3 * time.Second)
	f.issued(0)
	if out, _ := second.command("check", "-live").CombinedOutput(); !strings.Contains(string(out), "it has the alarm NOSPACE") || !strings.Contains(string(out), "etcdctl alarm disarm") {
		t.Errorf("%s", out)
	}
	if out := web.must("status"); !strings.Contains(out, "wait: names changed, but the node in the seat orders: see keypaird fleet status") {
		t.Error(out)
	}
	out := web.must("fleet", "status")
	if !strings.Contains(out, "it has the alarm NOSPACE") || !strings.Contains(out, "etcdctl alarm disarm") || !strings.Contains(out, "node mx1 orders") {
		t.Error(out)
	}
	for _, n := range []string{"mx1   alive, orders", "mx2   alive"} { // they were configured anew
		if !strings.Contains(out, n) {
			t.Errorf("%q is not in\n%s", n, out)
		}
	}

	t.Log("an operator has a node order")
	if out := second.must("issue", "-alone", "-force", "plain"); !strings.Contains(out, "plain: issued by") {
		t.Error(out)
	}
	f.issued(1)

	t.Log("there is room again: the fleet orders by itself")
	f.freeEngine()
	began := time.Now()
	f.agree(patience, pairs, f.nodes...)
	t.Logf("all have new pairs %v after the alarm was disarmed", time.Since(began).Round(time.Second))
	f.issued(1)
}

// small returns directories, of which the first are disks of so many bytes.
func small(t *testing.T, size string, n, all int) (dirs []string) {
	t.Helper()
	for i := range all {
		dir := t.TempDir()
		if i < n {
			try(t, mountSmall(dir, size))
			t.Cleanup(func() { _ = unmount(dir) })
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// fillMember fills the disk of a member, and waits until that has ended it.
func (f *testFleet) fillMember(m *etcdtest.Member) {
	f.Helper()
	dir, _ := m.Data()
	try(f.T, fillDisk(filepath.Dir(dir)))
	value := strings.Repeat("x", 100<<10)
	try(f.T, testutil.Within(patience, func() error {
		_, _ = f.engine.CtlAs("root", "put", "filler", value)
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.Pid()))
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "Z") {
			return nil
		}
		return fmt.Errorf("%s runs on", m.URL)
	}))
}

// emptyMember makes room on the disk of a member, and starts it.
func (f *testFleet) emptyMember(m *etcdtest.Member) {
	f.Helper()
	dir, _ := m.Data()
	try(f.T, os.Remove(filepath.Join(filepath.Dir(dir), "filler")))
	m.Kill()
	m.Start()
}

// The disk of one member of the engine is full, which ends it: the fleet orders on. That of
// two: the fleet waits, and goes on when there is room.
func TestFleetFullDisk(t *testing.T) {
	if !testutil.Exhaustive() {
		return // it takes half a minute
	}
	if !onMachines(t) {
		return
	}
	f := beginFleet(t, etcdtest.Options{Members: 3, Disks: small(t, "200m", 2, 3)}, []string{"mx1", "mx2"}, "mx1", "mx2", "web")
	first := f.nodes[0]
	for _, n := range f.nodes {
		n.start()
	}
	pairs := f.agree(60*time.Second, nil, f.nodes...)
	f.issued(2)
	t.Log("one disk is full")
	began := time.Now()
	f.fillMember(f.engine.Members[0])
	t.Logf("the member ended after %v", time.Since(began).Round(time.Second))
	f.change(f.nodes...)
	pairs = f.agree(120*time.Second, pairs, f.nodes...)
	f.issued(2)
	out, err := first.command("check", "-live").CombinedOutput()
	t.Logf("%v %s", err, out)

	t.Log("two disks are full")
	from := len(first.log.String())
	f.fillMember(f.engine.Members[1])
	f.change(f.nodes...)
	first.says(from, "too few members", "start the members that are down")
	time.Sleep(3 * time.Second)
	f.issued(0)
	for target, pair := range pairs {
		for _, n := range f.nodes {
			if n.deployed(target) != pair {
				t.Errorf("%s has another pair of %s deployed", n.name, target)
			}
		}
	}
	t.Log("there is room")
	f.emptyMember(f.engine.Members[0])
	f.emptyMember(f.engine.Members[1])
	f.engine.Wait()
	began = time.Now()
	f.agree(patience, pairs, f.nodes...)
	t.Logf("all have new pairs %v after the engine came back", time.Since(began).Round(time.Second))
	f.issued(2)
}
