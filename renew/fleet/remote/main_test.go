package remote

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	fleet "keypaird/cmd/keypaird-fleet/child"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/testutil"
)

// TestMain is also the child.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Program {
		os.Exit(fleet.Main(os.Args[1:]))
	}
	if play, ok := players[filepath.Base(os.Args[0])]; ok {
		play()
		os.Exit(0)
	}
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program returns the path of a keypaird-fleet, which every user may run.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "keypaird-fleet-")
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	binary, err := os.ReadFile(self)
	path := filepath.Join(dir, Program)
	return path, errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(path, binary, 0o755), os.Chmod(path, 0o755))
})

// begin runs an engine with settings, until the test ends or what it returns is called.
func begin(t *testing.T, settings func() (wire.Settings, error), log *testutil.Log) (*Engine, func()) {
	t.Helper()
	path, err := program()
	testutil.Must(t, err)
	return beginPath(t, path, settings, log)
}

func beginPath(t *testing.T, path string, settings func() (wire.Settings, error), log *testutil.Log) (*Engine, func()) {
	t.Helper()
	e := New(Options{Path: path, Settings: settings, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log: %s", log)
		}
	})
	return e, stop
}

func with(s wire.Settings) func() (wire.Settings, error) {
	return func() (wire.Settings, error) { return s, nil }
}

// running returns the child of an engine.
func running(t *testing.T, e engine.Engine) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	k, err := e.(*Engine).running(ctx)
	testutil.Must(t, err)
	return k
}
