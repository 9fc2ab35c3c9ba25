package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/record"
	"keypaird/renew/rollover"
	"keypaird/renew/status"
	"keypaird/renew/tlsa"
)

// newNextKey makes a key, writes it as package renew does, and returns what is recorded then.
func (m *testMachine) newNextKey(st renew.State) renew.State {
	m.t.Helper()
	key, err := keypair.NewKey(m.t.Context(), "ec256")
	ok(m.t, err)
	data, err := keypair.MarshalKey(key)
	ok(m.t, err)
	ok(m.t, m.o.Store.WriteFile(domain, renew.NextKeyFile, data))
	st.Next, err = rollover.NewKey(key)
	ok(m.t, err)
	st.Record.TLSA.Next = st.Next.TLSA()
	return st
}

// shows returns the TLSA record of the next key that a node shows; "": none.
func (m *testMachine) shows() string {
	m.t.Helper()
	st := renew.State{}
	var err error
	st.Record, err = record.Load(m.o.Store, domain)
	ok(m.t, err)
	ok(m.t, renew.LoadNextKey(m.o.Store, renew.Target{Name: domain, TLSA: []string{"_25._tcp." + domain}, Sharing: m.Sharing(domain)}, &st))
	return st.Next.TLSA()
}

// published stores and publishes a pair, and returns the state of the target then.
func (m *testMachine) published(p *keypair.Pair) renew.State {
	m.t.Helper()
	_, err := m.o.Store.Add(domain, p)
	ok(m.t, err)
	st := renew.State{Leaf: p.Leaf, InUse: p.Leaf, Fingerprint: p.Fingerprint(), Live: true}
	st.Record.Fingerprint = st.Fingerprint
	serial, err := m.Sharing(domain).Publish(m.t.Context(), st, p)
	ok(m.t, err)
	st.Record.Fleet = record.Fleet{Serial: serial, Fingerprint: st.Fingerprint}
	ok(m.t, new(record.Records).Save(m.o.Store, domain, st.Record))
	return st
}

// taken has a node take the pair of the release, as package renew does.
func (m *testMachine) taken() renew.State {
	m.t.Helper()
	st := renew.State{}
	var err error
	st.Record, err = record.Load(m.o.Store, domain)
	ok(m.t, err)
	taken, err := m.Sharing(domain).Take(m.t.Context(), st)
	ok(m.t, err)
	if taken == nil {
		m.t.Fatalf("%s has nothing to take", m.Name())
	}
	_, err = m.o.Store.Add(domain, taken.Pair)
	ok(m.t, err)
	st.Leaf, st.InUse, st.Fingerprint, st.Live = taken.Pair.Leaf, taken.Pair.Leaf, taken.Pair.Fingerprint(), true
	st.Record.Ordering, st.Record.Fleet = taken.Ordering, record.Fleet{Serial: taken.Serial, Fingerprint: st.Fingerprint}
	ok(m.t, new(record.Records).Save(m.o.Store, domain, st.Record))
	return st
}

func issuedPair(t *testing.T) *keypair.Pair {
	t.Helper()
	p, err := pairtest.Issue([]string{domain}, time.Now(), 90*24*time.Hour)
	ok(t, err)
	return p
}

// The next key is in the engine before a node shows its record. The node that sits next shows
// the same one, even if the one before was killed at once.
func TestNextKeyTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		_ = b.begin()
		st := a.published(issuedPair(t))
		time.Sleep(time.Second)
		b.newNextKey(b.taken()) // one that it made earlier and that no longer counts
		if err := b.Sharing(domain).Keep(t.Context(), b.newNextKey(renew.State{})); err == nil || b.shows() != "" {
			t.Errorf("a node that does not sit gave its next key to the others: %v, and shows %q", err, b.shows())
		}
		st = a.newNextKey(st)
		w.server.Set(memory.Faults{Unreachable: true})
		if err := a.Sharing(domain).Keep(t.Context(), st); !errors.Is(err, acme.ErrNotPermitted) || a.shows() != "" {
			t.Errorf("kept without an engine: %v, shows %q", err, a.shows())
		}
		w.server.Set(memory.Faults{})
		time.Sleep(time.Minute)
		a.End()
		ok(t, a.begin(), a.Sharing(domain).Keep(t.Context(), st))
		a.client.Kill()
		time.Sleep(40 * time.Second)
		ok(t, b.begin())
		if got := b.shows(); got != st.Next.TLSA() {
			t.Errorf("b shows %q, a kept %q", got, st.Next.TLSA())
		}
	})
}

// A node that sits before it has noted the serial of what it has, as after the restore of an
// old snapshot, shows the next key of the fleet, too.
func TestNextKeyNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b")
		a, b := w.start("a", t.TempDir(), "a", "b"), w.start("b", t.TempDir(), "a", "b")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		p := issuedPair(t)
		st := a.newNextKey(a.published(p))
		st.Record.SetRevoked(p.Fingerprint(), time.Now())
		ok(t, a.Sharing(domain).Keep(t.Context(), st))
		time.Sleep(time.Second)
		_, err := b.o.Store.Add(domain, p)
		ok(t, err)
		old := b.newNextKey(renew.State{Fingerprint: p.Fingerprint()})
		old.Record.Fingerprint = p.Fingerprint()
		ok(t, new(record.Records).Save(b.o.Store, domain, old.Record))
		a.client.Kill()
		time.Sleep(40 * time.Second)
		ok(t, b.begin())
		taken, err := b.Sharing(domain).Take(t.Context(), old)
		ok(t, err)
		if taken == nil || taken.Serial != st.Record.Fleet.Serial || taken.Ordering.TLSA.Next != st.Next.TLSA() {
			t.Fatalf("taken %+v, want the serial %d and the next key %s", taken, st.Record.Fleet.Serial, st.Next.TLSA())
		}
		if taken.Ordering.Revoked != st.Record.Revoked {
			t.Errorf("revoked: %+v, want %+v", taken.Ordering.Revoked, st.Record.Revoked)
		}
		key, err := record.LoadNextKey(b.o.Store, domain, p.Leaf)
		if ok(t, err); key.TLSA() != st.Next.TLSA() {
			t.Errorf("the next key is %s, want %s", key.TLSA(), st.Next.TLSA())
		}
	})
}

// A next key that a compromised orderer had is not used: the pass of the new order replaces it,
// once, and the key of the release counts as known to that node until another one has taken its
// place.
func TestNextKeyOfRemovedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b", "c")
		dir := t.TempDir()
		a := w.start("a", dir, "a", "c")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		first := issuedPair(t)
		st := a.newNextKey(a.published(first))
		ok(t, a.Sharing(domain).Keep(t.Context(), st))
		a.End()
		a.stop()
		delete(w.members, "c")
		a = w.start("a", dir, "a", "b")
		time.Sleep(time.Minute)
		ok(t, a.begin())
		st.Record.TLSA.QueryAt = time.Now() // what is recorded changes, and its next key does not
		ok(t, a.Sharing(domain).Keep(t.Context(), st))
		a.End()
		read := func() string {
			data, err := a.o.Store.ReadFile(domain, renew.NextKeyFile)
			if keypair.None(err) {
				return ""
			}
			ok(t, err)
			return string(data)
		}
		var issued []string
		issue := func(_ context.Context, targets []string, force, newKey bool) (status.Results, error) {
			issued = append(issued, fmt.Sprint(targets, force, newKey))
			ok(t, a.begin())
			defer a.End()
			if _, err := a.Sharing(domain).Take(t.Context(), st); err != nil {
				t.Fatal(err)
			}
			if read() == "" {
				st = a.newNextKey(st)
				ok(t, a.Sharing(domain).Keep(t.Context(), st))
			}
			return nil, nil
		}
		remove := func(want int) (next string) {
			t.Helper()
			term, err := a.sits()
			ok(t, err)
			asked := &asks{node: a.Node, issue: issue, known: map[string]*engine.Op{}}
			_, err = asked.remove(t.Context(), term, document.Ask{Do: document.Remove, Node: "c", Compromised: true}, []string{domain})
			if ok(t, err); len(issued) != want {
				t.Fatalf("issued %q, want %d", issued, want)
			}
			return read()
		}
		had := read()
		second := remove(1)
		if second == had || second == "" {
			t.Error("the next key was not replaced")
		}
		if again := remove(2); again != second {
			t.Error("the next key was replaced again")
		}
		key, err := keypair.ParseKey([]byte(second))
		ok(t, err)
		p, err := pairtest.IssueFor(key, []string{domain}, time.Now(), 90*24*time.Hour)
		ok(t, err, a.begin())
		a.published(p)
		a.End()
		remove(2)
		if s, err := w.server.Client("observer").Read(t.Context(), "pairs/"); err != nil || len(s.Entries) != 1 {
			t.Errorf("%d pairs, %v", len(s.Entries), err)
		}
	})
}

// An order under way that a removed orderer knows is known to that node as a pair, too.
func TestOrderOfRemovedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b", "c")
		dir := t.TempDir()
		a := w.start("a", dir, "a", "c")
		time.Sleep(5 * time.Second)
		p := issuedPair(t)
		order, err := json.Marshal(map[string]string{"url": "https://ca.test/order/1", "key": string(p.Key())})
		save := func() error { return a.Orders(domain, ca, a.order(domain, ca)).Save(order, true) }
		ok(t, err, a.begin(), save())
		a.End()
		a.stop()
		delete(w.members, "c")
		a = w.start("a", dir, "a")
		time.Sleep(time.Minute)
		ok(t, a.begin(), save())
		known := func(want bool) {
			t.Helper()
			time.Sleep(time.Second)
			if had, _, err := a.Fleet().Had(t.Context(), domain, "c"); had != want || err != nil {
				t.Errorf("c had a key: %t, %v; want %t", had, err, want)
			}
		}
		known(true)
		a.published(p)
		known(true)
		order, err = json.Marshal(map[string]string{"url": "https://ca.test/order/2", "key": string(issuedPair(t).Key())})
		ok(t, err, save())
		a.published(issuedPair(t))
		known(false)
	})
}

// records answer for TLSA records, by name.
type records map[string][]string

func (r records) TLSA(_ context.Context, name string) (rollover.RecordSet, error) {
	set, found := r[name]
	if !found {
		return rollover.RecordSet{}, errors.New("no name server answers")
	}
	return rollover.RecordSet{Records: set, TTL: time.Hour}, nil
}

// A rollback is refused while a name has no TLSA record of the earlier key, or has it since
// less than two TTLs, or does not answer; unless it is forced.
func TestRollbackWithTLSA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a")
		a := w.start("a", t.TempDir(), "a")
		zone, mx1, mx2 := records{}, "_25._tcp.mx1."+domain, "_25._tcp.mx2."+domain
		a.target(renew.Target{Name: domain, TLSA: []string{mx1, mx2}, Resolver: zone})
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		p := issuedPair(t)
		a.published(p)
		second := a.published(issuedPair(t))
		one, two := tlsa.Record(p.Leaf.RawSubjectPublicKeyInfo), tlsa.Record(second.Leaf.RawSubjectPublicKeyInfo)
		term, err := a.sits()
		ok(t, err)
		force := false
		rolled := func(refused, remedy string) {
			t.Helper()
			o := a.change(t.Context(), term, document.Ask{Do: document.Rollback, Force: force}, domain)
			if (o.Error == "") != (refused == "") || !strings.Contains(o.Error, refused) || !strings.Contains(o.Remedy, remedy) {
				t.Errorf("%q (%q), want %q (%q)", o.Error, o.Remedy, refused, remedy)
			}
		}
		zone[mx1] = []string{one, two}
		rolled(mx2+": no name server answers", "see that the name servers answer")
		zone[mx2] = []string{two}
		rolled("none of the TLSA records of "+mx2, tlsa.ZoneLine(mx2, one))
		observed := func() {
			t.Helper()
			rec, err := record.Load(a.o.Store, domain)
			ok(t, err)
			names := map[string]rollover.Observation{}
			for name, records := range zone {
				names[name] = rec.TLSA.Names[name].Answered(rollover.RecordSet{Records: records, TTL: time.Hour}, nil, time.Now())
			}
			rec.TLSA.Names = names
			ok(t, new(record.Records).Save(a.o.Store, domain, rec))
		}
		is := func(want *keypair.Pair) {
			t.Helper()
			if r, _ := a.release(domain); r.Fingerprint != want.Fingerprint() {
				t.Errorf("%+v", r)
			}
		}
		observed()
		zone[mx2] = []string{two, one}
		const young = "has been visible for less than two TTLs"
		rolled("the TLSA record of its key at "+mx2+" "+young, "keypaird fleet rollback -force "+domain)
		observed()
		time.Sleep(time.Hour)
		observed()
		rolled(young, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		time.Sleep(time.Hour)
		rolled("", "")
		is(p)
		rolled("", "") // the other one was there all the time
		pair, err := a.o.Store.Find(domain, second.Fingerprint)
		ok(t, err)
		is(pair.Pair)
		zone[mx2] = []string{two}
		rolled("none of the TLSA records of "+mx2, "at once, if nothing else serves: keypaird fleet rollback -force "+domain)
		force = true
		rolled("", "")
		is(p)
	})
}

// The time after which a rollback is to be run again stays the same, whether a pass has seen
// the record meanwhile or not.
func TestRollbackAgain(t *testing.T) {
	for _, passes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newMachines(t, "a")
			a := w.start("a", t.TempDir(), "a")
			name, zone := "_25._tcp."+domain, records{}
			a.target(renew.Target{Name: domain, TLSA: []string{name}, Resolver: zone})
			time.Sleep(5 * time.Second)
			ok(t, a.begin())
			p := issuedPair(t)
			a.published(p)
			second := a.published(issuedPair(t))
			one, two := tlsa.Record(p.Leaf.RawSubjectPublicKeyInfo), tlsa.Record(second.Leaf.RawSubjectPublicKeyInfo)
			zone[name] = []string{two}
			observed := func() {
				t.Helper()
				rec, err := record.Load(a.o.Store, domain)
				ok(t, err)
				set, err := zone.TLSA(t.Context(), name)
				ok(t, err)
				rec.TLSA.Names = map[string]rollover.Observation{name: rec.TLSA.Names[name].Answered(set, nil, time.Now())}
				ok(t, new(record.Records).Save(a.o.Store, domain, rec))
			}
			observed()
			zone[name] = []string{two, one}
			term, err := a.sits()
			ok(t, err)
			after := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
			for range 4 {
				o := a.change(t.Context(), term, document.Ask{Do: document.Rollback}, domain)
				if !strings.Contains(o.Error, "has been visible for less than two TTLs") || !strings.Contains(o.Remedy, "run this again after "+after) {
					t.Errorf("%s (%s), want after %s", o.Error, o.Remedy, after)
				}
				time.Sleep(20 * time.Minute)
				if passes {
					observed()
				}
				time.Sleep(10 * time.Minute)
			}
			if o := a.change(t.Context(), term, document.Ask{Do: document.Rollback}, domain); o.Error != "" {
				t.Errorf("%s (%s)", o.Error, o.Remedy)
			}
		})
	}
}

// A certificate is verified everywhere once each node has reported it, living or not.
func TestVerifiedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMachines(t, "a", "b", "c")
		dir := t.TempDir()
		a, b, c := w.start("a", t.TempDir(), "a"), w.start("b", t.TempDir(), "a"), w.start("c", dir, "a")
		time.Sleep(5 * time.Second)
		ok(t, a.begin())
		verified := func(st renew.State, everywhere bool, missing ...string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			is, got := a.Sharing(domain).Verified(st)
			if (is == st.Fingerprint) != everywhere || !slices.Equal(got, missing) {
				t.Errorf("verified everywhere: %t, missing %q; want %t, %q", is == st.Fingerprint, got, everywhere, missing)
			}
		}
		p := issuedPair(t)
		verified(renew.State{Fingerprint: p.Fingerprint()}, false)
		st := a.published(p)
		verified(st, false, "a", "b", "c")
		a.Sharing(domain).Reported(st, nil)
		c.Sharing(domain).Reported(c.taken(), nil)
		verified(st, false, "b")
		second := a.published(issuedPair(t))
		a.Sharing(domain).Reported(second, nil)
		time.Sleep(time.Second)
		b.Sharing(domain).Reported(b.taken(), nil)
		c.stop()
		time.Sleep(time.Hour)
		verified(second, false, "c")
		verified(st, false)
		if _, missing := b.Sharing(domain).Verified(second); missing != nil {
			t.Errorf("a node that follows no reports names %q", missing)
		}
		c = w.start("c", dir, "a")
		time.Sleep(10 * time.Second)
		c.Sharing(domain).Reported(c.taken(), nil)
		verified(second, true)
	})
}
