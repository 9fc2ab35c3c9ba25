package renew

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/backoff"
)

// A live link that cannot be switched is a failure like any other: it is tried
// again with a backoff, a person is told, and it costs no order.
func TestLiveCannotBeSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, errs := w.pass(t.Context(), Scheduled, chat)
		wantErrors(t, errs)
		link := filepath.Join(w.store.Dir("chat"), "live")
		block := func(context.Context, Target) error {
			must(t, os.RemoveAll(link))
			return os.MkdirAll(filepath.Join(link, "x"), 0o700)
		}
		time.Sleep(61 * day)
		w.obtain = block // while it is ordered
		_, errs = w.pass(t.Context(), Scheduled, chat)
		w.obtain = nil
		wantErrors(t, errs, `cert "chat": switching to its new version: writing `)
		if !strings.Contains(Remedy(errs[0]), "out of the way") {
			t.Errorf("remedy = %q", Remedy(errs[0]))
		}
		_, errs = w.pass(t.Context(), Scheduled, chat) // the backoff runs
		wantErrors(t, errs)
		for range 3 {
			time.Sleep(2 * time.Hour)
			w.pass(t.Context(), Scheduled, chat)
		}
		s, err := loadState(w.store, "chat")
		must(t, err)
		if last := s.Record.Deployments["relayd"].Attempt; last.Failures < backoff.Persistent || !strings.Contains(last.Error, "switching to the new version") {
			t.Errorf("last failure = %+v", last)
		}
		must(t, os.RemoveAll(link))
		time.Sleep(2 * day)
		_, errs = w.pass(t.Context(), Scheduled, chat)
		if wantErrors(t, errs); w.counts() != [2]int{2, 2} {
			t.Errorf("CA and proxy asked %v times", w.counts())
		}
		if live, err := w.store.Live("chat"); err != nil || live.ID != "v000002" {
			t.Errorf("live: %v, %v", live.ID, err)
		}
	})
}

// Where no link can be made, nothing is ordered that could not be used.
func TestLiveIsADirectory(t *testing.T) {
	w := newWorld(t)
	must(t, os.MkdirAll(filepath.Join(w.store.Dir("chat"), "live"), 0o700))
	_, errs := w.pass(t.Context(), Force, chat)
	wantErrors(t, errs, "live: is a directory, not a link to the live version")
	if len(w.obtained) > 0 || !strings.Contains(Remedy(errs[0]), "out of the way") {
		t.Errorf("%d orders, remedy %q", len(w.obtained), Remedy(errs[0]))
	}
}

// What the disk did not take is not written over what a command has recorded
// since.
func TestUnsavedRecordIsOlder(t *testing.T) {
	w, lost := newWorld(t), newWorld(t)
	lost.store.Close()
	p := &Pass{Store: lost.store, Records: new(Records), Log: w.log}
	failed := &job{Target: chat}
	failed.state.Record.SetFailedOrder("le", backoff.Attempt{Failures: 2, Error: "down"})
	if err := p.save(failed); err == nil {
		t.Fatal("a closed store takes a record")
	}
	p.Store = w.store
	must(t, new(Records).Save(w.store, "chat", Record{Ordering: Ordering{CA: "le"}}))
	next := &job{Target: chat}
	next.state.Record.CA = "le"
	p.retrySave(next)
	r, err := LoadRecord(w.store, "chat")
	if err != nil || r.CA != "le" || r.Orders != nil || next.state.Record.Orders != nil || unsaved(p) {
		t.Errorf("recorded %+v, %v; in use %+v; unsaved: %v", r, err, next.state.Record, unsaved(p))
	}
}

// What the machine refuses is to be put right there, whatever was being done.
func TestRemedyOfTheMachine(t *testing.T) {
	file := func(err error) error { return &fs.PathError{Op: "open", Path: "/d/token", Err: err} }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"another's error", limited{}, "wait"},
		{"no files left for a connection", os.NewSyscallError("socket", syscall.EMFILE), "ulimit -n"},
		{"no files left on the machine", os.NewSyscallError("socket", syscall.ENFILE), "system's limit"},
		{"full", file(syscall.ENOSPC), "free some space for /d "},
		{"full, at a rename", &os.LinkError{Op: "rename", Old: "/d/tmp", New: "/d/token", Err: syscall.ENOSPC}, "free some space for /d "},
		{"read-only", file(syscall.EROFS), "mount the file system of /d "},
		{"broken", file(syscall.EIO), "about the disk of /d/token,"},
		{"full, and nobody knows where", syscall.ENOSPC, ""},
		{"not there", file(syscall.ENOENT), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, err := range []error{tt.err, fmt.Errorf("listening: %w", tt.err), errors.Join(tt.err, errors.New("and more"))} {
				if got := Remedy(err); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
					t.Errorf("Remedy(%v) = %q, want %q", err, got, tt.want)
				}
			}
			if got := Remedy(&wrapped{tt.err}); tt.want != "" && tt.want != "wait" && !strings.Contains(got, tt.want) {
				t.Errorf("the guess of an error that wraps it stands before it: %q", got)
			}
		})
	}
}

// wrapped is an error that knows less than what it wraps.
type wrapped struct{ error }

func (e *wrapped) Unwrap() error  { return e.error }
func (e *wrapped) Remedy() string { return "check the address" }
