package fleet

import (
	"bytes"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
)

// A view is what the engine has of the releases, the seat and the nodes, verified.
// What has a wrong signature is ignored, and the value before it stays.
type view struct {
	values values
	log    *slog.Logger
	wants  func(target string) bool // whether the node needs its releases

	read     map[string]engine.Revision // by prefix, of the last snapshot
	synced   time.Time                  // when the first one was complete; zero: not yet
	fleet    []byte                     // value of the key fleet
	seat     engine.Entry
	seatAt   time.Time // when it was seen first
	releases map[string]*release
	newer    map[string]*release // that the engine had, and lost
	reported map[string]reported // releases that nodes have and the engine lacks, by target
	widening map[string]bool     // targets of which a release is not for all nodes yet
	nodes    map[string]*node
	refused  map[string]string // by key: value that was refused
	fresh    map[string]bool   // keys that this node wrote since the last snapshot was begun
}

// A release is one of a target as the engine has it.
type release struct {
	document.Release
	value    []byte
	revision engine.Revision
}

// A node is what the engine has of one.
type node struct {
	alive  *document.Alive // nil: it is not
	set    engine.Revision // of alive
	away   time.Time       // when it was seen to be no longer alive
	offset time.Duration   // of its clock from ours, when it last wrote something
	heard  time.Time       // when that was; zero: never
	report *report
}

type report struct {
	document.Report
	value    []byte
	revision engine.Revision
}

// A reported release is signed by an orderer, and one that the engine lost.
type reported struct {
	node   string // that has it
	serial uint64
}

// prefixes are those that are followed.
var prefixes = []string{document.FleetKey, document.KindLive.Prefix(), document.KindNode.Prefix(), document.SeatKey}

func newView(v values, log *slog.Logger, wants func(string) bool) *view {
	return &view{values: v, log: log, wants: wants,
		read: map[string]engine.Revision{}, releases: map[string]*release{}, newer: map[string]*release{}, reported: map[string]reported{},
		widening: map[string]bool{}, nodes: map[string]*node{}, refused: map[string]string{}, fresh: map[string]bool{},
	}
}

// A delta is what changed in a view.
type delta struct {
	targets map[string]bool
	seat    bool
	nodes   bool
}

func newDelta() delta { return delta{targets: map[string]bool{}} }

func (d *delta) any() bool { return d.seat || d.nodes || len(d.targets) > 0 }

// snapshot takes the entries below a prefix over, and forgets what is not among them.
func (v *view) snapshot(prefix string, s engine.Snapshot, now time.Time, d *delta) {
	v.read[prefix] = s.Revision
	there := make(map[string]bool, len(s.Entries))
	for _, e := range s.Entries {
		there[e.Key] = true
		if !v.fresh[e.Key] {
			v.set(e, now, d)
		}
	}
	for _, key := range v.keys(prefix) {
		if !there[key] && !v.fresh[key] {
			v.set(engine.Entry{Key: key, Revision: s.Revision}, now, d)
		}
	}
}

// keys returns those below a prefix that the view has.
func (v *view) keys(prefix string) []string {
	var keys []string
	switch prefix {
	case document.FleetKey, document.SeatKey:
		keys = append(keys, prefix)
	case document.KindLive.Prefix():
		for target := range v.releases {
			keys = append(keys, document.LiveKey(target))
		}
	case document.KindNode.Prefix():
		for name := range v.nodes {
			keys = append(keys, document.AliveKey(name), document.ReportKey(name))
		}
	}
	return keys
}

// change takes a change over, unless the view has something newer.
func (v *view) change(e engine.Change, now time.Time, d *delta) {
	i := slices.IndexFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Key, p) })
	if i < 0 || e.Revision <= max(v.read[prefixes[i]], v.revision(e.Key)) {
		return
	}
	if by, ok := v.set(e, now, d); ok && e.Value != nil {
		v.compareClock(by, now)
	}
}

// wrote takes over what this node has just written. It reports false if the view has
// something newer, and all must be read: the engine may have been restored.
func (v *view) wrote(e engine.Entry, now time.Time, d *delta) bool {
	v.fresh[e.Key] = true
	if old := v.revision(e.Key); e.Revision <= old {
		return e.Revision == old
	}
	v.set(e, now, d)
	return true
}

// revision returns that at which a key was set.
func (v *view) revision(key string) engine.Revision {
	switch k, _ := document.ParseKey(key); k.Kind {
	case document.KindSeat:
		return v.seat.Revision
	case document.KindLive:
		if r := v.releases[k.Target]; r != nil {
			return r.revision
		}
	case document.KindNode:
		switch n := v.nodes[k.Node]; {
		case n == nil:
		case k.Leaf == "alive" && n.alive != nil:
			return n.set
		case k.Leaf == "report" && n.report != nil:
			return n.report.revision
		}
	}
	return 0
}

// oldest returns the revision after which changes may be missing.
func (v *view) oldest() engine.Revision { return slices.Min(slices.Collect(maps.Values(v.read))) }

// writer is the node that wrote a value, and when it says it did.
type writer struct {
	node string
	at   time.Time
}

// set takes one entry over, one without a value if there is none.
func (v *view) set(e engine.Entry, now time.Time, d *delta) (writer, bool) {
	key, ok := document.ParseKey(e.Key)
	switch {
	case !ok:
	case key.Kind == document.KindFleet:
		v.fleet = e.Value
	case key.Kind == document.KindSeat:
		if !bytes.Equal(v.seat.Value, e.Value) {
			v.seat, v.seatAt, d.seat = e, now, true
		}
	case key.Kind == document.KindLive && v.wants(key.Target):
		return v.setRelease(key.Target, e, d)
	case key.Kind == document.KindNode && v.values.members[key.Node] != nil:
		if v.nodes[key.Node] == nil {
			v.nodes[key.Node] = &node{}
		}
		n := v.nodes[key.Node]
		if key.Leaf == "alive" {
			return v.setAlive(key.Node, n, e, now, d)
		}
		return v.setReport(key.Node, n, e, d)
	}
	return writer{}, false
}

func (v *view) setRelease(target string, e engine.Entry, d *delta) (writer, bool) {
	old := v.releases[target]
	if e.Value == nil {
		if old != nil {
			v.lost(target, old)
			delete(v.releases, target)
			delete(v.widening, target)
			d.targets[target] = true
		}
		return writer{}, false
	}
	if old != nil && old.revision == e.Revision && bytes.Equal(old.value, e.Value) {
		return writer{}, false
	}
	r := &release{value: e.Value, revision: e.Revision}
	by, ok := readInto(v, &r.Release, e, v.values.order, document.Parse[document.Release])
	if !ok {
		return by, false
	}
	switch {
	case old != nil && r.Serial < old.Serial:
		v.lost(target, old)
	case v.newer[target] != nil && r.Serial >= v.newer[target].Serial:
		delete(v.newer, target)
	}
	if r.Serial >= v.reported[target].serial {
		delete(v.reported, target)
	}
	v.releases[target] = r
	if r.All {
		delete(v.widening, target)
	} else {
		v.widening[target] = true
	}
	d.targets[target] = true
	return by, true
}

// lost keeps a release that the engine no longer has.
func (v *view) lost(target string, r *release) {
	if n := v.newer[target]; n == nil || n.Serial < r.Serial {
		v.newer[target] = r
	}
}

func (v *view) setAlive(name string, n *node, e engine.Entry, now time.Time, d *delta) (writer, bool) {
	if e.Value == nil {
		if n.alive != nil {
			n.alive, n.away, d.nodes = nil, now, true
		}
		return writer{}, false
	}
	alive := &document.Alive{}
	by, ok := readInto(v, alive, e, []string{name}, document.Parse[document.Alive])
	if ok {
		n.alive, n.set, d.nodes = alive, e.Revision, true
	}
	return by, ok
}

func (v *view) setReport(name string, n *node, e engine.Entry, d *delta) (writer, bool) {
	if e.Value == nil {
		d.nodes = d.nodes || n.report != nil
		n.report = nil
		return writer{}, false
	}
	if n.report != nil && n.report.revision == e.Revision && bytes.Equal(n.report.value, e.Value) {
		return writer{}, false
	}
	r := &report{value: e.Value, revision: e.Revision}
	by, ok := readInto(v, &r.Report, e, []string{name}, document.Parse[document.Report])
	if ok && r.Revision > e.Revision { // it was written for an engine that has been restored since
		r.Revision, r.Exceptions = 0, nil
	}
	if ok {
		n.report, d.nodes = r, true
		v.setReported(name, r.Newer)
	}
	return by, ok
}

// setReported notes the releases that a node has and the engine lost.
func (v *view) setReported(name string, newer map[string][]byte) {
	for target, value := range newer {
		var r document.Release
		if _, ok := readInto(v, &r, engine.Entry{Key: document.LiveKey(target), Value: value}, v.values.order, document.Parse[document.Release]); !ok {
			continue
		}
		there := v.releases[target]
		if there != nil && there.Serial >= r.Serial || v.reported[target].serial > r.Serial {
			continue
		}
		if r.Serial > v.reported[target].serial || v.nodes[v.reported[target].node].alive == nil {
			v.reported[target] = reported{name, r.Serial}
		}
	}
}

// readInto verifies an entry and reads it. One that is refused is logged once.
func readInto[T any](v *view, into *T, e engine.Entry, by []string, parse func([]byte) (T, error)) (writer, bool) {
	body, m, err := open(v.values, e, by, parse)
	if err == nil {
		*into = body
		delete(v.refused, e.Key)
		return writer{m.By, m.At}, true
	}
	if v.refused[e.Key] != string(e.Value) {
		v.refused[e.Key] = string(e.Value)
		v.log.Error("value ignored", "key", e.Key, "err", err)
	}
	return writer{}, false
}

// compareClock notes how the clock of the node that just wrote a value differs from
// ours.
func (v *view) compareClock(by writer, now time.Time) {
	if n := v.nodes[by.node]; n != nil {
		n.offset, n.heard = by.at.Sub(now), now
	}
}

// away returns since when a node is not alive; 0: it is alive. Before the first snapshot
// nothing is known of any node.
func (v *view) away(name string, now time.Time) time.Duration {
	n := v.nodes[name]
	switch {
	case n == nil || n.alive == nil && n.away.IsZero():
		return max(now.Sub(v.synced), 1)
	case n.alive == nil:
		return max(now.Sub(n.away), 1)
	}
	return 0
}

// serial returns the highest serial of a target that is known.
func (v *view) serial(target string) uint64 {
	var highest uint64
	for _, r := range []*release{v.releases[target], v.newer[target]} {
		if r != nil {
			highest = max(highest, r.Serial)
		}
	}
	return max(highest, v.reported[target].serial)
}

// state returns what a node reports of a target's release.
func (v *view) state(name, target string, r *release) (verified bool, failures int, text string) {
	n := v.nodes[name]
	if n == nil || n.report == nil {
		return false, 0, ""
	}
	e, excepted := n.report.Exceptions[target]
	switch {
	case excepted && e.Serial == r.Serial:
		return false, e.Failures, e.Err
	case excepted:
		return false, 0, ""
	}
	return n.report.Revision >= r.revision, 0, ""
}
