package years

import (
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/hooks"
	"keypaird/hooks/expect"
	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/loop"
	"keypaird/renew/notify"
	"keypaird/renew/testutil"
)

// disturbedSeeds are the worlds of TestDisturbedYears, which end alike each time.
var disturbedSeeds = []uint64{1, 2, 3}

// settle is how long after a disturbance all is right again: a scheduled pass, and the
// longest backoff.
const settle = 50 * time.Hour

// A disturbed world is two years with a real deployment, in which somebody else
// overwrites files, endpoints come and go, and backups are restored.
type disturbed struct {
	*years
	*front
	dir     string  // with state and accounts
	length  float64 // in days
	rng     *rand.Rand
	quiet   chan struct{} // taken by a pass, and by who changes the state
	backups []string

	log     []string             // what was done
	touched map[string]time.Time // by target: when something was done last
	excused map[string]time.Time // until then, what it serves is what somebody had it load
	lost    map[string]int       // newest pairs that nobody has any more
	undo    map[time.Time]func() // ends of troubles
	late    []string             // what was not put right
}

// Somebody overwrites files, endpoints come and go, and backups are restored, for two
// years: nothing that is served ends, all is put right within two days, and the CAs
// are asked for little more than without. With the race detector it is four months:
// "make check" has the years, without it.
func TestDisturbedYears(t *testing.T) {
	for i, seed := range disturbedSeeds {
		if !testutil.Exhaustive() && i > 0 {
			break
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			names := []string{"fortyfive", "ninety", "six"}
			f, dir := newFront(t, names), testutil.Memory(t) // has its port before another test begins
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { disturb(t, f, dir, names, seed) })
		})
	}
}

func disturb(t *testing.T, f *front, dir string, names []string, seed uint64) {
	store, err := keypair.Open(filepath.Join(dir, "state"))
	testutil.Must(t, err)
	defer store.Close()
	y := &years{
		t: t, store: store, born: time.Now().Round(0), calm: true, issued: map[string][]stamp{}, pairs: map[string][]*keypair.Pair{},
		windows: map[string]answer{}, worst: map[string]float64{}, told: map[notify.Kind]int{},
	}
	y.logs = orderLogs{dir: filepath.Join(dir, "accounts"), clock: y.wall}
	d := &disturbed{
		years: y, front: f, dir: dir, length: 730, rng: rand.New(rand.NewPCG(seed, 0)), quiet: make(chan struct{}, 1),
		touched: map[string]time.Time{}, excused: map[string]time.Time{}, lost: map[string]int{}, undo: map[time.Time]func(){},
	}
	if testutil.Race {
		d.length = 120
	}
	ctx, stop := context.WithCancel(t.Context())
	var daemon sync.WaitGroup
	daemon.Go(func() { d.daemon(names).Run(ctx) })
	d.pass()
	stop()
	daemon.Wait()
	d.judge()
}

// daemon is a daemon with one deployment, as the configuration makes it.
func (d *disturbed) daemon(names []string) *loop.Loop {
	endpoint, err := probe.ParseEndpoint(d.addr)
	testutil.Must(d.t, err)
	server := &hooks.Deployment{
		Name: "front", Chain: filepath.Join(d.front.dir, "{name}.crt"), Key: filepath.Join(d.front.dir, "{name}.key"),
		Reload: []string{"/bin/sh", "-c", "echo >>" + d.reloads()}, Verify: []expect.Endpoint{{Endpoint: endpoint}},
	}
	var targets []renew.Target
	for _, name := range names {
		targets = append(targets, d.target(name, server))
	}
	records, log := new(renew.Records), slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("DISTURBED_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	notifier := &notify.Notifier{Sender: d, Store: d.store, Records: records, Clock: d.wall, Log: log}
	pass := &renew.Pass{Store: d.store, Records: records, Parallel: 4, Clock: d.wall, Log: log}
	return &loop.Loop{
		Clock: d.wall, Log: log, Schedule: func(after time.Time) time.Time { return after.Add(day) },
		RunPass: func(ctx context.Context, due map[string]bool) map[string]time.Time {
			d.quiet <- struct{}{}
			defer func() { <-d.quiet }()
			some := slices.DeleteFunc(slices.Clone(targets), func(t renew.Target) bool { return due != nil && !due[t.Name] })
			pass.Beside = func() []renew.Target {
				return slices.DeleteFunc(slices.Clone(targets), func(t renew.Target) bool { return due == nil || due[t.Name] })
			}
			report := pass.Run(ctx, some)
			notifier.Notify(ctx, &report)
			return report.Next
		},
	}
}

// Send counts what the operator is told.
func (d *disturbed) Send(_ context.Context, notices []notify.Notice) error {
	d.told[notices[0].Kind]++
	for _, n := range notices {
		d.note("told: %s %s: %s", n.Target, n.Kind, n.Error)
	}
	return nil
}

func (d *disturbed) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf("day %.2f: %s", d.day(d.trueTime()), fmt.Sprintf(format, args...)))
}

// pass lets days pass, half an hour at a time. The last week is left in peace.
func (d *disturbed) pass() {
	next := d.day(d.trueTime()) + 5
	for steps := 0; d.onDay(0, d.length); steps++ {
		time.Sleep(30 * time.Minute)
		d.quiet <- struct{}{}
		now := d.trueTime()
		for at, f := range d.undo {
			if !now.Before(at) {
				delete(d.undo, at)
				f()
			}
		}
		if steps%(15*48) == 0 {
			d.backup()
		}
		if on := d.day(now); on >= next && on < d.length-7 {
			d.disturbance()
			next = on + 0.1 + 6*d.rng.Float64()
		}
		d.peer(now, steps%24 == 0)
		<-d.quiet
	}
}

// peer sees what is served, and sometimes whether that is what it should be.
func (d *disturbed) peer(now time.Time, compare bool) {
	for _, name := range d.names {
		leaf := d.served(name)
		switch {
		case leaf == nil:
			if d.day(now) > 1 {
				d.expiry = append(d.expiry, fmt.Sprintf("%s: nothing served on day %.2f", name, d.day(now)))
			}
			continue
		case now.Before(leaf.NotAfter), now.Before(d.excused[name]):
		default:
			d.expiry = append(d.expiry, fmt.Sprintf("%s on day %.2f, ended on %.2f", name, d.day(now), d.day(leaf.NotAfter)))
		}
		if compare && now.Sub(d.touched[name]) > settle {
			if wrong := d.wrong(name, leaf); wrong != "" {
				d.late = append(d.late, fmt.Sprintf("%s on day %.2f: %s", name, d.day(now), wrong))
			}
		}
	}
}

// wrong says what is not as it should be of a target; "": all is.
func (d *disturbed) wrong(name string, served *x509.Certificate) string {
	newest, err := d.store.Newest(name)
	if err != nil {
		return err.Error()
	}
	if live, err := d.store.LiveID(name); err != nil || live != newest.ID {
		return fmt.Sprintf("live is %s, %v, not %s", live, err, newest.ID)
	}
	if !served.Equal(newest.Pair.Leaf) {
		return fmt.Sprintf("served is not %s but one of day %.2f", newest.ID, d.day(served.NotBefore))
	}
	for file, want := range map[string][]byte{".crt": newest.Pair.FullChain(), ".key": newest.Pair.Key()} {
		mode := map[string]fs.FileMode{".crt": 0o644, ".key": 0o600}[file]
		path := filepath.Join(d.front.dir, name+file)
		data, _ := os.ReadFile(path)
		info, err := os.Stat(path)
		if err != nil || string(data) != string(want) || info.Mode().Perm() != mode {
			return name + file + " is not as it should be"
		}
	}
	return ""
}

// judge fails the test for what went wrong.
func (d *disturbed) judge() {
	for _, e := range append(d.expiry, d.late...) {
		d.t.Errorf("wrong: %s", e)
	}
	for _, o := range d.over {
		d.t.Errorf("asked for more than the limit: %s", o)
	}
	for _, name := range d.names {
		part := 2.0 / 3
		if lives[name] < 10*day {
			part = 0.5
		}
		usual := d.length*float64(day)/(float64(lives[name])*part) + 1
		if got := len(d.issued[name]); float64(got) > usual*1.1+float64(d.lost[name])+2 {
			d.t.Errorf("%s: %d orders, want about %.0f and %d for lost pairs", name, got, usual, d.lost[name])
		}
		d.t.Logf("%s: %d orders, usually %.0f, %d lost pairs", name, len(d.issued[name]), usual, d.lost[name])
	}
	d.t.Logf("%d things done or told, told: %v", len(d.log), d.told)
	if d.t.Failed() {
		for _, line := range d.log {
			d.t.Log(line)
		}
	}
}
