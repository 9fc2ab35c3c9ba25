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
	"keypaird/renew"
	"keypaird/renew/status"
)

// quietDaemon returns a daemon that has loaded a configuration and makes no pass. Its
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
	d := newDaemon(file, slog.New(slog.DiscardHandler))
	first, err := d.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.apply(t.Context(), first)
	t.Cleanup(d.close)
	return d
}

// A deployment that failed under another configuration counts as failing only as
// long as the present one was not deployed.
func TestHistoryIsNotFailing(t *testing.T) {
	d := quietDaemon(t)
	for _, tt := range []struct {
		name, hash string
		want       int
	}{
		{"as the configuration says", d.current.engine.Targets[0].Deploy[0].Spec("mail").ConfigHash, 0},
		{"in another way", "other", 1},
		{"as the configuration says again", d.current.engine.Targets[0].Deploy[0].Spec("mail").ConfigHash, 0},
	} {
		record := fmt.Sprintf(`{"deployments":{"proxy":{"config_hash":%q,"attempt":{"failures":2,"error":"no such proxy"}}}}`, tt.hash)
		if err := d.current.engine.Store.WriteFile("mail", "record.json", []byte(record)); err != nil {
			t.Fatal(err)
		}
		mail := d.current.engine.Targets[0]
		state, err := renew.LoadStateWith(&d.records, d.current.engine.Store, mail)
		d.markFailing([]renew.TargetState{{Target: mail, State: state, Err: err}})
		if got := len(d.summary.failing); got != tt.want {
			t.Errorf("done %s: %d failing, want %d", tt.name, got, tt.want)
		}
	}
	d.markFailing([]renew.TargetState{{Target: renew.Target{Name: "gone"}, Err: os.ErrPermission}}) // of another configuration
	if len(d.summary.failing) != 0 {
		t.Errorf("failing: %v", d.summary.failing)
	}
}

// The pass is that of the engine in use, with all of its parts.
func TestPassOfEngine(t *testing.T) {
	d := quietDaemon(t)
	for _, when := range []string{"at the start", "after a reload"} {
		if e := d.current.engine; d.pass.Store != e.Store || d.pass.Records != &d.records || d.notifier.Store != e.Store {
			t.Errorf("%s: pass %+v, notifier %+v", when, d.pass, d.notifier)
		}
		d.reload(t.Context())
		d.applyPending(t.Context())
	}
}

// A rejected configuration is shown, since the first one, until one is applied.
// Nothing that is in the file is shown.
func TestRefusalIsKept(t *testing.T) {
	d := quietDaemon(t)
	refused := func() *status.Refusal {
		doc, err := d.collect()
		if err != nil {
			t.Fatal(err)
		}
		return doc.Refused
	}
	if r := refused(); r != nil {
		t.Errorf("at first: %+v", r)
	}
	d.reject(config.Mistakes{{File: "keypaird.toml", Key: "key", Problem: "secret"}, {}})
	first := refused()
	if first == nil || first.Error != "2 mistakes, see: keypaird check" || strings.Contains(first.Error, "secret") || first.Since.Nanosecond() != 0 {
		t.Fatalf("refused: %+v", first)
	}
	d.rejected.since = d.rejected.since.Add(-time.Hour)
	d.reject(errors.New("no such port"))
	if r := refused(); r.Error != "no such port" || r.Since != first.Since.Add(-time.Hour) {
		t.Errorf("refused again: %+v, want an hour before %v", r, first.Since)
	}
	d.reload(t.Context())
	d.applyPending(t.Context())
	if r := refused(); r != nil {
		t.Errorf("after a reload: %+v", r)
	}
}

// The state of a daemon is read from the file that it locks.
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
		t.Errorf("unreadable: %+v, want nil", got)
	}
}
