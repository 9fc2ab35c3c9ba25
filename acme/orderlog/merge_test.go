package orderlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mustLines(t *testing.T, l *Log, names ...string) []string {
	t.Helper()
	lines, err := l.Lines(names...)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// A machine that has merged what another one ordered has its limits, and may merge it as
// often as it likes.
func TestMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &client{Log: New(Options{CA: "ca", Dir: t.TempDir(), MaxOrders: 4})}
		dir := t.TempDir()
		two := &client{Log: New(Options{CA: "ca", Dir: dir, MaxOrders: 4}), n: 100}
		a, b := Request{Names: []string{"a.test"}}, Request{Names: []string{"b.test"}}
		certify := func(c *client, r Request) {
			t.Helper()
			if err := c.certify(t, r); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * mergePeriod)
		}
		began := time.Now()
		certify(one, a)
		certify(two, b)
		certify(one, a)
		if got := mustLines(t, one.Log, "A.test"); len(got) != 2 || !strings.Contains(got[0], " finalize ") || got[0] >= got[1] {
			t.Errorf("lines of a.test: %q", got)
		}
		all := mustLines(t, one.Log)
		if len(all) != 4 || len(mustLines(t, one.Log, "b.test")) != 0 {
			t.Errorf("all lines: %q", all)
		}
		slices.Reverse(all) // in any order
		var before string
		for i := range 3 {
			if err := two.Merge(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(dir, "orders.log"))
			if err != nil || i > 0 && string(data) != before {
				t.Fatalf("merged again: %v, %s, want %s", err, data, before)
			}
			before = string(data)
			if lines := strings.Split(strings.TrimSpace(before), "\n"); !slices.IsSortedFunc(lines, func(a, b string) int { return strings.Compare(a[:20], b[:20]) }) {
				t.Errorf("not by time: %q", lines)
			}
		}
		wantLimit(t, two.Limit(a), "2 certificates for exactly these names in the last 24 hours", began.Add(24*time.Hour).Truncate(time.Second))
		if !two.Finalized("https://ca.test/order/2") {
			t.Error("an order of the other machine is not known to be finalized")
		}
		if err := two.Limit(b); err != nil {
			t.Errorf("limit of b.test: %v", err)
		}
		// Both are told of what the other did, and neither counts it twice.
		for range 2 {
			if err := one.Merge(t.Context(), mustLines(t, two.Log)); err != nil {
				t.Fatal(err)
			}
			if err := two.Merge(t.Context(), mustLines(t, one.Log)); err != nil {
				t.Fatal(err)
			}
		}
		if x, y := mustLines(t, one.Log), mustLines(t, two.Log); len(y) != 6 || !slices.Equal(x, y) {
			t.Errorf("one has %q, and the other %q", x, y)
		}
	})
}

// Counts of orders are merged as so many lines, and do not count beside the orders.
func TestMergeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &client{Log: New(Options{CA: "ca", Dir: t.TempDir(), MaxOrders: 5})}
		at := time.Now().UTC().Truncate(mergePeriod)
		for i := range 3 {
			if err := l.certify(t, Request{Names: []string{fmt.Sprint(i, ".test")}}); err != nil {
				t.Fatal(err)
			}
		}
		line := event{at: at, kind: NewOrder}.String()
		for n, full := range map[int]bool{3: false, 4: false, 5: true} {
			other := New(Options{CA: "ca", Dir: t.TempDir(), MaxOrders: 5})
			if err := other.Merge(t.Context(), mustLines(t, l.Log)); err != nil {
				t.Fatal(err)
			}
			if err := other.Merge(t.Context(), slices.Repeat([]string{line}, n)); err != nil {
				t.Fatal(err)
			}
			var limit *RateLimitError
			if got := errors.As(other.Limit(Request{Names: []string{"new.test"}}), &limit); got != full {
				t.Errorf("three orders and a count of %d: full %v, want %v", n, got, full)
			}
		}
	})
}

// An order that was finalized again counts from the last time; lines that are too old are
// not taken over, and of lines that are none nothing is.
func TestMergeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := New(Options{CA: "ca", Dir: dir})
		now := time.Now().UTC().Truncate(time.Second)
		set := hashNames([]string{"a.test"})
		line := func(ago time.Duration) string { return event{now.Add(-ago), Finalize, set, 7}.String() }
		good := line(2 * time.Hour)
		for _, bad := range []string{"", "x", good[1:], strings.Replace(good, "finalize", "revoke", 1), good + good, strings.Repeat("0", 300) + good} {
			if err := l.Merge(t.Context(), []string{good, bad}); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%.60q: error = %v, want one line", bad, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "orders.log")); err == nil {
			t.Error("something was merged")
		}
		old := event{now.Add(-30 * 24 * time.Hour), Finalize, set, 8}.String()
		if err := l.Merge(t.Context(), []string{good, line(time.Hour), line(3 * time.Hour), old}); err != nil {
			t.Fatal(err)
		}
		if got := mustLines(t, l); len(got) != 1 || got[0]+"\n" != line(time.Hour) {
			t.Errorf("lines %q, want the latest", got)
		}
	})
}
