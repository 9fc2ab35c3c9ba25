package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"keypaird/acme/acmetest"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/daemon"
	"keypaird/renew/testutil"
)

// A journal is the log of a daemon.
type journal struct{ testutil.Log }

// says waits until the log has n lines with a word in them.
func (l *journal) says(t *testing.T, n int, word string) {
	t.Helper()
	if err := testutil.Within(2*patience, func() error {
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
	if !inNamespaces(t) {
		return
	}
	w := startWorld(t, t.TempDir())
	self, err := os.Executable()
	try(t, err, placeChildren(self))
	t.Cleanup(func() {
		for _, name := range childPrograms {
			os.Remove(filepath.Join(filepath.Dir(self), name))
		}
	})
	_, err = w.startCA("CA", acmetest.Options{})
	try(t, err)
	write := func(top string) {
		text := fmt.Sprintf("%s%s[status]\nlisten = %q\n[cert.\"example.org\"]\ndns-01 = [\"example.org\"]\nhttp-01 = [\"matrix.example.org\"]\ndns = \"ns\"\n",
			top, w.head(), w.vars["PAGE"])
		try(t, os.WriteFile(w.vars["KEYPAIRD_CONFIG"], []byte(text), 0o600))
	}
	write("")
	before, _ := os.ReadDir("/proc/self/fd")
	current := goleak.IgnoreCurrent()

	ctx, cancel := context.WithCancel(t.Context())
	out, signals, ended := new(journal), make(chan os.Signal), make(chan error, 1)
	e := &env{Env: cli.Env{Getenv: os.Getenv, Stdout: io.Discard, Stderr: out, Config: w.vars["KEYPAIRD_CONFIG"]}}
	go func() {
		ended <- daemon.New(daemon.Options{Config: e.options(), Log: daemon.NewLog(out, "", true)}).Run(ctx, signals)
	}()
	out.says(t, 1, `msg="pass finished" targets=1 failing=0`)
	askPage(t, "http://"+w.vars["PAGE"])
	signals <- syscall.SIGUSR1
	out.says(t, 2, `msg="pass finished"`)
	write("parallel = 2\n")
	signals <- syscall.SIGHUP
	out.says(t, 1, `msg="configuration reloaded"`)
	out.says(t, 3, `msg="pass finished"`)
	write("parallel = 0\n")
	signals <- syscall.SIGHUP
	out.says(t, 1, `msg="keeping previous configuration"`)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v\n%s", err, out)
	}
	goleak.VerifyNone(t, current)
	if after, err := os.ReadDir("/proc/self/fd"); err == nil && len(after) > len(before) {
		t.Errorf("%d open files before, %d after", len(before), len(after))
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
