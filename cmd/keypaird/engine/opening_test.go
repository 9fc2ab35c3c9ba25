package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// A CA is asked once in a pass. Why it could not be is the error of one order, of the same
// pass.
func TestOpening(t *testing.T) {
	var o opening
	asked, down := 0, errors.New("down")
	ask := func() error { asked++; return down }
	want := func(what string, got, want error) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	pass, end := context.WithCancel(t.Context())
	want("not begun", o.failure(), nil)
	want("the first", o.begin(pass, ask), down)
	want("another beside it", o.begin(pass, ask), down)
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	want("the first order", o.failure(), down)
	want("the next order", o.failure(), nil)
	want("another", o.begin(pass, ask), nil)
	end()
	want("an order of the next pass", o.failure(), nil)
	down = nil
	want("the next pass", o.begin(t.Context(), ask), nil)
	want("its order", o.failure(), nil)
	if asked != 2 {
		t.Errorf("asked %d times, want twice", asked)
	}
}

// A state directory that cannot be opened is named, and another one can be chosen.
func TestNotOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	testutil.Must(t, os.WriteFile(file, nil, 0o600))
	for _, state := range []string{file, filepath.Join(file, "state")} {
		_, err := New(&config.Config{State: state}, Options{Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(problem.Remedy(err), "as state in the configuration") {
			t.Errorf("%s: %v, remedy %q", state, err, problem.Remedy(err))
		}
	}
}
