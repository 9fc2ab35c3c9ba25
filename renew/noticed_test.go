package renew

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A note is a Notifier that keeps what it is told.
type note struct {
	last []Notice
	err  error
}

func (n *note) Notify(_ context.Context, notices []Notice) error {
	n.last = notices
	return n.err
}

// A person who is told that a renewal could not be deployed is told what is in
// use, not nothing.
func TestNoticeNamesWhatIsInUse(t *testing.T) {
	w, heard := newWorld(t), new(note)
	w.pass(t.Context(), Patient, chat)
	inUse, err := w.store.Live("chat")
	must(t, err)
	w.notifier = heard
	w.deploy = reloadFails
	w.pass(t.Context(), Forced, chat)
	w.pass(t.Context(), Asked, chat)
	w.pass(t.Context(), Asked, chat)
	if len(heard.last) != 1 {
		t.Fatalf("told %+v", heard.last)
	}
	n := heard.last[0]
	if n.Kind != Failing || n.Version != inUse.ID || n.Fingerprint != inUse.Pair.Fingerprint() || !n.NotAfter.Equal(inUse.Pair.Leaf.NotAfter) {
		t.Errorf("told %+v, want version %s, %s", n, inUse.ID, inUse.Pair.Fingerprint())
	}
}

// An unheard is an error with a remedy.
type unheard struct{ error }

func (unheard) Remedy() string { return "mend the mail" }

// The log names targets as it does elsewhere, and says what can be done.
func TestTellingInTheLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"heard", nil, `msg=told event=failing certs="a b"`},
		{"not heard", unheard{errors.New("no mail")}, `msg="nobody told" event=failing certs="a b" err="no mail" remedy="mend the mail"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			var log bytes.Buffer
			w.log, w.notifier = slog.New(slog.NewTextHandler(&log, nil)), &note{err: tt.err}
			w.obtain = func(context.Context, Target) error { return errors.New("down") }
			for range stubborn {
				w.pass(t.Context(), Asked, named("a", "b")...)
			}
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("log has no %s:\n%s", tt.want, log.String())
			}
		})
	}
}
