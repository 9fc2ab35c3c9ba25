package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
)

const (
	maxExceptions = 1000
	maxNewer      = 200
	maxErr        = 300                    // bytes of an error
	reportAfter   = 300 * time.Millisecond // changes are collected
)

// Report notes what this node serves of a target: the release with this serial is verified
// in all its deployments, or e says what failed or is under way. With the serial 0, e says
// why the node could not take the newest release. What the other nodes need to know is
// written when it changed.
func (f *Fleet) Report(target string, serial uint64, e *document.Exception) {
	r := result{serial: serial}
	if e != nil {
		copied := *e
		copied.Serial = serial
		copied.Err = strings.ToValidUTF8(e.Err[:min(len(e.Err), maxErr)], "")
		r.exception = &copied
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, known := f.results[target]
	if e := r.exception; e != nil && e.Err != "" && e.Failures == 0 { // one is counted in a minute
		e.Failures, r.failedAt = 1, time.Now()
		if before := old.exception; before != nil && before.Err != "" && old.serial == serial {
			e.Failures, r.failedAt = before.Failures, old.failedAt
			if time.Since(old.failedAt) >= time.Minute {
				e.Failures, r.failedAt = before.Failures+1, time.Now()
			}
		}
	}
	f.results[target] = r
	if !known || !old.equal(r) {
		f.wake()
	}
}

// Unreleased notes whether this node has a pair of a target that it ordered alone and that
// is newer than the release: while it has one, another orderer leaves the seat to it.
func (f *Fleet) Unreleased(target string, has bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unreleased[target] == has {
		return
	}
	if has {
		f.unreleased[target] = true
	} else {
		delete(f.unreleased, target)
	}
	f.wake()
}

// equal reports whether two results say the same to other nodes.
func (r result) equal(other result) bool {
	a, b := r.exception, other.exception
	if r.serial != other.serial || (a == nil) != (b == nil) {
		return false
	}
	return a == nil || a.Failures == b.Failures && a.Err == b.Err
}

// writeReports writes this node's report whenever other nodes need to know what changed.
func (f *Fleet) writeReports(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		next := f.changed
		_, due := f.report()
		due = due && f.present && f.unreachable() == nil
		var rested <-chan time.Time
		if rest := f.rest.until.Sub(f.now()); rest > 0 {
			rested = time.After(rest)
		}
		f.mu.Unlock()
		if !due {
			select {
			case <-ctx.Done():
			case <-rested:
			case <-next:
				pause(ctx, reportAfter)
			}
			continue
		}
		n, err := f.writeReport(ctx)
		if err != nil {
			f.Log.Debug("report not written", "err", err)
			pause(ctx, 10*minRetry)
		}
		pause(ctx, reportAfter+time.Duration(n)*10*time.Millisecond)
	}
}

// writeReport writes this node's report, and returns how many exceptions it has.
func (f *Fleet) writeReport(ctx context.Context) (int, error) {
	f.mu.Lock()
	r, due := f.report()
	f.mu.Unlock()
	if !due {
		return 0, nil
	}
	op, err := f.signer.Op(document.ReportKey(f.Node), 0, r, nil, nil)
	if err != nil {
		return 0, err
	}
	return len(r.Exceptions), f.setOwn(ctx, op, func(engine.Entry) bool { return true })
}

// report returns the current report of this node, and whether it says something else than
// what the engine has. Only releases that this node may deploy are in it, and those that
// the engine lost. f.mu is held.
func (f *Fleet) report() (document.Report, bool) {
	written := document.Report{}
	if n := f.view.Nodes[f.Node]; n != nil && n.Report != nil {
		written = n.Report.Report
	}
	now := document.Report{Exceptions: map[string]document.Exception{}, Newer: f.lostReleases(), Clocks: f.clocks(written.Clocks)}
	now.Waits = document.Clean(withRemedy(f.waits()))
	if len(f.unreleased) > 0 {
		now.Unreleased = slices.Sorted(maps.Keys(f.unreleased))
		now.Unreleased = now.Unreleased[:min(len(now.Unreleased), maxNewer)] // that there are some is what counts
	}
	due := now.Waits != written.Waits || !maps.Equal(now.Clocks, written.Clocks) || !slices.Equal(now.Unreleased, written.Unreleased) ||
		len(now.Newer) > 0 && !sameKeys(now.Newer, written.Newer) || len(now.Newer) == 0 && len(written.Newer) > 0
	type exception struct {
		target   string
		revision engine.Revision
	}
	var open []exception
	for target, r := range f.view.Releases {
		if !f.mine(target) {
			continue
		}
		now.Revision, now.Seen = max(now.Revision, r.Revision), later(now.Seen, r.At)
		before, excepted := written.Exceptions[target]
		e := f.status(target, r, written)
		switch {
		case e == nil && !wave.Allows(r.Release, f.Node):
			continue // nothing to say of it yet
		case e == nil:
			due = due || excepted || !written.Covers(r.Release, r.Revision)
			continue
		case e.Serial == r.Serial && !wave.Allows(r.Release, f.Node):
			continue
		}
		if e.Err != "" && (!excepted || before.Serial != e.Serial || before.Err != e.Err || before.Failures != e.Failures) {
			due = true
		}
		if e.Err == "" && excepted && before.Serial == e.Serial && before.Err != "" {
			due = true
		}
		if e.At.IsZero() {
			e.At = f.now()
		}
		e.At = e.At.UTC().Round(0)
		now.Exceptions[target] = *e
		open = append(open, exception{target, r.Revision})
	}
	if len(open) > maxExceptions { // the oldest; nothing is said of what is newer
		slices.SortFunc(open, func(a, b exception) int { return cmp.Compare(a.revision, b.revision) })
		now.Revision = open[maxExceptions].revision - 1
		now.Seen = f.seenUpTo(now.Revision)
		for _, e := range open[maxExceptions:] {
			delete(now.Exceptions, e.target)
		}
	}
	return now, due
}

// seenUpTo returns the latest At of this node's releases that were set up to a revision. f.mu
// is held.
func (f *Fleet) seenUpTo(revision engine.Revision) (at time.Time) {
	for target, r := range f.view.Releases {
		if r.Revision <= revision && f.mine(target) {
			at = later(at, r.At)
		}
	}
	return at
}

func withRemedy(text, remedy string) string {
	if remedy == "" {
		return text
	}
	return text + " (" + remedy + ")"
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// status returns the exception to report for a target's release; nil: it is verified. f.mu
// is held.
func (f *Fleet) status(target string, r *view.Release, written document.Report) *document.Exception {
	result, known := f.results[target]
	switch {
	case !known: // in this process: what was said before stays
		if before, ok := written.Exceptions[target]; ok {
			return &before
		}
		if written.Covers(r.Release, r.Revision) {
			return nil
		}
	case result.serial > r.Serial:
		return &document.Exception{Serial: result.serial, Err: "the engine has an older release than this node"}
	case result.serial == r.Serial && result.exception == nil:
		return nil
	case result.serial == r.Serial, result.serial == 0 && result.exception != nil && result.exception.Err != "":
		e := *result.exception
		e.Serial = r.Serial
		return &e
	}
	return &document.Exception{Serial: r.Serial}
}

// mine reports whether this node deploys a target.
func (f *Fleet) mine(target string) bool { return slices.Contains(f.Audience(target), f.Node) }

// lostReleases returns releases that this node has and the engine lost. f.mu is held.
func (f *Fleet) lostReleases() map[string][]byte {
	var lost map[string][]byte
	for target, r := range f.view.Lost {
		there := f.view.Releases[target]
		if f.results[target].serial < r.Serial || there != nil && there.Serial >= r.Serial || len(lost) == maxNewer {
			continue
		}
		if lost == nil {
			lost = map[string][]byte{}
		}
		lost[target] = r.Value
	}
	return lost
}

func sameKeys(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return true
}
