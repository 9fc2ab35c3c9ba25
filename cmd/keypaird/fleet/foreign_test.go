package fleet

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/problem"
)

// files returns the files of a state directory, with what is in them.
func (m *machine) files() (list []string) {
	m.t.Helper()
	try(m.t, filepath.WalkDir(m.state, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, failed := os.ReadFile(path)
			list, err = append(list, path+": "+string(data)), failed
		}
		return err
	}))
	return list
}

// With the prefix of another fleet each command says so, and changes nothing: neither in the
// engine, nor in the state directory.
func TestForeignPrefix(t *testing.T) {
	store := memory.New()
	theirs, _ := machines(t, store.Client("theirs"), "mx1", "mx3")
	theirs[0].must("init")
	ours, _ := machines(t, store.Client("ours"), "mx1", "mx2", "mx3")
	revision, files := store.Revision(), ours[0].files()
	for _, line := range []string{"init", "status", "status a", "rollback a", "hold a", "go a", "remove mx9"} {
		ours[0].refused(line, "/keypaird/test/ holds another fleet: the engine's value of \"fleet\" is signed by no node of [fleet.nodes]", "choose another prefix in [fleet]")
	}
	ours[0].refused("rollback b", `the configuration has no certificate "b"`, "its names: a")
	cfg, err := config.Load(config.Options{Path: ours[1].file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx2", nil }})
	try(t, err)
	if _, err := ID(t.Context(), store.Client("ours"), cfg); problem.Remedy(err) == "" {
		t.Errorf("the daemon is told %v, without a remedy", err)
	}
	if store.Revision() != revision || !slices.Equal(ours[0].files(), files) {
		t.Errorf("something was changed: revision %d, before %d; %q, before %q", store.Revision(), revision, ours[0].files(), files)
	}
}

// An operator who orders without the engine is told why it counts as one that cannot be used.
func TestUnusableSaysWhy(t *testing.T) {
	store := memory.New()
	all, _ := machines(t, store.Client("c"), "mx1", "mx3")
	cfg, err := config.Load(config.Options{Path: all[0].file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx1", nil }})
	try(t, err)
	unusable := func(ctx context.Context, want string) {
		t.Helper()
		var hints []string
		c := Command{Log: slog.New(slog.DiscardHandler), Hint: func(text string) { hints = append(hints, text) }}
		c.Connect = func(context.Context, *config.Config, *slog.Logger) (engine.Engine, func()) {
			return store.Client("c"), func() {}
		}
		err := c.CheckUnusable(ctx, cfg)
		if got := strings.Join(hints, "\n"); err != ctx.Err() || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("told %q, %v; want %q", got, err, want)
		}
	}
	unusable(t.Context(), "cannot be used: the prefix of the engine belongs to no fleet yet\nremedy: run keypaird fleet init")
	all[0].must("init")
	store.Set(memory.Faults{ReadOnly: true})
	unusable(t.Context(), "the engine of the fleet cannot be used: ")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	unusable(ended, "")
}
