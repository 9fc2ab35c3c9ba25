package problem

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// speechless is an error whose remedy depends on facts, and is empty here.
type speechless struct{ error }

func (speechless) Remedy() string  { return "" }
func (e speechless) Unwrap() error { return e.error }

func TestRemedy(t *testing.T) {
	full := New("disk full", "free some space")
	for _, tt := range []struct {
		name            string
		err             error
		message, remedy string
	}{
		{"without", errors.New("disk full"), "disk full", ""},
		{"new", full, "disk full", "free some space"},
		{"formatted", Newf("raise 100%", "disk %d%% full", 99), "disk 99% full", "raise 100%"},
		{"below", fmt.Errorf("writing: %w", full), "writing: disk full", "free some space"},
		{"outermost wins", Wrap(fmt.Errorf("writing: %w", full), "use another disk"), "writing: disk full", "use another disk"},
		{"outermost is empty", Wrap(full, ""), "disk full", "free some space"},
		{"a type without one", speechless{full}, "disk full", "free some space"},
		{"joined", errors.Join(errors.New("one"), full), "one\ndisk full", "free some space"},
		{"two wrapped", fmt.Errorf("%w, %w", speechless{fs.ErrExist}, full), "file already exists, disk full", "free some space"},
	} {
		if got := Remedy(tt.err); got != tt.remedy || tt.err.Error() != tt.message {
			t.Errorf("%s: %q, remedy %q, want %q, %q", tt.name, tt.err, got, tt.message, tt.remedy)
		}
	}
	if Remedy(nil) != "" || Wrap(nil, "retry") != nil {
		t.Error("nil is a problem")
	}
}

func TestWrapKeepsCause(t *testing.T) {
	for _, err := range []error{
		Wrap(fs.ErrNotExist, "create it"),
		Newf("create it", "reading %s: %w", "x", fs.ErrNotExist),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not wrap its cause", err)
		}
	}
}
