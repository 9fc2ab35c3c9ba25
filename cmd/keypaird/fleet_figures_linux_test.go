package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
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

// coldStart measures how long a node takes that has nothing, and then one that has all.
func (f *netFleet) coldStart() {
	f.Helper()
	const many = 1000
	var targets []string
	var tables strings.Builder
	for i := range many {
		targets = append(targets, fmt.Sprintf("t%04d.example.org", i))
		fmt.Fprintf(&tables, "[cert.%q]\ndns-01 = [%[1]q]\ndns = \"ns\"\ndeploy = [\"files\"]\n", targets[i])
	}
	for _, n := range f.nodes {
		n.stop(syscall.SIGTERM)
	}
	f.publishMany(targets)
	web := f.nodes[2]
	f.tables = func(n *fleetNode) string {
		return "\n" + tables.String() + fmt.Sprintf("[deploy.files]\nchain = \"%[1]s/{name}.crt\"\nkey = \"%[1]s/{name}.key\"\nreload = [\"true\"]\n", n.file("out"))
	}
	f.configure()
	web.log = new(lockedBuffer)
	began := time.Now()
	deployed := func() error {
		if n := strings.Count(strings.Join(testutil.Entries(f.T, web.file("out")), "\n"), ".crt"); n < many {
			return fmt.Errorf("%d deployed", n)
		}
		return nil
	}
	web.awaitPass(func() {
		web.start()
		stored := func() error {
			if n := strings.Count(web.log.String(), "msg=taken"); n < many {
				return fmt.Errorf("%d taken", n)
			}
			return nil
		}
		try(f.T, testutil.Within(patience, stored))
		f.Logf("cold start: %d pairs taken after %v", many, time.Since(began).Round(time.Millisecond))
		try(f.T, testutil.Within(patience, deployed))
		f.Logf("cold start: %d pairs deployed after %v", many, time.Since(began).Round(time.Millisecond))
	})
	f.Logf("cold start: the first pass over %d targets ended after %v; CPU of all its processes %v", many, time.Since(began).Round(time.Millisecond), cpu(family(web.cmd.Process.Pid)...))
	web.stop(syscall.SIGTERM)
	began = time.Now()
	web.awaitPass(web.start)
	f.Logf("start with %d pairs: first pass after %v", many, time.Since(began).Round(time.Millisecond))
	f.Logf("with %d targets: keypaird %d kB, keypaird-fleet %d kB (PSS)", many, pss(web.processes("keypaird")...), pss(web.processes("keypaird-fleet")...))
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
	f.coldStart()
}
