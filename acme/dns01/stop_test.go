package dns01

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/dns01/need"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// An unresponsiveChild refuses its account, which shows that it runs, and then ignores
// the end of its input. It writes its process id and that of a program it runs to the
// file pids.
const unresponsiveChild = `#!/bin/sh
cd "$X_DIR"
%s
sleep 1000 &
echo $$ $! >pids.new && mv pids.new pids
read request
echo '{"error":"no"}'
while :; do sleep 1000 & wait $!; done
`

// unresponsiveAccount starts such a child, which runs onTerm on SIGTERM, and closes its
// input.
func unresponsiveAccount(t *testing.T, onTerm string, bound time.Duration) (a *Account, dir string) {
	t.Helper()
	dir = testutil.SharedDir(t)
	path := filepath.Join(dir, "child")
	if err := os.WriteFile(path, fmt.Appendf(nil, unresponsiveChild, onTerm), 0o755); err != nil {
		t.Fatal(err)
	}
	a = &Account{
		Name: "unresponsive", Provider: "httpreq", Child: path, Log: logOf(t), bound: bound,
		Env: map[string]string{need.Unconfined: "true", "X_DIR": dir},
	}
	closed(t, a)
	if err := a.Solve(t.Context(), challenge("example.org", "token"), accept); problem.Remedy(err) == "" {
		t.Fatalf("Solve = %v", err)
	}
	return a, dir
}

// alive lists the running processes of an unresponsive child.
func alive(t *testing.T, dir string) (list []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(word, &pid); err != nil {
			t.Fatal(err)
		}
		// A zombie does not count.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && strings.Contains(string(stat), ") Z ") {
			continue
		}
		if syscall.Kill(pid, 0) == nil {
			list = append(list, pid)
		}
	}
	return list
}

// A child that ignores the end of its input is killed, with the programs it has
// started, before Close returns.
func TestUnresponsiveChildIsKilledByClose(t *testing.T) {
	a, dir := unresponsiveAccount(t, "trap '' TERM", 0)
	if list := alive(t, dir); len(list) != 2 {
		t.Fatalf("%d processes, want the child and its program", len(list))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := a.Close(ctx)
	if err == nil || !strings.Contains(err.Error(), `DNS account "unresponsive" (httpreq): ending: keypaird-dns exited: signal: killed`) {
		t.Errorf("Close = %v", err)
	}
	eventually(t, "the end of all of it", func() bool { return len(alive(t, dir)) == 0 })
}

// The child gets SIGTERM before SIGKILL.
func TestUnresponsiveChildGetsSIGTERMFirst(t *testing.T) {
	a, dir := unresponsiveAccount(t, "trap 'echo >asked; kill $!; exit 3' TERM", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := a.Close(ctx)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Close = %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "asked")); err != nil {
		t.Error(err)
	}
}

// Without Close the child is killed after a timeout.
func TestUnresponsiveChildIsKilledAfterTimeout(t *testing.T) {
	_, dir := unresponsiveAccount(t, "trap '' TERM", 10*time.Millisecond)
	eventually(t, "the end of all of it", func() bool { return len(alive(t, dir)) == 0 })
}

// No child is started to remove the record of one that Close killed: it would outlive
// this process. The record is reported.
func TestNoChildAfterClose(t *testing.T) {
	var log lockedBuffer
	path := filepath.Join(testutil.SafeDir(t), "child")
	const script = `#!/bin/sh
trap '' TERM
echo >>"$X_DIR/started"
n='"fqdn":"_acme-challenge.example.org.","value":"%s"'
read l; echo '{}'
read l; echo "{$n}"
read l; echo "{$n}"
while :; do sleep 1000; done
`
	c := challenge("example.org", "token")
	dir := testutil.SharedDir(t)
	if err := os.WriteFile(path, fmt.Appendf(nil, script, txtValue(c.KeyAuth)), 0o755); err != nil {
		t.Fatal(err)
	}
	a := &Account{
		Name: "unresponsive", Provider: "httpreq", Child: path, Log: log.logger(), Resolvers: []string{freePort(t)},
		Env: map[string]string{need.Unconfined: "true", "X_DIR": dir},
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !strings.Contains(log.String(), "presented") && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
		cancel()
	}()
	if err := a.Solve(ctx, c, accept); !errors.Is(err, context.Canceled) {
		t.Errorf("Solve = %v", err)
	}
	if err := a.Close(ctx); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Close = %v", err)
	}
	eventually(t, "the report", func() bool { return strings.Contains(log.String(), "TXT record may be left") })
	if text, err := os.ReadFile(filepath.Join(dir, "started")); err != nil || string(text) != "\n" {
		t.Errorf("started %q, %v; want one child", text, err)
	}
}

// A lockedBuffer is a log that is read while others write.
type lockedBuffer struct{ testutil.Log }

func (b *lockedBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
