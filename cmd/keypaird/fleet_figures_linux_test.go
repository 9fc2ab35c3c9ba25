package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine/etcdtest"
	fleetengine "keypaird/renew/fleet/remote"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// pss returns the memory of processes in kB, with their share of what they share.
func pss(pids ...int) (kB int) {
	for _, pid := range pids {
		rollup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		_, rest, _ := strings.Cut(string(rollup), "\nPss:")
		var n int
		_, _ = fmt.Sscan(rest, &n)
		kB += n
	}
	return kB
}

// cpu returns the CPU time of processes.
func cpu(pids ...int) (d time.Duration) {
	for _, pid := range pids {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 13 {
			var user, system int
			_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
			d += time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return d
}

// revision returns that of the engine.
func (f *testFleet) revision() int {
	var got struct{ Header struct{ Revision int } }
	try(f.T, json.Unmarshal([]byte(f.engine.Ctl("get", "nothing", "-w", "json")), &got))
	return got.Header.Revision
}

var tookDeploying = regexp.MustCompile(`msg=deployed deployment=nginx .*took=(\S+)`)

// served measures how long it takes from the CA's certificate until all nodes serve it, and
// how long the nodes say that they deployed, one after the other.
func (f *netFleet) served() (all, deploying time.Duration) {
	f.Helper()
	roots := f.roots()
	issued := make(chan time.Time, 1)
	after := map[*fleetNode]int{}
	for _, n := range f.nodes {
		after[n] = len(n.log.String())
	}
	f.ca.at("certificate", true, func() { issued <- time.Now() })
	f.change(f.nodes...)
	began := <-issued
	before := fingerprintOf(f.pair)
	for _, n := range f.nodes {
		try(f.T, testutil.Within(patience, func() error {
			is, err := serves(addrOf(n), roots)
			if err == nil && is == before {
				err = fmt.Errorf("%s serves the one before", n.name)
			}
			return err
		}))
	}
	all = time.Since(began)
	f.pair = f.agreeOn("plain", f.pair, f.nodes...)
	for _, n := range f.nodes {
		try(f.T, testutil.Within(patience, func() error {
			found := tookDeploying.FindStringSubmatch(n.log.String()[after[n]:])
			if found == nil {
				return fmt.Errorf("%s does not say that it deployed", n.name)
			}
			took, err := time.ParseDuration(found[1])
			deploying += took
			return err
		}))
	}
	time.Sleep(2 * time.Second) // old workers
	return all, deploying
}

// seatAfter measures how long it takes until another node sits, after a signal to the one
// that does.
func (f *netFleet) seatAfter(s syscall.Signal) time.Duration {
	f.Helper()
	n := f.holder()
	began := time.Now()
	if s == syscall.SIGKILL {
		n.signal(s)
	}
	try(f.T, n.cmd.Process.Signal(s))
	for f.holder() == n {
	}
	took := time.Since(began)
	n.stop(syscall.SIGKILL)
	n.awaitPass(n.start)
	return took
}

// idle measures, for a minute, what is written to the engine and how much CPU nodes and
// members take.
func (f *netFleet) idle() {
	time.Sleep(10 * time.Second)
	var pids, members []int
	for _, n := range f.nodes {
		pids = append(pids, family(n.cmd.Process.Pid)...)
	}
	for _, m := range f.engine.Members {
		members = append(members, m.Pid())
	}
	const long = time.Minute
	revision, nodes, engine := f.revision(), cpu(pids...), cpu(members...)
	time.Sleep(long)
	share := func(d time.Duration, n int) float64 { return 100 * float64(d) / float64(long) / float64(n) }
	f.Logf("idle for %v: %d revisions; a node takes %.3f %% of a core, the engine's share of a node is %.3f %%", long,
		f.revision()-revision, share(cpu(pids...)-nodes, len(f.nodes)), share(cpu(members...)-engine, len(f.nodes)))
}

// publishMany has the engine hold releases of many targets, as the first node would publish
// them.
func (f *netFleet) publishMany(targets []string) {
	f.Helper()
	path, err := built("keypaird-fleet")
	try(f.T, err)
	settings := f.engine.Settings("root")
	e := fleetengine.New(fleetengine.Options{Path: path, Settings: func() (wire.Settings, error) { return settings, nil }, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(f.Context())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	defer running.Wait()
	var names []string
	for _, n := range f.nodes {
		names = append(names, n.name)
	}
	o := fleet.Options{
		Engine: e, Identity: f.nodes[0].identity(), Members: f.members(), ID: strings.TrimSpace(testutil.Text(f.T, f.nodes[0].file("state", "fleet", "id"))),
		Node: f.nodes[0].name, Order: f.order, Audience: func(string) []string { return names }, Rules: wave.Rules{Waves: []string{"100%"}},
		Boot: document.NewID(), Version: "v1", Log: slog.New(slog.DiscardHandler),
	}
	in := fleet.New(o)
	fleetCtx, stop := context.WithCancel(f.Context())
	var member sync.WaitGroup
	member.Go(func() { _ = in.Run(fleetCtx) })
	defer func() { stop(); member.Wait(); cancel() }()
	var term *fleet.Term
	try(f.T, testutil.Within(patience, func() (err error) { term, err = in.Term(); return err }))
	slots := make(chan struct{}, 16)
	var all sync.WaitGroup
	for _, target := range targets {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			p, err := pairtest.Issue([]string{target}, time.Now(), 90*24*time.Hour)
			record, failed := in.Op(document.RecordKey(target), document.Record{Ordering: json.RawMessage("{}")}, nil, in.Order)
			if err = errors.Join(err, failed); err == nil {
				more := append(fleet.Publication{}.More, record)
				_, err = in.Publish(ctx, term, fleet.Publication{Target: target, Pair: p, More: more, Urgent: true})
			}
			if err != nil {
				f.Error(err)
			}
		})
	}
	all.Wait()
}

// coldTargets is how many pairs a node takes that has none.
const coldTargets = 1000

// manyTargets has the engine hold that many pairs, and the nodes deploy them to files. All
// nodes are stopped.
func (f *netFleet) manyTargets() {
	f.Helper()
	var targets []string
	var tables strings.Builder
	for i := range coldTargets {
		targets = append(targets, fmt.Sprintf("t%04d.example.org", i))
		fmt.Fprintf(&tables, "[cert.%q]\ndns-01 = [%[1]q]\ndns = \"ns\"\ndeploy = [\"files\"]\n", targets[i])
	}
	for _, n := range f.nodes {
		n.stop(syscall.SIGTERM)
	}
	f.publishMany(targets)
	f.tables = func(n *fleetNode) string {
		return "\n" + tables.String() + fmt.Sprintf("[deploy.files]\nchain = \"%[1]s/{name}.crt\"\nkey = \"%[1]s/{name}.key\"\nreload = [\"true\"]\n", n.file("out"))
	}
	f.configure()
}

var loggedAt = regexp.MustCompile(`(?m)^time=(\S+) .*?msg=("[^"]+"|\S+)`)

// logTimes returns when a node first and last logged each message.
func (n *fleetNode) logTimes() (first, last map[string]time.Time, count map[string]int) {
	first, last, count = map[string]time.Time{}, map[string]time.Time{}, map[string]int{}
	for _, found := range loggedAt.FindAllStringSubmatch(n.log.String(), -1) {
		at, err := time.Parse(time.RFC3339Nano, found[1])
		try(n.fleet.T, err)
		msg := strings.Trim(found[2], `"`)
		if last[msg] = at; count[msg] == 0 {
			first[msg] = at
		}
		count[msg]++
	}
	return first, last, count
}

// coldStart measures how long a node takes that has nothing, and then one that has all. The
// machine is not kept busy by looking.
func (f *netFleet) coldStart() {
	f.Helper()
	web := f.nodes[2]
	members := func() (pids []int) {
		for _, m := range f.engine.Members {
			pids = append(pids, m.Pid())
		}
		return pids
	}
	start := func(what string) {
		web.log = new(lockedBuffer)
		began, engine := time.Now(), cpu(members()...)
		web.start()
		try(f.T, testutil.Within(patience, func() error {
			time.Sleep(200 * time.Millisecond)
			if web.passes() == 0 {
				return errors.New("no pass has finished")
			}
			return nil
		}))
		first, last, count := web.logTimes()
		since := func(at time.Time) time.Duration { return max(0, at.Sub(began).Round(time.Millisecond)) }
		f.Logf("%s: %d pairs taken from %v to %v, deployed after %v, pass finished after %v; CPU of keypaird %v, keypaird-fleet %v, the engine %v", what,
			count["taken"], since(first["taken"]), since(last["taken"]), since(last["deployed"]), since(first["pass finished"]),
			cpu(web.processes("keypaird")...), cpu(web.processes("keypaird-fleet")...), cpu(members()...)-engine)
	}
	for i := range 3 {
		web.stop(syscall.SIGTERM)
		for _, dir := range []string{web.file("state", "certs"), web.file("out")} { // kept: ext4 makes files slowly after many were removed
			try(f.T, os.Rename(dir, fmt.Sprintf("%s-%d", dir, i)))
		}
		try(f.T, os.Mkdir(web.file("out"), 0o755))
		start("cold start")
		if n := strings.Count(strings.Join(testutil.Entries(f.T, web.file("out")), "\n"), ".crt"); n != coldTargets {
			f.Errorf("%d pairs deployed, want %d", n, coldTargets)
		}
	}
	web.stop(syscall.SIGTERM)
	start("start with all")
	f.Logf("with %d targets: keypaird %d kB, keypaird-fleet %d kB (PSS)", coldTargets, pss(web.processes("keypaird")...), pss(web.processes("keypaird-fleet")...))
}

// A node that has nothing takes and deploys a thousand pairs: the times are logged.
func TestFleetColdStart(t *testing.T) {
	if !testutil.Exhaustive() {
		return // it takes a minute
	}
	if !onMachines(t) {
		return
	}
	f := newNetFleet(t)
	f.manyTargets()
	f.coldStart()
}

// ran returns for how long the threads of processes ran, which are not replaced by others.
func ran(pids ...int) (d time.Duration) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			var ns time.Duration
			_, _ = fmt.Sscan(string(text), &ns)
			d += ns
		}
	}
	return d
}

// What a node takes while nothing happens, beside a machine without [fleet], is logged.
func TestFleetIdle(t *testing.T) {
	if !testutil.Exhaustive() {
		return // it takes minutes
	}
	if !onMachines(t) {
		return
	}
	f := makeFleet(t, etcdtest.Options{Members: 3}, []string{"mx1", "mx2"}, "mx1", "mx2", "single", "web")
	single := f.node("single")
	members := slices.DeleteFunc(slices.Clone(f.nodes), func(n *fleetNode) bool { return n == single })
	for _, n := range members {
		n.join()
	}
	f.tables = func(n *fleetNode) string {
		return fmt.Sprintf("\n[cert.plain]\ndns-01 = [\"example.org\"]\ndns = \"ns\"\ndeploy = [\"files\"]\n[deploy.files]\nchain = \"%[1]s/{name}.crt\"\nkey = \"%[1]s/{name}.key\"\nreload = [\"true\"]\n", n.file("out"))
	}
	f.configure()
	members[0].must("fleet", "init")
	for _, n := range members {
		n.start()
	}
	f.agreeOn("plain", "", members...)
	single.start()
	f.agreeOn("plain", "", single)
	time.Sleep(30 * time.Second)
	const long = 4 * time.Minute
	programs := []string{"keypaird", "keypaird-fleet"}
	measure := func() (list []time.Duration) {
		for _, n := range f.nodes {
			for _, program := range programs {
				list = append(list, ran(n.processes(program)...))
			}
		}
		return list
	}
	revision, before := f.revision(), measure()
	time.Sleep(long)
	after, written := measure(), f.revision()-revision
	share := func(i int) float64 { return 100 * float64(after[i]-before[i]) / float64(long) }
	holder := f.holder() // which renews another lease
	for i, n := range f.nodes {
		t.Logf("%s: keypaird takes %.4f %% of a core, keypaird-fleet %.4f %%", n.name, share(2*i), share(2*i+1))
		if more := share(2*i) + share(2*i+1) - share(2*slices.Index(f.nodes, single)); n != holder && more > 0.05 {
			t.Errorf("%s takes %.4f %% more than a machine without [fleet]", n.name, more)
		}
	}
	if written > 0 {
		t.Errorf("%d revisions in %v", written, long)
	}
}

// The figures of a fleet of three nodes with nginx and three members, which take minutes:
// they are logged.
func TestFleetFigures(t *testing.T) {
	if !testutil.Exhaustive() {
		return // they take minutes
	}
	if !onMachines(t) {
		return
	}
	f := newNetFleet(t)
	for range 5 {
		all, deploying := f.served()
		t.Logf("issued, then served by three nodes in three waves: %v, of which %v are three deployments, one after the other", all.Round(time.Millisecond), deploying)
	}
	for _, n := range f.nodes {
		t.Logf("%s: keypaird %d kB in %d processes, keypaird-fleet %d kB (PSS)", n.name,
			pss(n.processes("keypaird")...), len(n.processes("keypaird")), pss(n.processes("keypaird-fleet")...))
	}
	web := f.nodes[2]
	web.alone = true
	web.configure()
	web.restart()
	t.Logf("the same machine without [fleet]: keypaird %d kB in %d processes (PSS)", pss(web.processes("keypaird")...), len(web.processes("keypaird")))
	web.alone = false
	web.configure()
	web.restart()
	t.Logf("and with it: keypaird %d kB, keypaird-fleet %d kB (PSS)", pss(web.processes("keypaird")...), pss(web.processes("keypaird-fleet")...))
	f.idle()
	for range 3 {
		t.Logf("seat taken over after SIGTERM: %v", f.seatAfter(syscall.SIGTERM).Round(time.Millisecond))
	}
	t.Logf("seat taken over after SIGKILL: %v", f.seatAfter(syscall.SIGKILL).Round(time.Millisecond))
}
