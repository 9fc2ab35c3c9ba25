package view

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

// A View contains the releases, the seat and the nodes in the engine, verified. A value
// with a wrong signature is ignored, and the value before it stays.
type View struct {
	signer Signer
	log    *slog.Logger
	wants  func(target string) bool // whether the node needs its releases

	Prefixes []string                   // that are followed
	read     map[string]engine.Revision // by prefix, of the last snapshot
	Synced   time.Time                  // when the first one was complete; zero: not yet
	Fleet    []byte                     // value of the key fleet
	Seat     engine.Entry
	Releases map[string]*Release
	Lost     map[string]*Release // that the engine had, and lost
	Reported map[string]Reported // releases that nodes have and the engine lacks, by target
	Widening map[string]bool     // targets of which a release is not for all nodes yet
	Nodes    map[string]*Node
	refused  map[string]string // by key: value that was refused
	fresh    map[string]bool   // keys that this node wrote since the last snapshot was begun
}

// A Release is one of a target as the engine has it.
type Release struct {
	document.Release
	Value    []byte
	Revision engine.Revision
}

// A Node contains the facts in the engine about a node.
type Node struct {
	Alive  *document.Alive // nil: it is not
	value  []byte          // of Alive
	set    engine.Revision
	away   time.Time     // when it was seen to be no longer alive
	Offset time.Duration // of its clock from ours, when it last wrote something
	Heard  time.Time     // when that was; zero: never
	mono   time.Time     // Heard, with the reading of the monotonic clock
	Report *Report
}

// Ahead returns the offset of a node's clock from ours now, if the node's clock was not set
// since it last wrote something: ours may have been.
func (n *Node) Ahead(now time.Time) time.Duration {
	return n.Offset + time.Since(n.mono) - now.Sub(n.Heard)
}

// A Report is that of a node.
type Report struct {
	document.Report
	value []byte
	set   engine.Revision
}

// A Reported release is signed by an orderer, and one that the engine lost.
type Reported struct {
	Node   string // that has it
	Serial uint64
}

// New returns an empty view of the targets that the node wants, and of all nodes or of this
// one alone.
func New(s Signer, log *slog.Logger, wants func(string) bool, all bool) *View {
	nodes := document.NodePrefix(s.Node)
	if all {
		nodes = document.KindNode.Prefix()
	}
	return &View{signer: s, log: log, wants: wants,
		Prefixes: []string{document.FleetKey, document.KindLive.Prefix(), nodes, document.SeatKey},
		read:     map[string]engine.Revision{}, Releases: map[string]*Release{}, Lost: map[string]*Release{}, Reported: map[string]Reported{},
		Widening: map[string]bool{}, Nodes: map[string]*Node{}, refused: map[string]string{}, fresh: map[string]bool{},
	}
}

// A Delta lists the changes of a view.
type Delta struct {
	Targets map[string]bool
	Seat    bool
	Nodes   bool
}

// NewDelta returns one without changes.
func NewDelta() Delta { return Delta{Targets: map[string]bool{}} }

// Any reports whether anything changed.
func (d *Delta) Any() bool { return d.Seat || d.Nodes || len(d.Targets) > 0 }

// Snapshot takes the entries below a prefix over, and forgets what is not among them.
func (v *View) Snapshot(prefix string, s engine.Snapshot, now time.Time, d *Delta) {
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
func (v *View) keys(prefix string) []string {
	var keys []string
	switch prefix {
	case document.FleetKey, document.SeatKey:
		keys = append(keys, prefix)
	case document.KindLive.Prefix():
		for target := range v.Releases {
			keys = append(keys, document.LiveKey(target))
		}
	default:
		for name := range v.Nodes {
			if strings.HasPrefix(document.NodePrefix(name), prefix) {
				keys = append(keys, document.AliveKey(name), document.ReportKey(name))
			}
		}
	}
	return keys
}

// Change takes a change over, unless the view has something newer.
func (v *View) Change(e engine.Change, now time.Time, d *Delta) {
	i := slices.IndexFunc(v.Prefixes, func(p string) bool { return strings.HasPrefix(e.Key, p) })
	if i < 0 || e.Revision <= max(v.read[v.Prefixes[i]], v.revision(e.Key)) {
		return
	}
	if by, ok := v.set(e, now, d); ok && e.Value != nil {
		v.compareClock(by, now)
	}
}

// Wrote takes over what this node has just written. It reports false if the view has
// something newer, and all must be read: the engine may have been restored.
func (v *View) Wrote(e engine.Entry, now time.Time, d *Delta) bool {
	v.fresh[e.Key] = true
	if old := v.revision(e.Key); e.Revision <= old {
		return e.Revision == old
	}
	v.set(e, now, d)
	return true
}

// revision returns that at which a key was set.
func (v *View) revision(key string) engine.Revision {
	switch k, _ := document.ParseKey(key); k.Kind {
	case document.KindSeat:
		return v.Seat.Revision
	case document.KindLive:
		if r := v.Releases[k.Target]; r != nil {
			return r.Revision
		}
	case document.KindNode:
		switch n := v.Nodes[k.Node]; {
		case n == nil:
		case k.Leaf == "alive" && n.Alive != nil:
			return n.set
		case k.Leaf == "report" && n.Report != nil:
			return n.Report.set
		}
	}
	return 0
}

// Begin is called before all is read for Snapshot: what this node writes from then on stays.
func (v *View) Begin() { clear(v.fresh) }

// Oldest returns the revision after which changes may be missing.
func (v *View) Oldest() engine.Revision { return slices.Min(slices.Collect(maps.Values(v.read))) }

// writer is the node that wrote a value, and when it says it did.
type writer struct {
	node string
	at   time.Time
}

// Value returns the value of a target's release in the engine, whoever wrote it; nil: there
// is none.
func (v *View) Value(target string) []byte {
	if refused, ok := v.refused[document.LiveKey(target)]; ok {
		return []byte(refused)
	}
	if r := v.Releases[target]; r != nil {
		return r.Value
	}
	return nil
}

// set takes one entry over, one without a value if there is none.
func (v *View) set(e engine.Entry, now time.Time, d *Delta) (writer, bool) {
	key, ok := document.ParseKey(e.Key)
	if e.Value == nil {
		delete(v.refused, e.Key)
	}
	switch {
	case !ok:
	case key.Kind == document.KindFleet:
		v.Fleet = e.Value
	case key.Kind == document.KindSeat:
		if !bytes.Equal(v.Seat.Value, e.Value) {
			v.Seat, d.Seat = e, true
		}
	case key.Kind == document.KindLive && v.wants(key.Target):
		return v.setRelease(key.Target, e, d)
	case key.Kind == document.KindNode && v.signer.Members[key.Node] != nil:
		if v.Nodes[key.Node] == nil {
			v.Nodes[key.Node] = &Node{}
		}
		n := v.Nodes[key.Node]
		if key.Leaf == "alive" {
			return v.setAlive(key.Node, n, e, now, d)
		}
		return v.setReport(key.Node, n, e, d)
	}
	return writer{}, false
}

func (v *View) setRelease(target string, e engine.Entry, d *Delta) (writer, bool) {
	old := v.Releases[target]
	if e.Value == nil {
		if old != nil {
			v.lose(target, old)
			delete(v.Releases, target)
			delete(v.Widening, target)
			d.Targets[target] = true
		}
		return writer{}, false
	}
	if old != nil && old.Revision == e.Revision && bytes.Equal(old.Value, e.Value) {
		return writer{}, false
	}
	r := &Release{Value: e.Value, Revision: e.Revision}
	by, ok := readInto(v, &r.Release, e, v.signer.Order, document.Parse[document.Release])
	if !ok {
		return by, false
	}
	switch {
	case old != nil && r.Serial < old.Serial:
		v.log.Warn("engine has an older release", "target", target, "serial", r.Serial, "before", old.Serial)
		v.lose(target, old)
	case v.Lost[target] != nil && r.Serial >= v.Lost[target].Serial:
		delete(v.Lost, target)
	}
	if r.Serial >= v.Reported[target].Serial {
		delete(v.Reported, target)
	}
	v.Releases[target] = r
	if r.All {
		delete(v.Widening, target)
	} else {
		v.Widening[target] = true
	}
	d.Targets[target] = true
	return by, true
}

// lose keeps a release that the engine no longer has.
func (v *View) lose(target string, r *Release) {
	if n := v.Lost[target]; n == nil || n.Serial < r.Serial {
		v.Lost[target] = r
	}
}

func (v *View) setAlive(name string, n *Node, e engine.Entry, now time.Time, d *Delta) (writer, bool) {
	if e.Value == nil {
		if n.Alive != nil {
			n.Alive, n.away, d.Nodes = nil, now, true
		}
		return writer{}, false
	}
	if n.Alive != nil && n.set == e.Revision && bytes.Equal(n.value, e.Value) {
		return writer{}, false
	}
	alive := &document.Alive{}
	by, ok := readInto(v, alive, e, []string{name}, document.Parse[document.Alive])
	if ok {
		n.Alive, n.value, n.set, d.Nodes = alive, e.Value, e.Revision, true
	}
	return by, ok
}

func (v *View) setReport(name string, n *Node, e engine.Entry, d *Delta) (writer, bool) {
	if e.Value == nil {
		d.Nodes = d.Nodes || n.Report != nil
		n.Report = nil
		return writer{}, false
	}
	if n.Report != nil && n.Report.set == e.Revision && bytes.Equal(n.Report.value, e.Value) {
		return writer{}, false
	}
	r := &Report{value: e.Value, set: e.Revision}
	by, ok := readInto(v, &r.Report, e, []string{name}, document.Parse[document.Report])
	if ok && r.Revision > e.Revision { // it was written for an engine that has been restored since
		r.Revision, r.Exceptions = 0, nil
	}
	if ok {
		n.Report, d.Nodes = r, true
		v.setReported(name, r.Newer)
	}
	return by, ok
}

// setReported notes the releases that a node has and the engine lost.
func (v *View) setReported(name string, newer map[string][]byte) {
	for target, value := range newer {
		var r document.Release
		if _, ok := readInto(v, &r, engine.Entry{Key: document.LiveKey(target), Value: value}, v.signer.Order, document.Parse[document.Release]); !ok {
			continue
		}
		there := v.Releases[target]
		if there != nil && there.Serial >= r.Serial || v.Reported[target].Serial > r.Serial {
			continue
		}
		if r.Serial > v.Reported[target].Serial || v.Nodes[v.Reported[target].Node].Alive == nil {
			v.Reported[target] = Reported{name, r.Serial}
		}
	}
}

// readInto verifies an entry and reads it. One that is refused is logged once.
func readInto[T any](v *View, into *T, e engine.Entry, by []string, parse func([]byte) (T, error)) (writer, bool) {
	body, m, err := Open(v.signer, e, by, parse)
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
func (v *View) compareClock(by writer, now time.Time) {
	if n := v.Nodes[by.node]; n != nil {
		n.Offset, n.Heard, n.mono = by.at.Sub(now), now, time.Now()
	}
}

// Away returns since when a node is not alive; 0: it is alive. Before the first snapshot
// nothing is known of any node.
func (v *View) Away(name string, now time.Time) time.Duration {
	n := v.Nodes[name]
	switch {
	case n == nil || n.Alive == nil && n.away.IsZero():
		return max(now.Sub(v.Synced), 1)
	case n.Alive == nil:
		return max(now.Sub(n.away), 1)
	}
	return 0
}

// Gone reports whether a node was alive and is no longer.
func (v *View) Gone(name string) bool {
	n := v.Nodes[name]
	return n != nil && n.Alive == nil && !n.away.IsZero()
}

// Serial returns the highest serial of a target that is known.
func (v *View) Serial(target string) uint64 {
	var highest uint64
	for _, r := range []*Release{v.Releases[target], v.Lost[target]} {
		if r != nil {
			highest = max(highest, r.Serial)
		}
	}
	return max(highest, v.Reported[target].Serial)
}

// State returns what a node reports of a target's release.
func (v *View) State(name, target string, r *Release) (verified bool, failures int, text string) {
	n := v.Nodes[name]
	if n == nil || n.Report == nil {
		return false, 0, ""
	}
	e, excepted := n.Report.Exceptions[target]
	switch {
	case excepted && e.Serial == r.Serial:
		return false, e.Failures, e.Err
	case excepted:
		return false, 0, ""
	}
	return n.Report.Covers(r.Release, r.Revision), 0, ""
}
