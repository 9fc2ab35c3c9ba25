package renew

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limited is an error that knows when to try again.
type limited struct{ at time.Time }

func (e limited) Error() string       { return "too many" }
func (e limited) Earliest() time.Time { return e.at }
func (e limited) Remedy() string      { return "wait" }

// jitterless is a wait that is over whatever was added to it by chance.
func jitterless(wait time.Duration) time.Duration { return wait + wait/8 }

// The record is a hint: whatever is in its place, the target goes on.
func TestDamagedRecord(t *testing.T) {
	for _, tt := range []struct{ name, content string }{
		{"empty", ""}, {"half a file", `{"ca":"le","iss`}, {"another type", `[]`}, {"null", "null"},
		{"fields of other types", `{"ca":"le","orders":{"le":{"failures":"many"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(w.store.Dir("chat"), "record.json")
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte(tt.content), 0o600))
			if r, err := LoadRecord(w.store, "chat"); err != nil || r.CA != "" || r.Deployments != nil {
				t.Errorf("LoadRecord = %+v, %v; want an empty one", r, err)
			}
		})
	}
	w := newWorld(t)
	path := filepath.Join(w.store.Dir("chat"), "record.json")
	must(t, os.MkdirAll(path, 0o700))
	if _, err := LoadRecord(w.store, "chat"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a directory in its place: %v, want an error", err)
	}
}

func FuzzLoadRecord(f *testing.F) {
	f.Add([]byte(`{"ca":"le","issued_at":"2026-03-01T12:00:00Z","orders":{"le":{"failures":1,"next":"9999-12-31T23:59:59Z"}}}`))
	f.Add([]byte(`{"issued_at":null,"deployments":{"relayd":{"attempt":{"failures":-5}}}}`))
	w := newWorld(f)
	path := filepath.Join(w.store.Dir("chat"), "record.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o600))
		r, err := LoadRecord(w.store, "chat")
		if err != nil {
			return
		}
		for _, mode := range []Mode{Scheduled, Manual, Force} {
			d := Decide(now, chat, State{Leaf: ours(61*day, 90*day), Fingerprint: "f", Record: r}, mode)
			if d.Action == Wait && d.At.Sub(now) > 2*day {
				t.Errorf("waits until %v", d.At)
			}
		}
		r.Orders["le"].Failed(errors.New("x"), now, time.Time{})
	})
}

// A target without a certificate has no deployed files to compare: nothing is written
// before its order.
func TestNothingIsRecordedBeforeTheFirstOrder(t *testing.T) {
	w := newWorld(t)
	w.limit = func(string) Limit { return Limit{Until: time.Now().Add(day), Err: errors.New("own limit")} }
	target := chat
	target.Issuers, target.Deploy = cas("le"), deploymentsAs(DeploySpec{Signature: "no files"}, "relayd")
	w.pass(t.Context(), Scheduled, target)
	if data, err := w.store.ReadFile(chat.Name, "record.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("record %s, %v; want none", data, err)
	}
}
