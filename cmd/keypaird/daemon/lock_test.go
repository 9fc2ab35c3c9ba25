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
)

// An idler is a daemon whose loop does not run. It has one target, whose CA cannot
// be reached, and writes what a person is told to the file told.
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
	first, err := d.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.take(first)
	t.Cleanup(d.end)
	return d
}

// write writes the configuration.
func (d *idler) write(t *testing.T, page string) {
	t.Helper()
	text := fmt.Sprintf("state = %q\nsign_with = [\"down\"]\n[ca.down]\ndirectory = \"https://127.0.0.1:1/\"\n[http-01]\nwebroot = %q\n[status]\nlisten = %q\n"+
		"[notify]\ncommand = [\"/bin/sh\", \"-c\", %q]\n[cert.mail]\nhttp-01 = [\"mail.example.org\"]\n",
		filepath.Join(d.dir, "state"), d.dir, page, `echo "$KEYPAIRD_EVENT $KEYPAIRD_NAMES: $KEYPAIRD_ERROR" >>`+d.dir+"/told")
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
	d.page = p
	p.serve(d.show(p.addr))
	return port
}

func (d *idler) told() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "told"))
	return string(text)
}

// When no pass can be made again and again, a person is told, once, and when one
// can.
func TestNoPassIsTold(t *testing.T) {
	d := newIdler(t, "")
	lock := d.parts.LockPath()
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range hopeless + 2 {
		if next := d.look(t.Context(), nil); time.Until(next["mail"]) > tryAgain {
			t.Errorf("tried again at %v", next["mail"])
		}
		if told := d.told(); (told != "") != (i+1 >= hopeless) {
			t.Errorf("after %d tries, told %q", i+1, told)
		}
	}
	if want := "failing mail: pass failed: locking: writing " + lock; !strings.HasPrefix(d.told(), want) || strings.Count(d.told(), "\n") != 1 {
		t.Errorf("told %q, want one line: %q", d.told(), want)
	}
	if text := d.sentence(time.Now()); !strings.Contains(text, "; pass failed: locking: ") {
		t.Errorf("the service manager is told %q", text)
	}
	if n := strings.Count(d.out.String(), "pass failed"); n != 1 || strings.Contains(d.out.String(), "msg=looked") {
		t.Errorf("log:\n%s", d.out)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	d.look(t.Context(), nil)
	if text := d.sentence(time.Now()); strings.Contains(text, "no pass") || d.trouble != nil || d.tries != 0 {
		t.Errorf("after a pass: %q, %v", text, d.trouble)
	}
}

// A command that holds the lock and does not come to an end is told of after an
// hour, not waited for silently.
func TestStuckCommand(t *testing.T) {
	d := newIdler(t, "")
	held, err := durable.TryLock(d.parts.LockPath())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		patient, cancel := context.WithTimeout(t.Context(), 3*longWait)
		defer cancel()
		_, err := d.acquire(patient)
		var stuck *StuckError
		if took := time.Since(began); took != longWait || !errors.As(err, &stuck) {
			t.Errorf("acquire: %v after %v, want a StuckError after an hour", err, took)
		}
		d.hindered(t.Context(), err, nil)
	})
	want := fmt.Sprintf("failing mail: pass failed: another keypaird has been at work for more than an hour: %s is held by process %d since ",
		d.parts.LockPath(), os.Getpid())
	if !strings.HasPrefix(d.told(), want) {
		t.Errorf("told %q, want %q", d.told(), want)
	}
}

// The page of before is in the way of one on the same port. Nobody is sent to look
// for another program.
func TestOwnPort(t *testing.T) {
	d := newIdler(t, "")
	port := d.listen(t)
	d.write(t, "localhost:"+port)
	if _, err := d.read(t.Context()); err == nil || !strings.Contains(renew.Remedy(err), "this daemon's own page") {
		t.Errorf("read: %v; remedy: %s", err, renew.Remedy(err))
	}
}

// A connection to the page ends with its answer: those who keep one keep out
// others.
func TestPageKeepsNobody(t *testing.T) {
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
