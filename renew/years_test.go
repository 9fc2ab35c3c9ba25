package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/keypair"
)

// Years are a world in which years pass in seconds: CAs with windows of renewal,
// limits and bad days, a proxy with a bad day, a machine that sleeps, and a clock
// that is set. True time is what the CAs and peers live in.
type years struct {
	t     *testing.T
	store *keypair.Store
	born  time.Time

	mu      sync.Mutex
	slept   time.Duration // by the machine: true time went on, its other clock did not
	wrong   time.Duration // the wall clock is ahead of true time
	awake   time.Time     // true time at which the machine last woke, or its clock was set right
	issued  map[string][]stamp
	moved   map[string]time.Duration // by fingerprint: where the CA moved the window
	serves  map[string]*x509.Certificate
	refuses time.Time // the proxy's bad day begins
	expiry  []string  // what peers saw
	worst   map[string]float64
	told    map[Kind]int
	asked   int
}

type stamp struct {
	at, local time.Time
	ca        string
}

// lives are the lifetimes of the targets' certificates.
var lives = map[string]time.Duration{"six": 160 * time.Hour, "fortyfive": 45 * day, "sixtyfour": 64 * day, "ninety": 90 * day}

func (y *years) trueTime() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return time.Now().Add(y.slept).Round(0)
}

func (y *years) wall() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return time.Now().Add(y.slept + y.wrong).Round(0)
}

// onDay reports whether so many days have passed, and fewer than until.
func (y *years) onDay(from, until float64) bool {
	days := float64(y.trueTime().Sub(y.born)) / float64(day)
	return from <= days && days < until
}

// A bad day of a CA.
type caError struct{ what string }

func (e caError) Error() string   { return e.what }
func (e caError) Temporary() bool { return true }

func (y *years) down(ca string) bool { return ca == "le" && y.onDay(200, 207) }

// Obtain is a CA: it refuses what the real one would, and what the ledger of
// keypaird/acme would not even ask for.
func (y *years) Obtain(_ context.Context, o Order) (*keypair.Pair, error) {
	if y.down(o.CA) {
		return nil, &OrderError{Elsewhere: true, Everyone: true, Err: caError{"down"}}
	}
	now, local := y.trueTime(), y.wall()
	y.mu.Lock()
	defer y.mu.Unlock()
	var lately, weekly int // in the CA's time, which the ledger goes by
	for _, s := range y.issued[o.Target.Name] {
		if age := now.Sub(s.at); s.ca == o.CA && age < week {
			weekly++
			if age < day {
				lately++
			}
		}
	}
	if lately >= 2 || weekly >= 4 {
		return nil, &OrderError{Err: errors.New("the ledger does not let us")}
	}
	y.issued[o.Target.Name] = append(y.issued[o.Target.Name], stamp{now, local, o.CA})
	pair, err := issue(o.Target.Names, now.Add(-time.Hour), lives[o.Target.Name])
	if err == nil && (local.After(pair.Leaf.NotAfter) || local.Before(pair.Leaf.NotBefore)) {
		err = errors.New("the certificate is not valid by our clock")
	}
	return pair, err
}

func (y *years) Settle(Target, *x509.Certificate) error { return nil }

// Advise is the CA's renewal information: two thirds into the lifetime, half for
// the short-lived, a hundredth of it wide on both sides.
func (y *years) Advise(_ context.Context, ca string, leaf *x509.Certificate) (Window, error) {
	if y.down(ca) {
		return Window{}, caError{"down"}
	}
	now := y.trueTime()
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked++
	next := y.wallLocked().Add(12 * time.Hour)
	if leaf.NotBefore.Before(y.born.Add(500*day)) && now.After(y.born.Add(500*day)) { // the incident: all are to be replaced at once
		return Window{now.Add(-time.Hour), now.Add(-30 * time.Minute), "https://ca.example/incident", next}, nil
	}
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	middle := leaf.NotBefore.Add(life * 2 / 3)
	if life < shortLived {
		middle = leaf.NotBefore.Add(life / 2)
	}
	middle = middle.Add(y.moved[leaf.SerialNumber.String()])
	return Window{middle.Add(-life / 100), middle.Add(life / 100), "", next}, nil
}

func (y *years) wallLocked() time.Time { return time.Now().Add(y.slept + y.wrong).Round(0) }

// Deploy is a proxy that serves what it is given, and refuses for a day.
func (y *years) Deploy(_ context.Context, _ string, changes []Change) ([]Outcome, error) {
	now := y.trueTime()
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.refuses.IsZero() && now.Sub(y.born) > 300*day {
		y.refuses = now
	}
	if age := now.Sub(y.refuses); 0 <= age && age < day {
		return make([]Outcome, len(changes)), errors.New("no such proxy") // all taken back
	}
	for _, c := range changes {
		y.serves[c.Name] = c.New.Leaf
	}
	return nil, nil
}

func (y *years) Notify(_ context.Context, notices []Notice) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.told[notices[0].Kind]++
	for _, n := range notices {
		y.t.Logf("day %.3f: %s: %s: %s", y.wallLocked().Add(-y.wrong).Sub(y.born).Hours()/24, n.Target, n.Kind, n.Error)
	}
	return nil
}

// look is a peer: what is served has not expired, unless the machine slept, or
// its clock was wrong, a moment ago.
func (y *years) look() {
	now := y.trueTime()
	y.mu.Lock()
	defer y.mu.Unlock()
	for name, leaf := range y.serves {
		left := float64(leaf.NotAfter.Sub(now)) / float64(leaf.NotAfter.Sub(leaf.NotBefore))
		if worst, ok := y.worst[name]; !ok || left < worst {
			y.worst[name] = left
		}
		if left <= 0 && now.Sub(y.awake) > 10*time.Minute {
			y.expiry = append(y.expiry, fmt.Sprintf("%s on day %.1f", name, now.Sub(y.born).Hours()/24))
		}
	}
}

// Fate is what happens to the machine, by true day.
type fate struct {
	day   float64
	sleep time.Duration // suspend
	wrong time.Duration // the clock is set ahead, or back, of true time
}

// live lets the years pass, half an hour at a time.
func (y *years) live(length float64, fates []fate) {
	for y.onDay(0, length) {
		time.Sleep(30 * time.Minute)
		for len(fates) > 0 && !y.onDay(0, fates[0].day) {
			y.mu.Lock()
			y.slept += fates[0].sleep
			y.wrong = fates[0].wrong
			y.awake = time.Now().Add(y.slept).Round(0)
			y.mu.Unlock()
			fates = fates[1:]
		}
		if y.onDay(400, 430) && rand.N(48*10) == 0 { // windows move now and then
			y.mu.Lock()
			for _, leaf := range y.serves {
				y.moved[leaf.SerialNumber.String()] = rand.N(leaf.NotAfter.Sub(leaf.NotBefore)/6) - leaf.NotAfter.Sub(leaf.NotBefore)/12
			}
			y.mu.Unlock()
		}
		y.look()
	}
}

// fates are nights asleep, a week away, and clocks set wrong in both ways.
func fates() []fate {
	var list []fate
	for d := 20.0; d < 60; d++ {
		list = append(list, fate{day: d, sleep: 9 * time.Hour})
	}
	return append(list,
		fate{day: 70, sleep: 2 * day}, fate{day: 90, sleep: 7 * day},
		fate{day: 120, wrong: 36 * time.Hour}, fate{day: 121, wrong: 0},
		fate{day: 130, wrong: -36 * time.Hour}, fate{day: 131, wrong: 0},
		fate{day: 140, wrong: 10 * 365 * day}, fate{day: 140.1, wrong: 0},
		fate{day: 150, wrong: -20 * 365 * day}, fate{day: 150.5, wrong: 0},
		fate{day: 600, sleep: 3 * day},
	)
}

func TestTwoYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := keypair.Open(filepath.Join(memory(t), "state"))
		must(t, err)
		defer store.Close()
		y := &years{
			t: t, store: store, born: time.Now().Round(0), issued: map[string][]stamp{}, moved: map[string]time.Duration{},
			serves: map[string]*x509.Certificate{}, worst: map[string]float64{}, told: map[Kind]int{},
		}
		y.awake = y.born
		var targets []Target
		for name := range lives {
			targets = append(targets, Target{Name: name, Names: []string{name + ".test"}, KeyType: "ec256", CAs: []string{"le", "zerossl"}, Deploy: []string{"relayd"}})
		}
		passes := 0
		pass := &Pass{
			Store: store, Obtainer: y, Deployer: y, Advisor: y, Crier: &Crier{Notifier: y}, Parallel: 4, Clock: y.wall,
			Window: threeInTheMorning, Log: slog.New(slog.DiscardHandler),
		}
		loop := &Loop{
			Clock: y.wall, Log: slog.New(slog.DiscardHandler),
			Schedule: func(after time.Time) time.Time { return after.Add(day) }, // seldom, as it would make good what else goes wrong
			Look: func(ctx context.Context, due map[string]bool) map[string]time.Time {
				passes++
				var some []Target
				for _, target := range targets {
					if due == nil || due[target.Name] {
						some = append(some, target)
					}
				}
				return pass.Run(ctx, some).Next
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		var daemon sync.WaitGroup
		daemon.Go(func() { loop.Run(ctx) })
		y.live(730, fates())
		stop()
		daemon.Wait()
		y.judge(passes)
	})
}

// judge reports what happened, and fails if anything expired or the budget was
// exceeded.
func (y *years) judge(passes int) {
	for _, e := range y.expiry {
		y.t.Errorf("expired: %s", e)
	}
	for name, list := range y.issued {
		var at []string
		for i, s := range list {
			at = append(at, fmt.Sprintf("%.1f", s.at.Sub(y.born).Hours()/24))
			if i >= 2 && s.at.Sub(list[i-2].at) < day && s.ca == list[i-2].ca && s.ca == list[i-1].ca && s.local.Sub(list[i-2].local).Abs() < day {
				y.t.Errorf("%s: three certificates within a day, on day %s", name, at[i])
			}
			if i >= 4 && s.at.Sub(list[i-4].at) < week {
				y.t.Errorf("%s: five certificates within a week, on day %s", name, at[i])
			}
		}
		if most := int(730*day/(lives[name]/2)) + 12; len(list) > most {
			y.t.Errorf("%s: %d orders, want %d at most", name, len(list), most)
		}
		y.t.Logf("%s: %d certificates in two years, at least %.0f%% of the lifetime left at any time, on days %s", name, len(list), 100*y.worst[name], strings.Join(at, " "))
	}
	if sum := y.told[Failing] + y.told[Expiring]; y.told[Failing] == 0 || y.told[Recovered] == 0 || sum > 20 {
		y.t.Errorf("told %v: want each, and a person left alone otherwise", y.told)
	}
	y.t.Logf("%d passes, %d questions for windows, told: %v", passes, y.asked, y.told)
}
