package orderlog

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Several machines may order with one account, one after the other. Each has a log of its
// own, publishes the lines of what it ordered, and merges those of the others before it
// orders again.

// Lines returns the events that still count, the oldest first, as lines of the file: those
// of certificates for exactly names, or all if there are none.
func (l *Log) Lines(names ...string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if err := l.readUnlocked(now); err != nil {
		return nil, l.unusable(context.Background(), err)
	}
	l.events.prune(now)
	var lines []string
	for _, e := range l.events.list() {
		if len(names) == 0 || e.kind == Finalize && e.names == hashNames(names) {
			lines = append(lines, strings.TrimSuffix(e.String(), "\n"))
		}
	}
	return lines, nil
}

// mergePeriod is how exactly orders are merged: of those within one such period, counted
// from the full hour, as many are kept as the log has that has more. So a list of counts
// can be merged, too, as that many lines.
const mergePeriod = 5 * time.Minute

// Merge adds events of another log of the account, in lines as [Log.Lines] returns them,
// and returns once they survive a crash of the machine. Those that are there are not added
// again. Unless each line is an event, nothing is merged.
func (l *Log) Merge(ctx context.Context, lines []string) error {
	var others []event
	for _, line := range lines {
		e, ok := parseEvent(line)
		if !ok || len(line) > maxLine {
			return fmt.Errorf("merging order logs: %.80q is not a line of one", line)
		}
		others = append(others, e)
	}
	slices.SortStableFunc(others, func(a, b event) int { return a.at.Compare(b.at) })
	return l.locked(ctx, func(_ *os.File, now time.Time) error {
		if !l.events.merge(others, now) {
			return nil
		}
		return l.rewrite(ctx, now)
	})
}

// merge adds events, and reports whether any was missing. Others is sorted by time.
func (v *events) merge(others []event, now time.Time) bool {
	before, later := len(v.list()), false
	orders := map[time.Time]int{}
	for _, at := range v.orders {
		orders[at.Truncate(mergePeriod)]++
	}
	for _, e := range others {
		if e.kind == NewOrder {
			if orders[e.at.Truncate(mergePeriod)]--; orders[e.at.Truncate(mergePeriod)] < 0 {
				v.add(e, now)
			}
			continue
		}
		i := slices.IndexFunc(v.certs[e.names], func(s issuance) bool { return s.order == e.order && (e.order != 0 || s.at.Equal(e.at)) })
		if i < 0 {
			v.add(e, now)
		} else if of := v.certs[e.names]; of[i].at.Before(e.at) {
			of[i].at, later = e.at, true
		}
	}
	return later || len(v.list()) > before
}
