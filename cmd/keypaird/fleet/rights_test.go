package fleet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	child "keypaird/cmd/keypaird-fleet/child"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/problem"
)

// TestMain is also keypaird-fleet.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == remote.Program {
		os.Exit(child.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// connect returns the engine of an etcd as a user.
func connect(t *testing.T, path string, s wire.Settings) engine.Engine {
	t.Helper()
	e := remote.New(remote.Options{Path: path, Settings: func() (wire.Settings, error) { return s, nil }, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return e
}

// The commands that init prints give each node in etcd what it needs, and no more.
func TestRights(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	all, _ := machines(t, nil, "mx1", "mx2", "mx3")
	commands := all[0].must("init -print-etcdctl")
	commands, _, _ = strings.Cut(commands, "# Only once") // there are users already
	for line := range strings.Lines(commands) {
		line, _, _ = strings.Cut(line, "#")
		if args, ok := strings.CutPrefix(line, "etcdctl "); ok {
			c.Ctl(strings.Fields(args)...)
		}
	}
	path := program(t)
	orderer, node := connect(t, path, c.Settings("mx1")), connect(t, path, c.Settings("mx2"))

	all[0].e = orderer
	if out := all[0].must("init"); !strings.Contains(out, "begins at") {
		t.Errorf("%q", out)
	}
	cfg, err := config.Load(config.Options{Path: all[1].file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx2", nil }})
	try(t, err)
	if id, err := ID(t.Context(), node, cfg); err != nil || id == "" {
		t.Errorf("ID of mx2 = %q, %v", id, err)
	}
	var reads, writes []string
	for _, key := range []string{
		document.AccountKey("ca"), document.AliveKey("mx1"), document.AliveKey("mx2"), document.AskKey("mx1", "1"), document.AskKey("mx2", "1"), document.CountsKey("ca"),
		document.FleetKey, document.LiveKey("a"), document.OrderKey("a", "ca"), document.OrderLogKey("ca", "1"), document.PairKey("a", "v1"), document.RecordKey("a"), document.SeatKey, document.TokenKey("t"),
	} {
		if _, err := orderer.Commit(t.Context(), nil, []engine.Op{{Key: key, Value: []byte("x")}}); err != nil {
			t.Errorf("a node in order cannot write %s: %v", key, err)
		}
		if _, err := node.Read(t.Context(), key); err == nil {
			reads = append(reads, key)
		}
		if _, err := node.Commit(t.Context(), nil, []engine.Op{{Key: key, Value: []byte("y")}}); err == nil {
			writes = append(writes, key)
		}
	}
	if want := []string{"nodes/mx1/alive", "nodes/mx2/alive", "asks/mx2/1", "fleet", "live/a", "pairs/a/v1", "seat", "tokens/t"}; !slices.Equal(reads, want) {
		t.Errorf("mx2 reads %q, want %q", reads, want)
	}
	if want := []string{"nodes/mx2/alive", "asks/mx2/1"}; !slices.Equal(writes, want) {
		t.Errorf("mx2 writes %q, want %q", writes, want)
	}
}

// A user that lacks the right to one prefix is told which, with a command that gives it.
func TestRightMissing(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	c.Ctl("role", "add", "narrow")
	c.Ctl("user", "add", "mx1", "--no-password")
	c.Ctl("user", "grant-role", "mx1", "narrow")
	for _, kind := range document.Kinds {
		c.Ctl("role", "grant-permission", "narrow", "--prefix=true", "readwrite", etcdtest.Prefix+kind.Prefix())
	}
	e := connect(t, program(t), c.Settings("mx1"))
	try(t, fleet.CheckRights(t.Context(), e, "mx1", true))
	for _, kind := range document.Kinds {
		prefix := etcdtest.Prefix + kind.Prefix()
		for _, right := range []string{"none", "read", "write"} {
			c.Ctl("role", "revoke-permission", "narrow", "--prefix=true", prefix)
			if right != "none" {
				c.Ctl("role", "grant-permission", "narrow", "--prefix=true", right, prefix)
			}
			err := fleet.CheckRights(t.Context(), e, "mx1", true)
			_, command, _ := strings.Cut(problem.Remedy(err), "etcdctl role grant-permission ROLE ")
			if err == nil || !strings.Contains(err.Error(), "refuses "+prefix) || !strings.HasPrefix(command, "--prefix=true readwrite "+prefix) {
				t.Errorf("%s, %s: %v (%s)", kind, right, err, problem.Remedy(err))
				command = "--prefix=true readwrite " + prefix
			}
			c.Ctl(append([]string{"role", "grant-permission", "narrow"}, strings.Fields(command)...)...)
			try(t, fleet.CheckRights(t.Context(), e, "mx1", true))
			if command != "--prefix=true readwrite "+prefix {
				c.Ctl("role", "revoke-permission", "narrow", "--prefix=true", strings.Fields(command)[2])
				c.Ctl("role", "grant-permission", "narrow", "--prefix=true", "readwrite", prefix)
			}
		}
	}
	if s, err := e.Read(t.Context(), ""); err == nil {
		t.Errorf("reads all: %v", s)
	}
}

// program returns the path of a keypaird-fleet, which every user may run.
func program(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keypaird-fleet-")
	try(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	try(t, err)
	data, err := os.ReadFile(self)
	try(t, err)
	path := filepath.Join(dir, remote.Program)
	try(t, errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, data, 0o755), os.Chmod(path, 0o755)))
	return path
}
