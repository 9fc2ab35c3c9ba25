package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/record"
	"keypaird/renew/renewalinfo"
)

// A testFleet is what machines have in common of one target: the certificate that was
// published last. One of them orders, some may deploy.
type testFleet struct {
	mu       sync.Mutex
	have     *Taken // nil: nothing
	seat     string // who orders
	wave     []string
	down     error            // of Publish
	reported map[string]State // by machine
	keep     func(m *member, s State) error
	missing  []string // have not verified the newest
}

// A member is a Sharing, and the machine that has it.
type member struct {
	*world
	fleet *testFleet
	name  string
	until time.Time // of OrderHold
	lost  bool      // what was taken is no longer stored
	shop  *shop     // the certificate is external; nil: it is ordered
}

// newFleet returns machines whose stores have nothing in common.
func newFleet(t *testing.T, names ...string) (*testFleet, []*member) {
	t.Helper()
	f := &testFleet{seat: names[0], wave: names, reported: map[string]State{}}
	var members []*member
	for _, name := range names {
		members = append(members, &member{world: newWorld(t), fleet: f, name: name})
	}
	return f, members
}

func (m *member) Take(_ context.Context, s State) (*Taken, error) {
	if m.fleet.have == nil || m.fleet.have.Serial <= s.Record.Fleet.Serial && !m.lost {
		return nil, nil
	}
	return m.fleet.have, nil
}

func (m *member) OrderHold(time.Time, State, Mode) Limit {
	if m.fleet.seat != m.name {
		return Limit{Until: m.until, Err: errors.New(m.fleet.seat + " orders for the fleet")}
	}
	return Limit{}
}

func (m *member) DeployHold(_ time.Time, s State) Limit {
	if !slices.Contains(m.fleet.wave, m.name) && m.fleet.have != nil && m.fleet.have.Pair.Fingerprint() == s.Fingerprint {
		return Limit{Err: errors.New("waits for its wave: " + m.fleet.wave[0] + " first")}
	}
	return Limit{}
}

func (m *member) Lacks(State) bool { return m.fleet.have == nil }

func (m *member) Publish(_ context.Context, s State, p *keypair.Pair) (uint64, error) {
	m.fleet.mu.Lock() // several targets of a test may have one machine
	defer m.fleet.mu.Unlock()
	if m.fleet.down != nil {
		return 0, m.fleet.down
	}
	m.fleet.have = &Taken{Pair: p, Ordering: s.Record.Ordering, Serial: max(s.Record.Fleet.Serial, m.serial()) + 1}
	return m.fleet.have.Serial, nil
}

func (m *member) Keep(_ context.Context, s State) error {
	if m.fleet.keep == nil {
		return nil
	}
	return m.fleet.keep(m, s)
}

func (m *member) Verified(s State) (string, []string) {
	if len(m.fleet.missing) > 0 {
		return s.Record.TLSA.Everywhere, m.fleet.missing
	}
	return s.Fingerprint, nil
}

func (m *member) serial() uint64 {
	if m.fleet.have == nil {
		return 0
	}
	return m.fleet.have.Serial
}

func (m *member) Reported(s State, _ error) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.reported[m.name] = s
}

// target is the target as the machine has it.
func (m *member) target() Target {
	t := named("chat")[0]
	if m.shop != nil {
		t.Names, t.Issuers = nil, m.shop.target().Issuers
	}
	t.Sharing = m
	return t
}

func (m *member) run(t *testing.T, mode Mode) Report {
	t.Helper()
	return m.report(t.Context(), mode, m.target())
}

// runs is run without errors.
func (m *member) runs(t *testing.T, mode Mode) {
	t.Helper()
	wantErrors(t, m.run(t, mode).Errs)
}

func (m *member) state(t *testing.T) State {
	t.Helper()
	s, err := LoadState(m.store, m.bind(m.target())[0])
	must(t, err)
	return s
}

// wants checks how often the machine ordered and deployed, and the release that it has.
func (m *member) wants(t *testing.T, ordered, deployed int, serial uint64) {
	t.Helper()
	if got := m.counts(); got != [2]int{ordered, deployed} {
		t.Errorf("%s ordered %d and deployed %d times, want %d and %d", m.name, got[0], got[1], ordered, deployed)
	}
	s := m.state(t)
	if want := (record.Fleet{Serial: serial, Fingerprint: s.Fingerprint}); s.Record.Fleet != want {
		t.Errorf("%s recorded %+v, want %+v", m.name, s.Record.Fleet, want)
	}
}

// One machine orders, the other takes what it ordered, deploys it when it may, and orders
// nothing, whoever asks.
func TestSharing(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	one, two := m[0], m[1]
	wantErrors(t, two.run(t, Scheduled).Errs)
	for _, mode := range []Mode{Manual, Force} {
		wantErrors(t, two.run(t, mode).Errs, "no certificate, but one orders for the fleet")
	}
	two.wants(t, 0, 0, 0)
	f.wave = f.wave[:1]
	one.runs(t, Scheduled)
	one.wants(t, 1, 1, 1)
	if len(one.forgotten) != 1 {
		t.Errorf("orders forgotten: %v", one.forgotten)
	}
	two.runs(t, Scheduled) // nothing is in use there: it does not wait
	two.wants(t, 0, 1, 1)
	if a, b := one.state(t), two.state(t); a.Fingerprint != b.Fingerprint || b.Record.CA != "le" || !b.Live || f.reported["two"].Record.Deployments["relayd"].Verified != a.Fingerprint {
		t.Errorf("two has %.8s of %q, live %v; reported %+v", b.Fingerprint, b.Record.CA, b.Live, f.reported["two"].Record.Deployments)
	}

	one.runs(t, Force)
	one.wants(t, 2, 2, 2)
	before := two.state(t)
	r := two.run(t, Scheduled)
	wantErrors(t, r.Errs)
	if s := two.state(t); s.Live || s.InUse == nil || !s.InUse.Equal(before.Leaf) || len(r.Done) > 0 {
		t.Errorf("what must wait is live: %v, done: %+v", s.Live, r.Done)
	}
	two.wants(t, 0, 1, 2)
	if wait := time.Until(r.Next["chat"]); wait < holdCheck-time.Minute || wait > holdCheck {
		t.Errorf("the next pass is in %v, want %v", wait, holdCheck)
	}
	f.wave = []string{"one", "two"}
	two.runs(t, Scheduled)
	two.wants(t, 0, 2, 2)

	f.seat = "two" // which is not due
	one.runs(t, Scheduled)
	two.runs(t, Scheduled)
	two.runs(t, Force)
	one.runs(t, Scheduled)
	two.wants(t, 1, 3, 3)
	one.wants(t, 2, 3, 3)
}

// The operator need not wait for a wave.
func TestSharingByOperator(t *testing.T) {
	for _, mode := range []Mode{Manual, Force, Redeploy} {
		f, m := newFleet(t, "one", "two")
		m[0].runs(t, Scheduled)
		m[1].runs(t, Scheduled)
		m[0].runs(t, Force)
		f.wave = f.wave[:1]
		r := m[1].run(t, mode)
		wantErrors(t, r.Errs)
		m[1].wants(t, 0, 2, 2)
	}
}

// A certificate that could not be published is published by the next pass, and its order
// is kept until then, so that another machine can go on with it. Nothing is ordered twice.
func TestPublishLater(t *testing.T) {
	crash := func(*testing.T, *member, *keypair.Pair) {}
	for _, tt := range []struct {
		name  string
		crash func(t *testing.T, one *member, p *keypair.Pair) // what is lost
	}{
		{"publishing fails", crash},
		{"a crash before it is recorded", func(t *testing.T, one *member, _ *keypair.Pair) {
			must(t, one.store.RemoveAll("chat", "record.json"))
		}},
	} {
		for _, moved := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{true: ", and another machine orders"}[moved], func(t *testing.T) {
				f, m := newFleet(t, "one", "two")
				one, two := m[0], m[1]
				pair, err := issue([]string{"chat.test"}, time.Now(), 90*day)
				must(t, err)
				for _, w := range m { // the order is shared, too: whoever goes on with it has its certificate
					w.certify = func(Target, Order) (*keypair.Pair, error) { return pair, nil }
				}
				f.down = errors.New("the engine is away")
				one.runs(t, Scheduled)
				if s := one.state(t); s.Fingerprint != pair.Fingerprint() || s.Record.Fleet.Serial != 0 || len(one.forgotten) != 0 {
					t.Fatalf("stored %.8s, recorded %+v, orders forgotten: %v", s.Fingerprint, s.Record.Fleet, one.forgotten)
				}
				one.runs(t, Scheduled) // still away
				tt.crash(t, one, pair)
				if f.down = nil; moved {
					f.seat = "two"
					two.runs(t, Scheduled)
				}
				one.runs(t, Scheduled)
				two.runs(t, Scheduled)
				one.runs(t, Scheduled)
				if one.state(t).Version != "v000001" || two.state(t).Version != "v000001" || f.serialNow() != 1 {
					t.Errorf("versions %s and %s, serial %d; want the first", one.state(t).Version, two.state(t).Version, f.serialNow())
				}
				if len(one.obtained) != 1 || len(two.obtained) != map[bool]int{true: 1}[moved] {
					t.Errorf("ordered %v and %v", one.obtained, two.obtained)
				}
				if len(one.forgotten) == 0 && !moved {
					t.Error("the order is still there")
				}
				if r := one.state(t).Record; r.Fleet.Serial != 1 || r.Fleet.Fingerprint != pair.Fingerprint() {
					t.Errorf("recorded %+v", r.Fleet)
				}
			})
		}
	}
}

func (f *testFleet) serialNow() uint64 {
	if f.have == nil {
		return 0
	}
	return f.have.Serial
}

// What others have lost is published again; nothing is ordered.
func TestPublishAgain(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	m[0].runs(t, Scheduled)
	m[1].runs(t, Scheduled)
	f.have = nil
	m[1].runs(t, Scheduled) // it does not order, and so does not publish
	if f.have != nil {
		t.Error("published by a machine that does not order")
	}
	m[0].runs(t, Scheduled)
	m[0].wants(t, 1, 1, 2)
	m[1].runs(t, Scheduled)
	m[1].wants(t, 0, 1, 2)
}

// What does not fit is refused, and the operator is told; what is stored stays.
func TestTakeRefused(t *testing.T) {
	old, err := issue([]string{"chat.test"}, time.Now().Add(-91*day), 90*day)
	must(t, err)
	other, err := issue([]string{"mail.test"}, time.Now(), 90*day)
	must(t, err)
	for _, tt := range []struct {
		name string
		have Taken
		want string
	}{
		{"for other names", Taken{Pair: other, Serial: 2}, `it is for "mail.test", and for none of the names configured here: "chat.test"`},
		{"expired", Taken{Pair: old, Serial: 2}, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, m := newFleet(t, "one", "two")
			m[0].runs(t, Scheduled)
			m[1].runs(t, Scheduled)
			before := m[1].state(t)
			f.have = &tt.have
			r := m[1].run(t, Scheduled)
			wantErrors(t, r.Errs, `cert "chat": taking its certificate from the fleet: `)
			if !strings.Contains(r.Errs[0].Error(), tt.want) {
				t.Errorf("error = %v, want %q", r.Errs[0], tt.want)
			}
			if s := m[1].state(t); s.Version != before.Version || s.Record.Fleet != before.Record.Fleet {
				t.Errorf("version %s, recorded %+v", s.Version, s.Record.Fleet)
			}
			m[1].wants(t, 0, 1, 1)
		})
	}
	j := &job{Target: named("chat")[0]}
	j.state.Record.Fleet.Serial = 3
	for _, serial := range []uint64{0, 2} {
		if err := j.fits(&Taken{Pair: other, Serial: serial}, time.Now()); err == nil || !strings.Contains(err.Error(), "serial number") {
			t.Errorf("serial number %d after 3: %v", serial, err)
		}
	}
}

// The machines go back to an older certificate: what is deployed is newer then, and is
// not stored again.
func TestFleetGoesBack(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	m[0].runs(t, Scheduled)
	m[1].runs(t, Scheduled)
	newer := f.have.Pair
	older, err := issue([]string{"chat.test"}, time.Now().Add(-day), 90*day)
	must(t, err)
	f.have, f.wave = &Taken{Pair: older, Serial: 2}, f.wave[:1]
	m[1].specs = map[string]DeploySpec{"chat": {Signature: "touched", Inspection: Inspection{Newer: newer}}}
	for range 3 {
		m[1].runs(t, Scheduled)
	}
	if s := m[1].state(t); s.Fingerprint != older.Fingerprint() || s.Version != "v000002" {
		t.Errorf("stored %.8s as %s, want the older one", s.Fingerprint, s.Version)
	}
	f.wave = []string{"one", "two"}
	m[1].runs(t, Scheduled)
	m[1].wants(t, 0, 2, 2)

	// But a machine whose store was restored from a backup has lost what it deployed.
	rec := m[1].state(t).Record
	rec.Deployments = map[string]Deployment{"relayd": {Deployed: older.Fingerprint(), Verified: older.Fingerprint()}}
	must(t, new(Records).Save(m[1].store, "chat", rec))
	m[1].runs(t, Scheduled)
	if s := m[1].state(t); s.Fingerprint != newer.Fingerprint() {
		t.Errorf("stored %.8s, want what is deployed", s.Fingerprint)
	}
}

// What was taken and is no longer stored is taken again.
func TestTakeAgain(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	m[0].runs(t, Scheduled)
	m[1].runs(t, Scheduled)
	for _, name := range []string{"v000001", "live"} {
		must(t, os.RemoveAll(filepath.Join(m[1].store.Dir("chat"), name)))
	}
	m[1].lost = true
	m[1].runs(t, Scheduled)
	m[1].wants(t, 0, 2, 1) // whether what is deployed has the same chain is not known
	if s := m[1].state(t); s.Fingerprint != f.have.Pair.Fingerprint() || !s.Live {
		t.Errorf("stored %.8s, live %v", s.Fingerprint, s.Live)
	}
}

// An external certificate is imported by the machine that orders. The files of the others
// count when they are newer.
func TestSharedExternal(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	one, two := m[0], m[1]
	one.shop, two.shop = newShop(t), newShop(t)
	next := func(m *member) string {
		t.Helper()
		s := m.state(t)
		LoadHolds(time.Now(), m.target(), &s, Scheduled)
		d := Decide(time.Now(), m.target(), s, Scheduled)
		return string(d.Action) + ": " + d.Why
	}
	want := func(m *member, want string) {
		t.Helper()
		if got := next(m); got != want {
			t.Errorf("%s: %s, want %s", m.name, got, want)
		}
	}
	replace := func(m *member, p *keypair.Pair) {
		m.shop.Write(m.shop.Chain, p.FullChain())
		m.shop.Write(m.shop.Key, p.Key())
	}
	pairs := make([]*keypair.Pair, 4) // each newer than the one before
	for i := range pairs {
		var err error
		pairs[i], err = issue([]string{"shop.test"}, time.Now().Add(time.Duration(i-4)*time.Hour), 90*day)
		must(t, err)
	}
	has := func(m *member, serial uint64, p *keypair.Pair) {
		t.Helper()
		if s := m.state(t); s.Fingerprint != p.Fingerprint() || s.Record.Fleet.Serial != serial {
			t.Errorf("%s has %.8s as release %d, want %.8s as %d", m.name, s.Fingerprint, s.Record.Fleet.Serial, p.Fingerprint(), serial)
		}
	}

	replace(one, pairs[1])
	one.runs(t, Scheduled)
	two.runs(t, Scheduled) // without files
	has(two, 1, pairs[1])
	want(two, "none: external")
	replace(two, pairs[0])
	f.have = &Taken{Pair: pairs[1], Ordering: f.have.Ordering, Serial: 2}
	two.runs(t, Scheduled) // with old ones
	has(two, 2, pairs[1])
	want(two, "none: external")

	replace(two, pairs[2])
	two.runs(t, Scheduled)
	has(two, 2, pairs[1])
	want(two, "wait: its files changed, but one orders for the fleet")
	replace(one, pairs[2])
	one.runs(t, Scheduled)
	has(one, 3, pairs[2])
	two.runs(t, Scheduled)
	has(two, 3, pairs[2])
	want(two, "none: external")

	replace(two, pairs[3])
	f.have = &Taken{Pair: pairs[2], Ordering: f.have.Ordering, Serial: 4}
	two.runs(t, Scheduled)
	has(two, 4, pairs[2])
	want(two, "wait: its files changed, but one orders for the fleet")
	f.seat = "two"
	two.runs(t, Manual) // two imports by the daemon are a minute apart
	has(two, 5, pairs[3])
}

// A pair that was made for other names of the target is taken: configurations change
// on one machine after the other.
func TestTakeOfSomeNames(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	wider, err := issue([]string{"chat.test", "new.test"}, time.Now(), 90*day)
	must(t, err)
	f.have = &Taken{Pair: wider, Serial: 7}
	m[1].runs(t, Scheduled)
	m[1].wants(t, 0, 1, 7)
}

// A gathering is a member that takes nothing until so many targets are asked for at once.
type gathering struct {
	*member
	missing *sync.WaitGroup
}

func (g gathering) Take(ctx context.Context, _ State) (*Taken, error) {
	all := make(chan struct{})
	g.missing.Done()
	go func() { g.missing.Wait(); close(all) }()
	select {
	case <-all:
		return nil, nil
	case <-time.After(10 * time.Second):
		return nil, errors.New("not all at once")
	}
}

// More certificates are taken at once than ordered: what is taken waits for the disk.
func TestTakenAtOnce(t *testing.T) {
	_, m := newFleet(t, "one")
	var missing sync.WaitGroup
	targets := named("a", "b", "c", "d", "e", "f", "g", "h")
	missing.Add(len(targets))
	for i := range targets {
		targets[i].Sharing = gathering{m[0], &missing}
	}
	_, errs := m[0].pass(t.Context(), Scheduled, targets...)
	wantErrors(t, errs)
}

// An order that is held while it is made is no failure of the CA, and no other is asked.
func TestOrderHeldMeanwhile(t *testing.T) {
	_, m := newFleet(t, "one")
	m[0].obtain = func(context.Context, Target) error {
		return &OrderError{Held: true, Err: errors.New("not permitted: the term is over")}
	}
	target := m[0].target()
	target.Issuers = cas("le", "zerossl")
	_, errs := m[0].pass(t.Context(), Scheduled, target)
	wantErrors(t, errs, "the term is over")
	if s := m[0].state(t); len(s.Record.Orders) > 0 || len(m[0].obtained) != 1 {
		t.Errorf("recorded %+v, asked %v", s.Record.Orders, m[0].asked)
	}
}

// A machine that does not order asks no CA about its certificate, and makes no next key.
func TestHeldMachineIsSilent(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	asked := map[string]int{}
	for _, w := range m {
		w.suggest = func(string, *x509.Certificate) (renewalinfo.SuggestedWindow, error) {
			asked[w.name]++
			return renewalinfo.SuggestedWindow{Next: time.Now().Add(6 * time.Hour)}, nil
		}
	}
	m[0].runs(t, Scheduled)
	target := m[1].target()
	target.TLSA = []string{"_25._tcp.chat.test"}
	_, errs := m[1].pass(t.Context(), Scheduled, target)
	wantErrors(t, errs)
	if asked["one"] != 1 || asked["two"] != 0 {
		t.Errorf("asked %v, want one alone", asked)
	}
	if _, err := m[1].store.ReadFile("chat", NextKeyFile); !keypair.None(err) {
		t.Errorf("next key: %v, want none", err)
	}
	if f.seat = "two"; len(m[1].obtained) != 0 {
		t.Errorf("ordered %v", m[1].obtained)
	}
}

// Decide heeds what keeps this machine from ordering in every mode, and from deploying in
// a scheduled pass while there is time.
func TestDecideHolds(t *testing.T) {
	orders := Limit{Err: errors.New("mx1 orders for all")}
	wave := Limit{Err: errors.New("waits for its wave: mx1 first")}
	until := now.Add(time.Hour)
	undeployed := with(func(r *Record) { r.Deployments = nil })
	for _, tt := range []struct {
		name   string
		age    time.Duration // of the newest, and of what is in use
		record Record
		order  Limit
		deploy Limit
		mode   Mode
		want   Decision
	}{
		{"due", 61 * day, done(), orders, Limit{}, Scheduled, Decision{Action: Wait, Why: "due, but mx1 orders for all"}},
		{"due, until a time", 61 * day, done(), Limit{Until: until, Err: orders.Err}, Limit{}, Scheduled, Decision{Wait, "due, but mx1 orders for all", until}},
		{"due, until a time that has passed", 61 * day, done(), Limit{Until: now, Err: orders.Err}, Limit{}, Scheduled, Decision{Action: Wait, Why: "due, but mx1 orders for all"}},
		{"due, by the operator", 61 * day, done(), orders, Limit{}, Manual, Decision{Action: Wait, Why: "due, but mx1 orders for all"}},
		{"forced", day, done(), orders, Limit{}, Force, Decision{Action: Wait, Why: "forced, but mx1 orders for all"}},
		{"ends soon", 80 * day, done(), orders, Limit{}, Scheduled, Decision{Action: Wait, Why: "due, but mx1 orders for all"}},
		{"not due", day, done(), orders, Limit{}, Scheduled, Decision{None, "not due", now.Add(59 * day)}},
		{"due, and not deployed", 61 * day, undeployed, orders, Limit{}, Scheduled, Decision{Deploy, "stored but not deployed", now.Add(-day)}},
		{"not deployed", day, undeployed, orders, wave, Scheduled, Decision{Action: Wait, Why: "stored but not deployed; waits for its wave: mx1 first"}},
		{"not deployed, by the operator", day, undeployed, orders, wave, Manual, Decision{Deploy, "stored but not deployed", now.Add(59 * day)}},
		{"again, by the operator", day, done(), orders, wave, Redeploy, Decision{Deploy, "asked for", now.Add(59 * day)}},
		{"not deployed, ends soon", 80 * day, undeployed, Limit{}, wave, Scheduled, Decision{Action: Issue, Why: "due", At: now.Add(-20 * day)}},
		{"not deployed, ends soon, held", 80 * day, undeployed, orders, wave, Scheduled, Decision{Deploy, "stored but not deployed", now.Add(-20 * day)}},
		{"nothing to deploy", day, done(), Limit{}, wave, Scheduled, Decision{None, "not due", now.Add(59 * day)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{
				Leaf: ours(tt.age, 90*day), InUse: ours(tt.age, 90*day), Live: true, Fingerprint: "f", Record: tt.record,
				OrderHold: tt.order, DeployHold: tt.deploy,
			}
			if got := Decide(now, chat, s, tt.mode); got != tt.want {
				t.Errorf("Decide = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// The failures that the machine recorded which ordered before hold for the next one.
func TestTakenFailuresHold(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	m[0].runs(t, Scheduled)
	f.have.Ordering.Orders = map[string]backoff.Attempt{"le": {Failures: 2, Next: time.Now().Add(time.Hour)}}
	m[1].runs(t, Scheduled)
	if got := m[1].state(t).Record.Orders["le"].Failures; got != 2 {
		t.Errorf("%d failures, want 2", got)
	}
	f.have = &Taken{Pair: f.have.Pair, Ordering: Ordering{Fingerprint: "of another", CA: "x"}, Serial: 2}
	m[1].runs(t, Scheduled)
	if r := m[1].state(t).Record; r.CA != "" || r.Fleet.Serial != 2 {
		t.Errorf("what is of another certificate was recorded: %+v", r)
	}
}

// A revoked certificate that the fleet went back to is replaced.
func TestTakenRevoked(t *testing.T) {
	f, m := newFleet(t, "one", "two")
	m[0].runs(t, Scheduled)
	first := f.have.Pair
	m[0].runs(t, Force)
	ordering := f.have.Ordering
	ordering.Revoked = record.Revocation{Fingerprint: first.Fingerprint(), At: time.Now()}
	f.have = &Taken{Pair: first, Ordering: ordering, Serial: 3}
	m[0].runs(t, Scheduled)
	m[0].wants(t, 3, 3, 4)
}
