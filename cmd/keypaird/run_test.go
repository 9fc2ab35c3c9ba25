package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"keypaird/acme/acmetest"
	"keypaird/renew/status"
)

// A journal is what a daemon writes, for a test that waits for a word.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *journal) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *journal) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// says waits until the log has n lines with a word in them.
func (l *journal) says(t *testing.T, n int, word string) {
	t.Helper()
	if err := within(2*patience, func() error {
		if got := strings.Count(l.String(), word); got < n {
			return fmt.Errorf("%d times %q", got, word)
		}
		return nil
	}); err != nil {
		t.Fatalf("%v\n%s", err, l)
	}
}

// TestDaemonLeavesNothing runs the daemon in this process, through an order by
// either proof, a look, a reload that is right and one that is wrong, and its
// end. No goroutine is left, and nothing that it opened.
func TestDaemonLeavesNothing(t *testing.T) {
	if !inOwnWorld(t) {
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	childBeside(t)
	w, err := newWorld(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.startDNS(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.startCA("CA", acmetest.Options{}); err != nil {
		t.Fatal(err)
	}
	write := func(top string) {
		text := fmt.Sprintf("%s%s[status]\nlisten = %q\n[cert.\"example.org\"]\ndns-01 = [\"example.org\"]\nhttp-01 = [\"matrix.example.org\"]\ndns = \"ns\"\n",
			top, w.head(), w.vars["PAGE"])
		if err := os.WriteFile(w.vars["KEYPAIRD_CONFIG"], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	before, _ := os.ReadDir("/proc/self/fd")
	current := goleak.IgnoreCurrent()

	ctx, cancel := context.WithCancel(t.Context())
	out, signals, ended := new(journal), make(chan os.Signal), make(chan error, 1)
	a := &app{env: os.Getenv, stdout: io.Discard, stderr: out, config: w.vars["KEYPAIRD_CONFIG"], metrics: status.NewMetrics("test")}
	go func() {
		ended <- newKeeper(a, slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))).run(ctx, signals)
	}()
	out.says(t, 1, "msg=looked targets=1 failing=0")
	askPage(t, "http://"+w.vars["PAGE"])
	signals <- syscall.SIGUSR1
	out.says(t, 2, "msg=looked")
	write("parallel = 2\n")
	signals <- syscall.SIGHUP
	out.says(t, 1, `msg="configuration taken over"`)
	out.says(t, 3, "msg=looked")
	write("parallel = 0\n")
	signals <- syscall.SIGHUP
	out.says(t, 1, `msg="the configuration in use stays"`)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v\n%s", err, out)
	}
	goleak.VerifyNone(t, current)
	if after, err := os.ReadDir("/proc/self/fd"); err == nil && len(after) > len(before) {
		t.Errorf("%d open files before, %d after", len(before), len(after))
	}
}

// What a reload offers comes first: no pass is begun with what a daemon was told
// to forget while it waited for its turn.
func TestOfferComesFirst(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "keypaird.toml")
	write := func(target string) {
		text := fmt.Sprintf("state = %q\nsign_with = [\"down\"]\n[ca.down]\ndirectory = \"https://127.0.0.1:1/\"\n[http-01]\nwebroot = %q\n[cert.%s]\nhttp-01 = [\"%[3]s.example.org\"]\n",
			filepath.Join(dir, "state"), dir, target)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := new(journal)
	k := newKeeper(&app{env: os.Getenv, stdout: io.Discard, stderr: out, config: config, metrics: status.NewMetrics("test")}, slog.New(slog.NewTextHandler(out, nil)))
	write("old")
	first, err := k.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.take(first)
	defer k.end()
	write("new")
	k.reload(t.Context()) // no pass runs that could yield
	if r, yielded := k.turn(t.Context(), nil); yielded || len(r.Errs) > 0 || strings.Contains(out.String(), "decided") {
		t.Errorf("a pass was made: %v, %v\n%s", r.Errs, yielded, out)
	}
	select {
	case <-k.wanted:
	default:
		t.Error("nobody wants the pass that was not made")
	}
	k.look(t.Context(), nil)
	if text := out.String(); strings.Contains(text, "cert=old") || !strings.Contains(text, "msg=decided cert=new") {
		t.Errorf("after that:\n%s", text)
	}
}

// askPage asks for all that a status page has.
func askPage(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for _, path := range []string{"/", "/status.json", "/metrics", "/healthz"} {
		resp, err := client.Get(url + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		resp.Body.Close()
	}
}

// childBeside puts keypaird-dns beside this process.
func childBeside(t *testing.T) {
	t.Helper()
	child, err := built("keypaird-dns")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(self), "keypaird-dns")
	if err := os.Symlink(child, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(link) })
}

// The manager hears that all is well as often as it wants, and no more when the
// loop does not go round.
func TestWatchdog(t *testing.T) {
	for _, interval := range []time.Duration{3 * time.Second, 30 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			m := newServiceManager(slog.New(slog.DiscardHandler))
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

// What is told the manager is one line each, and not endless.
func TestTold(t *testing.T) {
	m := newServiceManager(slog.New(slog.DiscardHandler))
	var got string
	m.send = func(text string) error { got = text; return errors.New("nobody there") }
	m.ready("a\nWATCHDOG=1 " + strings.Repeat("x", 5000))
	if lines := strings.Count(got, "\n"); lines != 2 || len(got) > 1100 || strings.Contains(got, "\nWATCHDOG") {
		t.Errorf("told %q", got)
	}
}

// The journal notes the time itself.
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
		out          io.Writer
		want         bool
	}{
		{"the journal", ours, f, true},
		{"no journal", "", f, false},
		{"of another process", "1:2", f, false},
		{"something else", ours, io.Discard, false},
	} {
		if got := journaled(tt.out, tt.stream); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
