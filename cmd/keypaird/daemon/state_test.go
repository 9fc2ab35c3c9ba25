package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/status"
)

// quietDaemon is a daemon that has read a configuration and makes no passes. Its
// target "mail" has one deployment and no certificate.
func quietDaemon(t *testing.T) *Daemon {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "keypaird.toml")
	text := fmt.Sprintf("state = %q\nsign_with = [\"down\"]\n[ca.down]\ndirectory = \"https://127.0.0.1:1/\"\n[http-01]\nwebroot = %q\n"+
		"[cert.mail]\nhttp-01 = [\"mail.example.org\"]\ndeploy = [\"proxy\"]\n[deploy.proxy]\nreload = [\"true\"]\n", filepath.Join(dir, "state"), dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k := newDaemon(file, slog.New(slog.DiscardHandler))
	first, err := k.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.take(first)
	t.Cleanup(k.end)
	return k
}

// What once failed of a deployment that was done since, as the configuration says,
// is history: the daemon does not count it.
func TestHistoryIsNotFailing(t *testing.T) {
	k := quietDaemon(t)
	for _, tt := range []struct {
		name, hash string
		want       int
	}{
		{"as the configuration says", k.parts.Targets[0].Deploy[0].Spec("mail").ConfigHash, 0},
		{"in another way", "other", 1},
		{"as the configuration says again", k.parts.Targets[0].Deploy[0].Spec("mail").ConfigHash, 0},
	} {
		record := fmt.Sprintf(`{"deployments":{"proxy":{"config_hash":%q,"attempt":{"failures":2,"error":"no such proxy"}}}}`, tt.hash)
		if err := k.parts.Store.WriteFile("mail", "record.json", []byte(record)); err != nil {
			t.Fatal(err)
		}
		k.suspect(map[string]bool{"mail": true})
		if got := len(k.outlook.failing); got != tt.want {
			t.Errorf("done %s: %d failing, want %d", tt.name, got, tt.want)
		}
		k.outlook.told = true
	}
	k.suspect(map[string]bool{"gone": true}) // a target of another configuration
	if len(k.outlook.failing) != 0 {
		t.Errorf("failing: %v", k.outlook.failing)
	}
}

// A refusal is shown from the first on until a configuration is taken over, and
// does not tell everybody what is in the file.
func TestRefusalIsKept(t *testing.T) {
	k := quietDaemon(t)
	refused := func() *status.Refusal {
		doc, err := k.collect()
		if err != nil {
			t.Fatal(err)
		}
		return doc.Refused
	}
	if r := refused(); r != nil {
		t.Errorf("at first: %+v", r)
	}
	k.refuse(config.Mistakes{{File: "keypaird.toml", Key: "key", Problem: "secret"}, {}})
	first := refused()
	if first == nil || first.Error != "2 mistakes, see: keypaird check" || strings.Contains(first.Error, "secret") || first.Since.Nanosecond() != 0 {
		t.Fatalf("refused: %+v", first)
	}
	k.refusal.Since = k.refusal.Since.Add(-time.Hour)
	k.refuse(errors.New("no such port"))
	if r := refused(); r.Error != "no such port" || first.Since != r.Since {
		t.Errorf("refused again: %+v, want since %v", r, first.Since)
	}
	k.reload(t.Context())
	k.adopt(t.Context())
	if r := refused(); r != nil {
		t.Errorf("taken over: %+v", r)
	}
}

// Whether a daemon runs is told by the file that it holds.
func TestDaemonOf(t *testing.T) {
	dir := t.TempDir()
	since := time.Date(2026, 11, 23, 20, 17, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, text string
		want       status.Daemon
	}{
		{"killed", "process 2000000000 since 2026-11-23T20:17:00Z\n", status.Daemon{State: status.Killed, Process: 2000000000, Since: since}},
		{"stopped", "", status.Daemon{State: status.Stopped}},
	} {
		if got := StateOf(dir); tt.name == "killed" && *got != (status.Daemon{State: status.Never}) {
			t.Errorf("before all: %+v", got)
		}
		if err := os.WriteFile(filepath.Join(dir, "daemon"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := StateOf(dir); got == nil || *got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "daemon")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "daemon"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := StateOf(dir); got != nil {
		t.Errorf("what cannot be read: %+v, want that nothing is known", got)
	}
}
