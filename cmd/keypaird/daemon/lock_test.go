package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/testutil"
)

// An idler is a daemon whose loop does not run. It has one target, whose CA cannot
// be reached. Its notifications go to the file notified.
type idler struct {
	*Daemon
	out         *journal
	dir, config string
}

func newIdler(t *testing.T, page string) *idler {
	t.Helper()
	dir := t.TempDir()
	d := &idler{out: new(journal), dir: dir, config: filepath.Join(dir, "keypaird.toml")}
	d.write(t, page)
	d.Daemon = newDaemon(d.config, slog.New(slog.NewTextHandler(d.out, nil)))
	first, err := d.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.apply(t.Context(), first)
	t.Cleanup(d.close)
	return d
}

// write writes the configuration.
func (d *idler) write(t *testing.T, page string) {
	t.Helper()
	text := fmt.Sprintf("state = %q\nsign_with = [\"down\"]\n[ca.down]\ndirectory = \"https://127.0.0.1:1/\"\n[http-01]\nwebroot = %q\n[status]\nlisten = \"%s\"\n"+
		"[notify]\ncommand = [\"/bin/sh\", \"-c\", %q]\n[cert.mail]\nhttp-01 = [\"mail.example.org\"]\n",
		filepath.Join(d.dir, "state"), d.dir, page, `echo "$KEYPAIRD_EVENT $KEYPAIRD_NAMES: $KEYPAIRD_ERROR" >>`+d.dir+"/notified")
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listen has the page shown at a free port.
func (d *idler) listen(t *testing.T) (port string) {
	t.Helper()
	p, err := openPage(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, port, err = net.SplitHostPort(p.ls[0].Addr().String()); err != nil {
		t.Fatal(err)
	}
	p.addr = "127.0.0.1:" + port
	d.current.page = p
	if err := d.serve(p, d.current.engine.Config); err != nil {
		t.Fatal(err)
	}
	return port
}

func (d *idler) notified() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "notified"))
	return string(text)
}

// The operator is notified once when pass after pass fails.
func TestNotifyPassFailed(t *testing.T) {
	d := newIdler(t, "")
	lock := d.current.engine.LockPath()
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxPassAttempts + 2 {
		if next := d.runPass(t.Context(), nil); time.Until(next["mail"]) > passRetry {
			t.Errorf("tried again at %v", next["mail"])
		}
		if got := d.notified(); (got != "") != (i+1 >= maxPassAttempts) {
			t.Errorf("after %d tries, notified %q", i+1, got)
		}
	}
	if want := "failing mail: pass failed: locking: writing " + lock; !strings.HasPrefix(d.notified(), want) || strings.Count(d.notified(), "\n") != 1 {
		t.Errorf("notified %q, want one line: %q", d.notified(), want)
	}
	if text := d.statusLine(time.Now()); !strings.Contains(text, "; pass failed: locking: ") {
		t.Errorf("status for the service manager: %q", text)
	}
	if n := strings.Count(d.out.String(), "pass failed"); n != 1 || strings.Contains(d.out.String(), "pass finished") {
		t.Errorf("log:\n%s", d.out)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	d.runPass(t.Context(), nil)
	if text := d.statusLine(time.Now()); strings.Contains(text, "no pass") || d.passErr != nil || d.attempts != 0 {
		t.Errorf("after a pass: %q, %v", text, d.passErr)
	}
}

// A configuration that is loaded while the daemon waits for the lock is applied at
// once: the process that holds it may do so for long.
func TestReloadWhileWaiting(t *testing.T) {
	d := newIdler(t, "")
	lock, err := durable.TryLock(d.current.engine.LockPath())
	testutil.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for range 2 { // as the loop does: the reload requests another
			d.runPass(ctx, nil)
		}
	}()
	waits := func(n int) {
		t.Helper()
		testutil.Must(t, testutil.Within(30*time.Second, func() error {
			if got := strings.Count(d.out.String(), "waiting for another keypaird"); got != n {
				return fmt.Errorf("%d waits, want %d\n%s", got, n, d.out)
			}
			return nil
		}))
	}
	waits(1)
	old := d.current
	d.reload(t.Context())
	waits(2)
	if d.current == old || strings.Contains(d.out.String(), "pass finished") {
		t.Errorf("not applied while it waits, or a pass is reported\n%s", d.out)
	}
	cancel()
	<-passed
	testutil.Must(t, lock.Release())
}

// The operator is notified of a command that holds the lock for an hour.
func TestStuckCommand(t *testing.T) {
	d := newIdler(t, "")
	held, err := durable.TryLock(d.current.engine.LockPath())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		patient, cancel := context.WithTimeout(t.Context(), 3*lockTimeout)
		defer cancel()
		_, err := d.acquireLock(patient)
		var held *durable.HeldError
		if took := time.Since(began); took != lockTimeout || !errors.As(err, &held) {
			t.Errorf("acquireLock: %v after %v, want a HeldError after an hour", err, took)
		}
		d.passFailed(t.Context(), err, nil)
	})
	want := fmt.Sprintf("failing mail: pass failed: %s is held by process %d since ", d.current.engine.LockPath(), os.Getpid())
	if !strings.HasPrefix(d.notified(), want) || !strings.HasSuffix(d.notified(), ": not released within 1h0m0s\n") {
		t.Errorf("notified %q, want %q", d.notified(), want)
	}
}

// A new page on the port of the present one fails, and the remedy names this daemon
// as the cause.
func TestOwnPort(t *testing.T) {
	d := newIdler(t, "")
	port := d.listen(t)
	d.write(t, "localhost:"+port)
	if _, err := d.load(t.Context()); err == nil || !strings.Contains(renew.Remedy(err), "this daemon's own page") {
		t.Errorf("read: %v; remedy: %s", err, renew.Remedy(err))
	}
}

// The page is served by its own names, and a reload may add some while it is open.
func TestPageNames(t *testing.T) {
	d := newIdler(t, "")
	port := d.listen(t)
	status := func(host string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/status.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for host, want := range map[string]int{"mail.example.org:8403": 200, "localhost": 200, "192.0.2.1": 200, "status.example.net": 421, "evil.example": 421} {
		if got := status(host); got != want {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
	d.write(t, "127.0.0.1:"+port+"\"\nnames = [\"status.example.net\"]\n#\"")
	d.reload(t.Context())
	d.applyPending(t.Context())
	if got := status("status.example.net"); got != 200 {
		t.Errorf("the name of [status] names: %d", got)
	}
}

// A connection to the page ends with its answer: open ones would keep other clients
// out.
func TestPageClosesConnections(t *testing.T) {
	d := newIdler(t, "")
	resp, err := http.Get("http://127.0.0.1:" + d.listen(t) + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !resp.Close {
		t.Error("the connection is kept")
	}
}
