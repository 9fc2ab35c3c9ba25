package node

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/record"
	"keypaird/renew/rollover"
)

// target returns how the fleet shares the certificate of a target.
func (n *Node) target(t renew.Target) renew.Sharing {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.targets[t.Name] = t
	return n.Sharing(t.Name)
}

// acceptTime bounds all queries for the TLSA records of a target.
const acceptTime = 40 * time.Second

// accepts returns why peers refuse an earlier certificate of a target: it was revoked, or by the
// TLSA records that there are now, and by those that caches may have.
func (n *Node) accepts(ctx context.Context, target string, leaf *x509.Certificate) error {
	n.mu.Lock()
	t := n.targets[target]
	n.mu.Unlock()
	last, err := record.Load(n.o.Store, target)
	switch {
	case err != nil:
		return err
	case !last.Revoked.TimeFor(leaf).IsZero():
		return problem.Newf("order another certificate: keypaird issue -new-key "+target, "it %s: clients that check this refuse it", last.Revoked)
	case t.Resolver == nil:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, acceptTime)
	defer cancel()
	for _, name := range t.TLSA {
		set, err := t.Resolver.TLSA(ctx, name)
		if err != nil {
			return problem.Newf("see that the name servers answer, and run this again; or at once, if nothing else serves: keypaird fleet rollback -force "+target,
				"it is not known which TLSA records there are: %s: %w", name, err)
		}
		if err := rollover.Refused(leaf, target, name, n.lastSeen(target, name, last.TLSA.Names[name], set), set, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// lastSeen returns the last observation of a name, by passes or by accepts, and notes what it
// has now: a record that was there when accepts looked first is not new when it looks again.
func (n *Node) lastSeen(target, name string, last rollover.Observation, set rollover.RecordSet) rollover.Observation {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := target + " " + name
	seen := n.seen[key]
	if !seen.At.Before(last.At) {
		last = seen
	}
	last.Appeared = slices.Clone(last.Appeared)
	for i, a := range last.Appeared {
		for _, before := range seen.Appeared {
			if before.Record == a.Record && before.At.Before(a.At) {
				last.Appeared[i] = before
			}
		}
	}
	n.seen[key] = last.Answered(set, nil, time.Now())
	return last
}

// Sharing returns how the fleet shares the certificate of a target.
func (n *Node) Sharing(target string) renew.Sharing { return sharing{n, target} }

// sharing implements renew.Sharing.
type sharing struct {
	node   *Node
	target string
}

// release returns what the engine has of a target; false: nothing, or it is not known.
func (n *Node) release(target string) (document.Release, bool) {
	if f := n.Fleet(); f != nil {
		return f.Release(target)
	}
	return document.Release{}, false
}

// compare returns the step of this node for the target, and the engine's release.
func (s sharing) compare(st renew.State) (fleet.Step, document.Release) {
	r, _ := s.node.release(s.target)
	local := s.local(st, r)
	_, err := s.node.seat()
	local.Seated = err == nil
	return fleet.Compare(local, r), r
}

// local returns the facts of this node about the target, to compare with the engine's
// release.
func (s sharing) local(st renew.State, r document.Release) fleet.Local {
	local := fleet.Local{Serial: st.Record.Fleet.Serial, Released: st.Record.Fleet.Fingerprint, Newest: st.Fingerprint}
	if r.Fingerprint != "" {
		_, err := s.node.o.Store.Find(s.target, r.Fingerprint)
		local.HasEngine = err == nil
	}
	return local
}

// isAhead reports whether this node has a pair that it ordered alone and that is newer than
// the release.
func (s sharing) isAhead(st renew.State) bool {
	r, _ := s.node.release(s.target)
	local := s.local(st, r)
	local.Seated = true
	return r.Serial > 0 && r.Serial == local.Serial && fleet.Compare(local, r) == fleet.Publish
}

func (s sharing) Take(ctx context.Context, st renew.State) (*renew.Taken, error) {
	t, err := s.take(ctx, st)
	if err == nil {
		err = s.node.dropNextKey(s.target)
	}
	return t, err
}

func (s sharing) take(ctx context.Context, st renew.State) (*renew.Taken, error) {
	step, r := s.compare(st)
	switch step {
	case fleet.Note:
		newest, err := s.node.o.Store.Newest(s.target)
		if err != nil {
			return nil, err
		}
		t := &renew.Taken{Pair: newest.Pair, Ordering: st.Record.Ordering, Serial: r.Serial}
		o, err := s.node.recorded(ctx, s.target)
		if !o.TLSA.Empty() { // what this node recorded may be of an older next key
			t.Ordering.TLSA = o.TLSA
		}
		if t.Ordering.Revoked.At.Before(o.Revoked.At) {
			t.Ordering.Revoked = o.Revoked
		}
		return t, err
	case fleet.Take:
		p, r, err := s.node.Fleet().Pair(ctx, s.target)
		if err != nil {
			return nil, err
		}
		t := &renew.Taken{Pair: p, Serial: r.Serial}
		t.Ordering, err = s.node.recorded(ctx, s.target)
		return t, err
	}
	return nil, nil
}

// recorded returns what the fleet recorded of ordering a target, on a node that may order:
// others cannot read it.
func (n *Node) recorded(ctx context.Context, target string) (o renew.Ordering, err error) {
	if !n.orders() {
		return o, nil
	}
	e, err := engine.ReadKey(ctx, n.o.Fleet.Engine, document.RecordKey(target))
	if err != nil || e.Value == nil {
		return o, err
	}
	o, nextKey, ok := n.openRecord(e)
	if ok && nextKey != nil {
		err = n.o.Store.WriteFile(target, renew.NextKeyFile, nextKey)
	}
	return o, err
}

func (s sharing) OrderHold(now time.Time, st renew.State, mode renew.Mode) renew.Limit {
	_, err := s.node.seat()
	if errors.Is(err, errIdle) { // for the status: what holds in the next pass
		if _, err = s.node.sits(); errors.Is(err, errFirst) && !s.node.runs.Load() {
			err = errNotAsked
		}
	}
	if err != nil {
		if s.node.isAlone() && s.node.lastResort(st, now) {
			return renew.Limit{}
		}
		return renew.Limit{Err: err}
	}
	due := st.Leaf == nil || !now.Before(st.Due())
	if other := s.node.Fleet().Differs(s.target); other != "" && !due && mode != renew.Force {
		return renew.Limit{Err: problem.Newf("have the same configuration on all nodes of order", "node %s has another configuration of %q", other, s.target)}
	}
	return renew.Limit{}
}

// lastResort reports whether this node orders for a target without the engine, which cannot
// be used: a tenth of the lifetime is left of its certificate, and a hundredth less for each
// node that comes first. What it orders is published when the engine answers.
func (n *Node) lastResort(st renew.State, now time.Time) bool {
	switch {
	case n.o.Alone:
		return true
	case st.Leaf == nil:
		return false
	}
	lifetime := st.Leaf.NotAfter.Sub(st.Leaf.NotBefore)
	choice := slices.Index(n.o.Fleet.Order, n.Name())
	return st.Leaf.NotAfter.Sub(now) < lifetime/10-time.Duration(choice)*lifetime/100
}

func (s sharing) DeployHold(_ time.Time, st renew.State) renew.Limit {
	r, ok := s.node.release(s.target)
	if !ok || r.Fingerprint != st.Fingerprint || wave.Allows(r, s.node.o.Fleet.Node) {
		return renew.Limit{}
	}
	why := "release " + fmt.Sprint(r.Serial) + " goes to others first: " + strings.Join(r.Nodes, " ")
	if r.Held != "" {
		why = fmt.Sprintf("release %d is held: %s", r.Serial, r.Held)
	}
	return renew.Limit{Err: problem.New(why, "see keypaird fleet status; to deploy it everywhere now: keypaird fleet go "+s.target)}
}

func (s sharing) Lacks(st renew.State) bool {
	step, _ := s.compare(st)
	return step == fleet.Publish
}

func (s sharing) Publish(ctx context.Context, st renew.State, p *keypair.Pair) (uint64, error) {
	n := s.node
	term, err := n.seat()
	if err != nil {
		return 0, err
	}
	r, err := n.recordOf(s.target, st)
	if err != nil {
		return 0, err
	}
	op, err := n.recordOp(s.target, r)
	if err != nil {
		return 0, err
	}
	publication := fleet.Publication{
		Target: s.target, Pair: p, Serial: st.Record.Fleet.Serial, Again: st.Record.Fleet.Fingerprint == p.Fingerprint(), Urgent: st.Urgent(time.Now()), Had: n.had(s.target, p), More: []engine.Op{op},
	}
	keys := n.writtenOrders(s.target)
	for _, key := range keys {
		publication.More = append(publication.More, engine.Op{Key: key})
	}
	serial, err := n.Fleet().Publish(ctx, term, publication)
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range keys {
		delete(n.written, key)
	}
	n.records[s.target] = r.sum()
	return serial, nil
}

// writtenOrders returns the keys of a target's orders that the engine has.
func (n *Node) writtenOrders(target string) (keys []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ca := range n.o.CAs[target] {
		if key := document.OrderKey(target, ca); n.written[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// nextKey returns the key of the certificate after the newest (DANE); nil: there is none.
func (n *Node) nextKey(target string) ([]byte, error) {
	data, err := n.o.Store.ReadFile(target, renew.NextKeyFile)
	if keypair.None(err) {
		return nil, nil
	}
	return data, err
}

// Keep writes the record that Reported writes, at once.
func (s sharing) Keep(ctx context.Context, st renew.State) error {
	if _, err := s.node.seat(); err != nil {
		return err
	}
	return s.node.commitRecord(ctx, s.target, st)
}

func (s sharing) Verified(st renew.State) (everywhere string, missing []string) {
	f, everywhere := s.node.Fleet(), st.Record.TLSA.Everywhere
	if f == nil || !s.node.orders() && !s.node.o.Fleet.Observer { // it does not know what others report
		return everywhere, nil
	}
	if r, ok := f.Release(s.target); !ok || r.Fingerprint != st.Fingerprint {
		return everywhere, nil
	}
	for _, n := range f.Progress(s.target) {
		if !n.Verified {
			missing = append(missing, n.Name)
		}
	}
	slices.Sort(missing)
	if missing == nil {
		everywhere = st.Fingerprint
	}
	return everywhere, missing
}

func (s sharing) Reported(st renew.State, err error) {
	n := s.node
	f := n.Fleet()
	switch {
	case f == nil:
		return // once it is reached, a pass over all targets follows
	case err != nil:
		f.Report(s.target, 0, &document.Exception{Err: err.Error()})
		return
	}
	if n.orders() {
		f.Unreleased(s.target, s.isAhead(st))
	}
	e := exception(st)
	if r, ok := f.Release(s.target); e != nil && ok && !wave.Allows(r, n.Name()) {
		e = &document.Exception{} // what failed is the release before
	}
	f.Report(s.target, st.Record.Fleet.Serial, e)
	if _, err := n.seat(); err != nil {
		return
	}
	if err := n.commitRecord(context.Background(), s.target, st); err != nil {
		n.o.Log.Warn("record not written to the engine", "cert", s.target, "err", err)
	}
	n.standUp(st)
}

// exception returns what is missing until a release is verified here; nil: nothing.
func exception(st renew.State) *document.Exception {
	var e *document.Exception
	for name := range st.Specs {
		if st.Done(name) {
			continue
		}
		a := st.Record.Deployments[name].Attempt
		if e == nil || a.Failures > e.Failures {
			e = &document.Exception{Failures: a.Failures, Err: a.Error}
		}
	}
	return e
}

// commitRecord writes the record of ordering to the engine, for the nodes that may order,
// if it changed.
func (n *Node) commitRecord(ctx context.Context, target string, st renew.State) error {
	r, err := n.recordOf(target, st)
	if err != nil {
		return err
	}
	n.mu.Lock()
	same := n.records[target] == r.sum()
	n.mu.Unlock()
	if same {
		return nil
	}
	op, err := n.recordOp(target, r)
	if err == nil {
		err = n.commit(ctx, op)
	}
	if err == nil {
		n.mu.Lock()
		n.records[target] = r.sum()
		n.mu.Unlock()
	}
	return err
}

// recordParts are what the engine has of a record.
type recordParts struct{ ordering, nextKey []byte }

func (r recordParts) sum() string { return sumOf(r.ordering, r.nextKey) }

// recordOf returns the record of ordering, with the next key.
func (n *Node) recordOf(target string, st renew.State) (r recordParts, err error) {
	if r.ordering, err = json.Marshal(st.Record.Ordering); err == nil {
		r.nextKey, err = n.nextKey(target)
	}
	return r, err
}

// recordOp returns the operation that gives a record to the nodes that may order.
func (n *Node) recordOp(target string, r recordParts) (engine.Op, error) {
	key := document.RecordKey(target)
	return n.op(key, document.Record{Ordering: r.ordering, Sealed: n.sealed(key, r.nextKey)}, r.nextKey)
}

// rest is for how long a node that could not order takes the seat last.
const rest = 10 * time.Minute

// persistent is how often an order fails before another node tries.
const persistent = 3

// standUp leaves ordering to another node after failures in a row that may be this node's:
// it cannot reach the CA, or use its DNS account.
func (n *Node) standUp(st renew.State) {
	t, err := n.seat()
	if err != nil {
		return
	}
	for ca, a := range st.Record.Orders {
		if a.Here >= persistent && a.Here%persistent == 0 && time.Since(a.At) < time.Minute {
			t.StandUp(fmt.Sprintf("its orders at %s failed %d times in a row: %s", ca, a.Here, a.Error), a.Remedy, rest)
			return
		}
	}
}
