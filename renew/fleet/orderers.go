package fleet

import (
	"strconv"
	"strings"
	"time"

	"keypaird/renew/fleet/view"
)

const (
	restTime = 10 * time.Minute
	maxSkew  = time.Minute    // of clocks
	caCounts = 24 * time.Hour // since a CA's clock was seen
)

// compareOrderers ends the term of this node if another orderer should sit: its version
// is newer, or it has a release or a pair that this node and the engine lack, or this
// node's clock differs from those of most others; once in a rest, for the other may be
// unable to take the seat. Before that it wakes the targets that waited for one
// configuration.
func (f *Fleet) compareOrderers() {
	f.mu.Lock()
	f.wakeAgreed()
	if f.rests() {
		f.mu.Unlock()
		return
	}
	reason, remedy := "", ""
	switch newer, with, ahead := f.newerOrderer(), f.newerRelease(), f.aheadOf(); {
	case newer != "" && f.now().Sub(f.termAt) >= restTime:
		// Earlier, the newer one may just have stood up for another reason.
		reason = "node " + newer + " has a newer version of keypaird"
	case with != "":
		reason = "node " + with + " has a newer release than the engine and this node"
	case ahead != "":
		reason = "node " + ahead + " has certificates that it ordered without the engine"
	case f.clockWrong():
		reason, remedy = "its clock differs from those of others by more than a minute", "set its clock, and keep it right with NTP; keypaird status -fleet shows those of all nodes"
	}
	f.mu.Unlock()
	if reason != "" {
		f.standUp(reason, remedy, restTime)
	}
}

// newerOrderer returns a living orderer with a newer version than this node, which does not
// leave the seat to others. f.mu is held.
func (f *Fleet) newerOrderer() string {
	for _, name := range f.Order {
		if a := f.aliveOrderer(name); a != nil && newerVersion(a.Version, f.Version) {
			if r := f.view.Nodes[name].Report; r == nil || r.Waits == "" {
				return name
			}
		}
	}
	return ""
}

// newerRelease returns a living orderer that has a release which the engine and this node
// lack. f.mu is held.
func (f *Fleet) newerRelease() string {
	for target, by := range f.view.Reported {
		mine, known := f.results[target]
		if known && by.Serial > mine.serial && by.Node != f.Node && f.aliveOrderer(by.Node) != nil {
			return by.Node
		}
	}
	for _, name := range f.Order { // it may not have seen how the engine lost the release
		if name != f.Node && f.aliveOrderer(name) != nil && f.hasNewer(f.view.Nodes[name]) {
			return name
		}
	}
	return ""
}

// hasNewer reports whether a node says that it has a newer release than this node and the
// engine. f.mu is held.
func (f *Fleet) hasNewer(n *view.Node) bool {
	if n.Report == nil {
		return false
	}
	for target, e := range n.Report.Exceptions {
		mine, known := f.results[target]
		r := f.view.Releases[target]
		if known && e.Serial > mine.serial && (r == nil || e.Serial > r.Serial) {
			return true
		}
	}
	return false
}

// aheadOf returns a living orderer that has pairs newer than their releases; "": none, or
// this node has some itself. f.mu is held.
func (f *Fleet) aheadOf() string {
	for _, name := range f.Order {
		n := f.view.Nodes[name]
		if name != f.Node && len(f.unreleased) == 0 && f.aliveOrderer(name) != nil && n.Report != nil && len(n.Report.Unreleased) > 0 {
			return name
		}
	}
	return ""
}

// CompareClock notes by how much the clock of a CA that just answered is ahead of ours.
func (f *Fleet) CompareClock(ahead time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	differed := !f.ca.earlier && f.ca.ahead.Abs() > maxSkew
	f.ca = clock{at: f.now(), since: time.Now(), ahead: ahead}
	if ahead.Abs() > maxSkew && !differed {
		f.wake()
	}
}

// clockWrong reports whether this node's clock differs from those of most others: from at
// least two, those of nodes that wrote something in this term and that of the CA. Once the
// CA's differs, those count that wrote something earlier. While it agrees, the others are
// wrong. f.mu is held.
func (f *Fleet) clockWrong() bool {
	var known, differ int
	now := f.now()
	if f.caAgrees(now) {
		return false
	}
	byCA := !f.ca.earlier && f.ca.ahead.Abs() > maxSkew
	if !f.ca.earlier && !f.ca.at.IsZero() {
		known++
	}
	if byCA {
		differ++
	}
	for name, n := range f.view.Nodes {
		if name == f.Node || n.Alive == nil || n.Heard.IsZero() || n.Heard.Before(f.termAt) && !byCA {
			continue
		}
		known++
		if n.Ahead(now).Abs() > maxSkew {
			differ++
		}
	}
	return differ >= 2 && 2*differ > known
}

// caAgrees reports whether the clock of a CA agrees with this node's, which was not set since
// that was seen. f.mu is held.
func (f *Fleet) caAgrees(now time.Time) bool {
	age := time.Since(f.ca.since)
	ahead := f.ca.ahead + age - now.Sub(f.ca.at)
	return !f.ca.at.IsZero() && age < caCounts && ahead.Abs() <= maxSkew
}

// newerVersion reports whether a version like v1.2.3 is newer than another. One that is not
// of this form is not compared.
func newerVersion(a, b string) bool {
	x, ok := parseVersion(a)
	y, also := parseVersion(b)
	if !ok || !also {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return false
}

func parseVersion(s string) (v [3]int, ok bool) {
	s, _, _ = strings.Cut(s, "-")
	s, _, _ = strings.Cut(s, "+")
	parts := strings.Split(strings.TrimPrefix(s, "v"), ".")
	if len(parts) != len(v) {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// Differs returns which living orderer has another configuration of a target than this
// node; "": none has. An orderer that does not know the target does not differ. When none
// differs any more, Changed is called for the target.
func (f *Fleet) Differs(target string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	other := f.differing(target)
	if other != "" {
		f.differ[target] = true
	}
	return other
}

// differing is Differs. f.mu is held.
func (f *Fleet) differing(target string) string {
	mine := f.Targets[target]
	for _, name := range f.Order {
		a := f.aliveOrderer(name)
		if a == nil || name == f.Node || mine == "" {
			continue
		}
		if sum := a.Targets[target]; sum != "" && sum != mine {
			return name
		}
	}
	return ""
}

// wakeAgreed has Changed called for targets of which no configuration differs any more. f.mu
// is held.
func (f *Fleet) wakeAgreed() {
	d := view.NewDelta()
	for target := range f.differ {
		if f.differing(target) == "" {
			delete(f.differ, target)
			d.Targets[target] = true
		}
	}
	f.apply(d)
}

// clocks returns what an orderer reports of the clocks of others: a node that has just begun
// to look hears none. What was reported stays while it is true to a minute. f.mu is held.
func (f *Fleet) clocks(reported map[string]int) map[string]int {
	if !f.orders() {
		return nil
	}
	var clocks map[string]int
	for name, n := range f.view.Nodes {
		if name == f.Node || n.Alive == nil || n.Heard.IsZero() || n.Offset.Abs() <= maxSkew {
			continue
		}
		ahead := n.Offset
		if before := time.Duration(reported[name]) * time.Second; before != 0 && (ahead-before).Abs() <= maxSkew {
			ahead = before
		}
		if clocks == nil {
			clocks = map[string]int{}
		}
		clocks[name] = int(ahead.Round(time.Second).Seconds())
	}
	return clocks
}
