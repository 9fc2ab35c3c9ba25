package years

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"keypaird/acme/orderlog"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/notify"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/renewtest"
)

const day = 24 * time.Hour

// Years are a world in which years pass in seconds: CAs with windows of renewal,
// limits and bad days, a proxy with a bad day, a machine that sleeps, and a clock
// that is set. True time is what the CAs and peers live in. What is counted is
// for judge.
type years struct {
	t     *testing.T
	store *keypair.Store
	logs  orderLogs
	born  time.Time
	calm  bool // CAs have no bad days

	mu      sync.Mutex
	slept   time.Duration // by the machine: true time went on, its other clock did not
	wrong   time.Duration // the wall clock is ahead of true time
	awake   time.Time     // true time at which the machine last woke, or its clock was set right
	issued  map[string][]stamp
	pairs   map[string][]*keypair.Pair // likewise
	over    []string                   // requests beyond what the CA grants, while the clock was right
	vain    int                        // orders at a CA that was down
	windows map[string]answer          // by serial number: the last that was told
	serves  map[string]*x509.Certificate
	refuses time.Time // the proxy's bad day begins
	refused int       // deployments on it
	expiry  []string  // what peers saw
	worst   map[string]float64
	told    map[notify.Kind]int
	asked   int
}

// A stamp is a certificate.
type stamp struct {
	at     time.Time
	serial string
}

// An answer is a window of renewal.
type answer struct {
	start, end, at time.Time
	moved          bool
}

// Days of these years on which something is out of the ordinary.
const (
	wrongClock = 140 // ten years ahead, for a moment
	caDown     = 200 // for a week
	proxyDown  = 300 // for a day, from the first deployment
	moveFrom   = 370 // the CA wants certificates replaced later than it used to
	moveUntil  = 450
	incident   = 500 // all certificates are to be replaced at once
	confusion  = 550 // and for three days each new one, too
)

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

// day is how many days have passed.
func (y *years) day(now time.Time) float64 { return float64(now.Sub(y.born)) / float64(day) }

// onDay reports whether so many days have passed, and fewer than until.
func (y *years) onDay(from, until float64) bool {
	days := y.day(y.trueTime())
	return from <= days && days < until
}

// A bad day of a CA.
type caError struct{ what string }

func (e caError) Error() string   { return e.what }
func (e caError) Temporary() bool { return true }

func (y *years) down(ca string) bool { return ca == "le" && !y.calm && y.onDay(caDown, caDown+7) }

// target is one for a host of its own, with two CAs.
func (y *years) target(name string, proxy renew.Deployer) renew.Target {
	t := renew.Target{Name: name, Names: []string{name + ".test"}, KeyType: "ec256", Deploy: []renew.Deployer{proxy}}
	for _, ca := range []string{"le", "zerossl"} {
		t.Issuers = append(t.Issuers, &renewtest.AskedCA{
			CA: renewtest.CA{
				Name:  ca,
				Order: func(ctx context.Context, o renew.Order) (*keypair.Pair, error) { return y.obtain(ctx, t, ca, o) },
				Held:  func(current *x509.Certificate) renew.Limit { return y.logs.limit(ca, t.Names, current) },
			},
			Suggest: func(leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) { return y.suggest(ca, leaf) },
		})
	}
	return t
}

// obtain is a CA, asked only for what its order log allows. It refuses more
// certificates than that, and none may be asked for while the clock is right.
func (y *years) obtain(ctx context.Context, t renew.Target, ca string, o renew.Order) (*keypair.Pair, error) {
	down, now, local := y.down(ca), y.trueTime().Truncate(time.Second), y.wall()
	if err := y.logs.reserve(ctx, ca, t.Names, o, orderlog.NewOrder); err != nil {
		y.t.Errorf("%s on day %.1f: a pass orders although the log does not allow it: %v", t.Name, y.day(now), err)
		return nil, err
	}
	if !down {
		if err := y.logs.reserve(ctx, ca, t.Names, o, orderlog.Finalize); err != nil {
			return nil, err
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if down {
		y.vain++
		return nil, &renew.OrderError{TryNextCA: true, CAWide: true, Err: caError{"down"}}
	}
	name, daily, weekly := t.Name, 0, 0
	for _, s := range y.issued[name] {
		if age := now.Sub(s.at); age < 7*day {
			weekly++
			if age < day {
				daily++
			}
		}
	}
	if daily >= 2 || weekly >= 4 {
		if on := y.day(now); on < wrongClock || on >= wrongClock+7 {
			y.over = append(y.over, fmt.Sprintf("%s at %s on day %.1f, after %d within a day, %d within a week", name, ca, on, daily, weekly))
		}
		return nil, &renew.OrderError{Err: errors.New("too many certificates")}
	}
	pair, err := pairtest.Issue(t.Names, now.Add(-time.Hour), lives[name])
	if err != nil {
		return nil, err
	}
	y.issued[name] = append(y.issued[name], stamp{now, pair.Leaf.SerialNumber.String()})
	y.pairs[name] = append(y.pairs[name], pair)
	if local.After(pair.Leaf.NotAfter) || local.Before(pair.Leaf.NotBefore) {
		err = errors.New("the certificate is not valid by our clock")
	}
	return pair, err
}

// suggest is the CA's renewal information: two thirds into the lifetime, half for
// the short-lived, a hundredth of it wide on both sides.
func (y *years) suggest(ca string, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
	if y.down(ca) {
		return renewalinfo.SuggestedWindow{}, caError{"down"}
	}
	now := y.trueTime()
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked++
	next := y.wallLocked().Add(12 * time.Hour)
	on, made := y.day(now), y.day(leaf.NotBefore)
	if !y.calm && (made < incident && on >= incident || confusion <= on && on < confusion+3) {
		return renewalinfo.SuggestedWindow{Start: now.Add(-time.Hour), End: now.Add(-30 * time.Minute), Explanation: "https://ca.example/incident", Next: next}, nil
	}
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	middle := leaf.NotBefore.Add(life * 2 / 3)
	if life < 10*day {
		middle = leaf.NotBefore.Add(life / 2)
	}
	moved := !y.calm && moveFrom <= on && on < moveUntil
	if moved {
		middle = middle.Add(life / 12)
	}
	a := answer{middle.Add(-life / 100), middle.Add(life / 100), now, moved}
	y.windows[leaf.SerialNumber.String()] = a
	return renewalinfo.SuggestedWindow{Start: a.start, End: a.end, Next: next}, nil
}

func (y *years) wallLocked() time.Time { return time.Now().Add(y.slept + y.wrong).Round(0) }

// deploy is a proxy that serves what it is given, and refuses for a day.
func (y *years) deploy(changes []renew.Change) []renew.Result {
	now := y.trueTime()
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.refuses.IsZero() && y.day(now) > proxyDown {
		y.refuses = now
	}
	if age := now.Sub(y.refuses); 0 <= age && age < day {
		y.refused++
		return renewtest.All(changes, renew.Result{Outcome: renew.RolledBack, Err: errors.New("no such proxy")})
	}
	for _, c := range changes {
		y.serves[c.Name] = c.New.Leaf
	}
	return make([]renew.Result, len(changes))
}

func (y *years) Send(_ context.Context, notices []notify.Notice) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.told[notices[0].Kind]++
	for _, n := range notices {
		y.t.Logf("day %.3f: %s: %s: %s", y.day(y.wallLocked().Add(-y.wrong)), n.Target, n.Kind, n.Error)
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
			y.expiry = append(y.expiry, fmt.Sprintf("%s on day %.1f", name, y.day(now)))
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
		fate{day: wrongClock, wrong: 10 * 365 * day}, fate{day: wrongClock + 0.1, wrong: 0},
		fate{day: 150, wrong: -20 * 365 * day}, fate{day: 150.5, wrong: 0},
		fate{day: 600, sleep: 3 * day},
	)
}
