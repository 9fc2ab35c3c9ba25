package orderlog

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Damaged lines are skipped, and nothing that is written after them is lost.
func TestDamagedLines(t *testing.T) {
	p := Request{Names: []string{"a.test"}}
	set := hashNames(p.Names)
	now := time.Now().UTC().Truncate(time.Second)
	line := event{now, Finalize, set, 1}.String()
	for _, tt := range []struct {
		name, text string
		left       int // certificates that may still be ordered
	}{
		{"empty", "", 2},
		{"one", line, 1},
		{"one that is cut off", line[:len(line)-20], 2},
		{"one without its end", line[:len(line)-1], 1},
		{"one twice", line + line, 1},
		{"an unknown line between", line + "2026 hello\n" + event{now, Finalize, set, 2}.String(), 0},
		{"a line of megabytes between", line + strings.Repeat("x", 3<<20) + "\n" + event{now, Finalize, set, 2}.String(), 0},
		{"zeros, as of a power failure", line + strings.Repeat("\x00", 4096), 1},
		{"no order named", event{now, Finalize, set, 0}.String() + event{now, Finalize, set, 0}.String(), 0},
		{"of another kind", strings.ReplaceAll(line, "finalize", "party"), 2},
		{"of another set", event{now, Finalize, hashNames([]string{"b.test"}), 1}.String(), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &client{Log: New(Options{CA: "ca", Dir: t.TempDir()})}
			if err := os.WriteFile(b.path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				b.Log = New(Options{CA: "ca", Dir: strings.TrimSuffix(b.path, "/orders.log")})
				if err := b.certify(t, p); (err == nil) != (i < tt.left) {
					t.Errorf("certificate %d: %v, want %d", i, err, tt.left)
				}
			}
		})
	}
}

// What an earlier version noted, under other names of the two kinds, still counts, also
// after a rewrite.
func TestEarlierKinds(t *testing.T) {
	text, err := os.ReadFile("testdata/earlier.log")
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{CA: "ca", Dir: t.TempDir(), MaxOrders: 2, Clock: func() time.Time {
		return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	}})
	if err := os.WriteFile(b.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again := Request{Names: []string{"a.example.org"}}
	if err := b.Reserve(t.Context(), Finalize, again); err == nil || !strings.Contains(err.Error(), "2 certificates for exactly these names in the last 24 hours") {
		t.Errorf("a third certificate: %v", err)
	}
	if err := b.Reserve(t.Context(), NewOrder, Request{Names: []string{"b.example.org"}}); err == nil || !strings.Contains(err.Error(), "2 orders in the last 3 hours") {
		t.Errorf("a third order: %v", err)
	}
	if lines := string(b.events.lines()); strings.Count(lines, " newOrder ") != 2 || strings.Count(lines, " finalize ") != 2 {
		t.Errorf("rewritten:\n%s", lines)
	}
}

// The file does not grow without bound, and only old events are dropped.
func TestRewrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &client{Log: New(Options{CA: "ca", Dir: t.TempDir()})}
		var most int64
		for i := range 12_000 {
			if err := b.certify(t, Request{Names: []string{fmt.Sprintf("n%d.test", i)}}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(b.path)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, info.Size())
			<-time.After(10 * time.Minute)
		}
		// In two weeks there are 2016 of them, of at most 88 bytes each.
		if most > 4*2016*88 {
			t.Errorf("orders.log grew to %d bytes", most)
		}
		again := New(Options{CA: "ca", Dir: strings.TrimSuffix(b.path, "/orders.log")})
		if err := again.Reserve(t.Context(), NewOrder, Request{Names: []string{"a.test"}}); err != nil {
			t.Fatal(err)
		}
		for i := 12_000 - 1007; i < 12_000; i++ {
			if n := len(again.events.certificates(hashNames([]string{fmt.Sprintf("n%d.test", i)}), 0)); n != 1 {
				t.Fatalf("%d certificates %d are known", n, i)
			}
		}
		if n := len(b.events.certs); n > 4*2016 {
			t.Errorf("%d sets in memory", n)
		}
	})
}

// A huge file is not read whole.
func TestHugeFile(t *testing.T) {
	l := New(Options{CA: "ca", Dir: t.TempDir()})
	f, err := os.Create(l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 34); err != nil { // gigabytes of nothing
		t.Fatal(err)
	}
	p := Request{Names: []string{"a.test"}}
	var end bytes.Buffer
	end.WriteString("\n")
	for i := range 2 {
		end.WriteString(event{time.Now(), Finalize, hashNames(p.Names), uint64(i + 1)}.String())
	}
	if _, err := f.WriteAt(end.Bytes(), 1<<34); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = l.Reserve(t.Context(), NewOrder, p)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "2 certificates") {
		t.Errorf("error = %v, want what the end of the file says", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes allocated", took)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add("2026-11-23T20:17:02Z cert 8f434346648f6b96df89dda901c5176b 2c26b46b68ffc68f")
	f.Add("2026-11-23T20:17:00Z order 8f434346648f6b96df89dda901c5176b")
	f.Add("\x00 order 8f")
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := parseEvent(line)
		if !ok {
			return
		}
		again, ok := parseEvent(e.String())
		if !ok || again.kind != e.kind || again.names != e.names || again.order != e.order || again.at.Sub(e.at).Abs() >= time.Second {
			t.Errorf("%q is %+v, then %+v", line, e, again)
		}
	})
}

// Nothing is forgotten because the clock was wrong when the file was read.
func TestReadByAWrongClock(t *testing.T) {
	l := New(Options{CA: "ca", Dir: t.TempDir()})
	now, set := time.Now().Round(0), hashNames([]string{"a.test"})
	if err := os.WriteFile(l.path, []byte(event{now, Finalize, set, 1}.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, info, err := l.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, tt := range []struct {
		name   string
		ahead  time.Duration
		counts int
	}{
		{"a month ahead", 30 * 24 * time.Hour, 0},
		{"set right", 0, 1},
		{"eight days ahead: it may count again", 8 * 24 * time.Hour, 1},
	} {
		if err := l.events.read(f, info, now.Add(tt.ahead)); err != nil {
			t.Fatal(err)
		}
		l.events.prune(now.Add(tt.ahead))
		if n := len(l.events.certificates(set, 0)); n != tt.counts {
			t.Errorf("%s: %d certificates are known, want %d", tt.name, n, tt.counts)
		}
	}
}
