package wave

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/problem"
)

// Rules are those of the configuration.
type Rules struct {
	Waves []string      // sizes, which Check accepts; after the last come all
	Bake  time.Duration // how long a wave is watched after its nodes have verified the release
}

// A Node is one that deploys the target.
type Node struct {
	Name     string
	Away     time.Duration // since when it is not alive; 0: it is alive
	Verified bool          // it says that it has verified the release
	Failures int           // otherwise: how often it failed with it
	Err      string        // the last time; "": it did not fail
}

const (
	patience    = 2 * time.Minute // with nodes that are not alive
	maxFailures = 3               // of one node, before another takes its place
	maxHeld     = 300             // bytes of the reason why a release is held
)

const remedy = `write numbers of nodes, then percentages, each larger than the one before, and "100%" last: ["1", "25%", "100%"]`

// Check checks the sizes of waves: numbers, then percentages, growing up to 100%.
func Check(waves []string) error {
	last, lastPercent := 0, false
	for i, s := range waves {
		n, percent, ok := parseSize(s)
		switch {
		case !ok:
			return problem.Newf(remedy, "%q is neither a number of nodes nor a percentage", s)
		case percent && n > 100:
			return problem.Newf(remedy, "%q is more than all nodes", s)
		case lastPercent && !percent:
			return problem.Newf(`did you mean "`+s+`%"?`, "%q is a number of nodes behind a percentage, %q", s, waves[i-1])
		case percent == lastPercent && n <= last:
			return problem.Newf(remedy, "%q is not larger than %q before it", s, waves[i-1])
		}
		last, lastPercent = n, percent
	}
	if last != 100 || !lastPercent {
		return problem.New(`the last wave is not "100%", so that some nodes would never deploy`, remedy)
	}
	return nil
}

// parseSize reads the size of a wave: "5", or "25%" of all nodes.
func parseSize(wave string) (n int, percent, ok bool) {
	digits, percent := strings.CutSuffix(wave, "%")
	n, err := strconv.Atoi(digits)
	return n, percent, err == nil && n >= 1 && digits == strconv.Itoa(n)
}

// size returns how many of n nodes a wave has: one at least, unless there are none. A wave
// that Check refuses is for all.
func (r Rules) size(wave, n int) int {
	if wave >= len(r.Waves) {
		return n
	}
	size, percent, ok := parseSize(r.Waves[wave])
	switch {
	case !ok:
		return n
	case percent:
		size = (size*n + 99) / 100
	}
	return min(size, n)
}

// First returns a new release with its first wave.
func First(now time.Time, rules Rules, r document.Release, nodes []Node, urgent bool) document.Release {
	r.Held = ""
	if urgent {
		return everywhere(now, r)
	}
	r.Wave, r.Nodes, r.All = -1, nil, false
	return widen(now, rules, r, nodes)
}

// Next returns how a release goes on, with the nodes in their order, and whether all
// that may deploy it have verified it. The time when that was first so is since, zero if
// it was not. Nothing is due before a node changes or since plus the time to bake.
func Next(now time.Time, rules Rules, r document.Release, nodes []Node, urgent bool, since time.Time) (next document.Release, verified bool) {
	switch {
	case r.All:
		return r, false
	case urgent:
		return everywhere(now, r), false
	case r.Stopped:
		return r, false
	}
	w := sort(r, nodes)
	if len(w.broken) > max(1, len(r.Nodes)/10) {
		return held(r, w.broken[0]), false
	}
	if missing := rules.size(max(r.Wave, 0), len(nodes)) - w.good(); missing > 0 && len(w.idle) > 0 {
		return name(now, r, w.idle[:min(missing, len(w.idle))]), false
	}
	switch {
	case len(w.failing) > 0:
		return held(r, w.failing[0]), false
	case len(w.verified) == 0 && len(w.pending) == 0 && len(w.broken) > 0: // and no other node is alive
		return held(r, w.broken[0]), false
	}
	r.Held = ""
	if len(w.pending) > 0 || len(w.verified) == 0 {
		return r, false
	}
	if rules.Bake > 0 && (since.IsZero() || now.Before(since.Add(rules.Bake))) {
		return r, true
	}
	return widen(now, rules, r, nodes), true
}

// A state sorts the nodes of a target by what they do with a release.
type state struct {
	verified []Node // it
	pending  []Node // will deploy it, or are about to
	failing  []Node // and will be tried again
	broken   []Node // that failed too often
	idle     []Node // alive, and not named yet
}

// good returns how many nodes make up the waves so far: others take the place of those
// that are broken or away.
func (s state) good() int { return len(s.verified) + len(s.pending) + len(s.failing) }

func sort(r document.Release, nodes []Node) state {
	var s state
	for _, n := range nodes {
		named := slices.Contains(r.Nodes, n.Name)
		switch {
		case !named && n.Away == 0:
			s.idle = append(s.idle, n)
		case !named:
		case n.Verified:
			s.verified = append(s.verified, n)
		case n.Away >= patience:
		case n.Failures >= maxFailures:
			s.broken = append(s.broken, n)
		case n.Failures > 0:
			s.failing = append(s.failing, n)
		default:
			s.pending = append(s.pending, n)
		}
	}
	return s
}

// widen returns the release with the next wave that has a further node in it.
func widen(now time.Time, rules Rules, r document.Release, nodes []Node) document.Release {
	w := sort(r, nodes)
	for r.Wave++; r.Wave < len(rules.Waves); r.Wave++ {
		size := rules.size(r.Wave, len(nodes))
		if size >= len(nodes) {
			break
		}
		if missing := size - w.good(); missing > 0 && len(w.idle) > 0 {
			return name(now, r, w.idle[:min(missing, len(w.idle))])
		}
		if len(r.Nodes) == 0 { // no node is alive: the first that is has the first wave
			r.At = now
			return r
		}
	}
	return everywhere(now, r)
}

// name returns the release with further nodes that may deploy it.
func name(now time.Time, r document.Release, nodes []Node) document.Release {
	r.Nodes = slices.Clone(r.Nodes)
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, n.Name)
	}
	slices.Sort(r.Nodes)
	r.At, r.Held = now, ""
	return r
}

// everywhere returns the release for all nodes.
func everywhere(now time.Time, r document.Release) document.Release {
	r.All, r.Nodes, r.At, r.Held, r.Stopped = true, nil, now, "", false
	return r
}

func held(r document.Release, by Node) document.Release {
	r.Held = fmt.Sprintf("%s: %s", by.Name, by.Err)
	r.Held = strings.ToValidUTF8(r.Held[:min(len(r.Held), maxHeld)], "")
	return r
}

// Allows reports whether a node may deploy the release now.
func Allows(r document.Release, node string) bool { return r.All || slices.Contains(r.Nodes, node) }

// Hold returns the release held by a person: only a person lets it go.
func Hold(r document.Release, reason string) document.Release {
	if !r.All {
		r.Held, r.Stopped = reason, true
	}
	return r
}

// Go returns the release for all nodes, as a person wants it.
func Go(now time.Time, r document.Release) document.Release { return everywhere(now, r) }
