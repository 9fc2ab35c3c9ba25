package fleet

import (
	"strconv"
	"strings"
	"time"

	"keypaird/renew/fleet/view"
)

const (
	restTime = 10 * time.Minute
	maxSkew  = time.Minute // of clocks
)

// compareOrderers ends the term of this node if another orderer should sit: its version
// is newer, or it has a release that this node and the engine lack, or this node's clock
// differs from those of most others. It notes which of them agree.
func (f *Fleet) compareOrderers() {
	f.mu.Lock()
	f.agree()
	reason := ""
	switch newer, with := f.newerOrderer(), f.newerRelease(); {
	case newer != "" && f.now().Sub(f.termAt) >= restTime:
		// Earlier, the newer one may just have stood up for another reason.
		reason = "node " + newer + " has a newer version of keypaird"
	case with != "":
		reason = "node " + with + " has a newer release than the engine and this node"
	case f.clockWrong():
		reason = "the clock of this node differs from those of other nodes by more than a minute"
	}
	f.mu.Unlock()
	if reason != "" {
		f.standUp(reason, restTime)
	}
}

// newerOrderer returns a living orderer with a newer version than this node. f.mu is held.
func (f *Fleet) newerOrderer() string {
	for _, name := range f.Order {
		if a := f.aliveOrderer(name); a != nil && newerVersion(a.Version, f.Version) {
			return name
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
	return ""
}

// clockWrong reports whether this node's clock differs from those of most others that
// wrote something in this term: from those of at least two. f.mu is held.
func (f *Fleet) clockWrong() bool {
	var known, differ int
	for name, n := range f.view.Nodes {
		if name == f.Node || n.Alive == nil || n.Heard.Before(f.termAt) {
			continue
		}
		known++
		if n.Offset.Abs() > maxSkew {
			differ++
		}
	}
	return differ >= 2 && 2*differ > known
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
// node; "": none has. An orderer that does not know the target is of the same opinion. When
// none differs any more, Changed is called for the target.
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

// agree has Changed called for targets of which no configuration differs any more. f.mu is
// held.
func (f *Fleet) agree() {
	d := view.NewDelta()
	for target := range f.differ {
		if f.differing(target) == "" {
			delete(f.differ, target)
			d.Targets[target] = true
		}
	}
	f.apply(d)
}
