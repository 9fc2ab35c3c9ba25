package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/listener"
	"keypaird/renew/testutil"
)

// TestMain is also the listener.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == listener.Command {
		if err := listener.Main(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == confinedState {
		sayConfined(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A configuration that was reloaded while the daemon waited for the lock is applied
// before the next pass.
func TestReloadBeforePass(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keypaird.toml")
	write := func(target string) {
		text := fmt.Sprintf("state = %q\nsign_with = [\"down\"]\n[ca.down]\ndirectory = \"https://127.0.0.1:1/\"\n[http-01]\nwebroot = %q\n[cert.%s]\nhttp-01 = [\"%[3]s.example.org\"]\n",
			filepath.Join(dir, "state"), dir, target)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := new(journal)
	d := newDaemon(file, slog.New(slog.NewTextHandler(out, nil)))
	write("old")
	first, err := d.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.apply(t.Context(), first)
	defer d.close()
	write("new")
	d.reload(t.Context()) // no pass runs that could yield
	if r, again := d.tryPass(t.Context(), nil); again || len(r.Next) > 0 || strings.Contains(out.String(), "decided") {
		t.Errorf("a pass was made: %v, %v\n%s", r.Errs, again, out)
	}
	select {
	case <-d.requested:
	default:
		t.Error("the pass that was not made is not requested")
	}
	d.runPass(t.Context(), nil)
	if text := out.String(); strings.Contains(text, "cert=old") || !strings.Contains(text, "msg=decided cert=new") {
		t.Errorf("after that:\n%s", text)
	}
}

// The service manager gets keep-alives as often as it expects, and none once the
// loop hangs.
func TestWatchdog(t *testing.T) {
	for _, interval := range []time.Duration{3 * time.Second, 30 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			m := newServiceManager(slog.New(slog.DiscardHandler), Notify)
			last, heard := time.Now(), 0
			m.send = func(text string) error {
				if text != "WATCHDOG=1\n" || time.Since(last) > interval/2 {
					t.Errorf("%q after %v", text, time.Since(last))
				}
				heard, last = heard+1, time.Now()
				return nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var work sync.WaitGroup
			work.Go(func() { m.watchdog(ctx, interval) })
			work.Go(func() { // the loop, for half an hour
				ticker := time.NewTicker(30 * time.Second)
				defer ticker.Stop()
				for range 60 {
					<-ticker.C
					m.alive()
				}
			})
			began := time.Now()
			work.Wait()
			if stopped := last.Sub(began); stopped < 30*time.Minute || stopped > 33*time.Minute {
				t.Errorf("every %v: the last was heard after %v, want half an hour", interval, stopped)
			}
		})
	}
}

// Each assignment sent to the service manager is one line of limited length.
func TestAssignments(t *testing.T) {
	m := newServiceManager(slog.New(slog.DiscardHandler), Notify)
	var got string
	m.send = func(text string) error { got = text; return errors.New("no listener") }
	m.ready("a\nWATCHDOG=1 " + strings.Repeat("x", 5000))
	if lines := strings.Count(got, "\n"); lines != 2 || len(got) > 1100 || strings.Contains(got, "\nWATCHDOG") {
		t.Errorf("sent %q", got)
	}
}

// The journal adds the time itself, so its stream is recognised.
func TestJournaled(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	ours := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for _, tt := range []struct {
		name, stream string
		out          *os.File
		want         bool
	}{
		{"the journal", ours, f, true},
		{"no journal", "", f, false},
		{"of another process", "1:2", f, false},
		{"no file", ours, nil, false},
	} {
		if got := journaled(tt.out, tt.stream); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A journal is the log of a daemon.
type journal = testutil.Log

// newDaemon returns a daemon whose configuration is in a file.
func newDaemon(file string, log *slog.Logger) *Daemon {
	return New(Options{Config: config.Options{Path: file, Getenv: os.Getenv}, Log: log})
}
